"""The same world, told by odd times: a figure that is rounded otherwise, or is of another moment,
is not the same there, as it may be where everything happens at whole tenths of a second."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from tests.forge.bundle import EPOCH, UPTIME, World, stamp_text

SLOWER = 1.00137
"""An interval of 0.3 s has its fourth digit, and one of 60 s is longer by less than any promise's
tolerance."""
_NS = re.compile(rb"\b179\d{16}\b")
_MONO = re.compile(r'"mono_ns": (\d+)')
_EXITED = re.compile(r'"seconds": (\d{10}), "nanos": (\d+)')
_TEXT = re.compile(r"\b(2026-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)(\.\d+)?")


def slower(world: World) -> World:
    """Every moment of the world later by a little more than a thousandth of its distance from the
    beginning, in files and frames alike. Lengths that somebody says of himself stay."""
    world = world.copy()
    for name in ("steps", "watch", "agent", "stamps", "logs", "commands", "answers", "extra"):
        setattr(world, name, _told(getattr(world, name)))
    world.index = _told(world.index)
    world.frames = [*map(_sent, world.frames)]
    if world.node_frames is not None:
        world.node_frames = [*map(_sent, world.node_frames)]
    world.runtime = [(_later(at), topic, _told(body)) for at, topic, body in world.runtime]
    world.journal = [(_later(at), text) for at, text in world.journal]
    world.wires = {
        node: ([*map(_sent, frames)], _told(lines)) for node, (frames, lines) in world.wires.items()
    }
    return world


def _later(at: int) -> int:
    return EPOCH + round((at - EPOCH) * SLOWER)


def _sent(frame: tuple[int, bytes]) -> tuple[int, bytes]:
    return _later(frame[0]), _NS.sub(_number, frame[1])


def _number(match: re.Match[bytes]) -> bytes:
    return b"%d" % _later(int(match[0]))


def _told(value: Any) -> Any:
    text = json.dumps(value)
    text = _NS.sub(_number, text.encode()).decode()
    text = _MONO.sub(_since_start, text)
    text = _EXITED.sub(_exited, text)
    return json.loads(_TEXT.sub(_written, text))


def _since_start(match: re.Match[str]) -> str:
    return f'"mono_ns": {UPTIME + round((int(match[1]) - UPTIME) * SLOWER)}'


def _exited(match: re.Match[str]) -> str:
    seconds, nanos = divmod(_later(int(match[1]) * 10**9 + int(match[2])), 10**9)
    return f'"seconds": {seconds}, "nanos": {nanos}'


def _written(match: re.Match[str]) -> str:
    day, between, clock, part = match.groups()
    whole = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
    fraction = part or ""
    at = int(whole.timestamp()) * 10**9 + int(fraction[1:].ljust(9, "0") or 0)
    said = stamp_text(_later(at), between)
    return said[: len(f"{day}T{clock}{fraction}")]

"""Changes of a world by name, so that a table of them can be read: what is lacking, or late.

A change is a few words: "no step delete.asked", "25 s later stamp subject.app app.last", "only the
first news of Pod subject", "no phase of Pod subject".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.forge.bundle import Json, World

_CHANGE = re.compile(r"(?:(no|only the first)|([\d.]+) s (later|earlier)) (.*)")
S = 1_000_000_000


@dataclass(frozen=True)
class _Part:
    """Of some lines of a world those of one name."""

    lines: list[Any]
    name_of: Callable[[Any], object]
    name: object
    later: Callable[[Any, int], Any]

    def keep(self, number: int) -> None:
        """None of them, or the first ones."""
        found = [id(one) for one in self.lines if self.name_of(one) == self.name][number:]
        self.lines[:] = [one for one in self.lines if id(one) not in found]

    def move(self, by: int) -> None:
        """All of them at another time."""
        self.lines[:] = [
            self.later(one, by) if self.name_of(one) == self.name else one for one in self.lines
        ]


def change(world: World, words: str) -> None:
    """Make a change. Raises LookupError where there is nothing of that name."""
    match = _CHANGE.fullmatch(words)
    if match is None:
        raise LookupError(f"no change: {words}")
    how, seconds, way, what = match.groups()
    field, _, of = what.partition(" of ")
    if how == "no" and field not in ("news", "removal") and of.partition(" ")[0] in _KINDS:
        _without(world, field, of)
        return
    if how == "no" and what.startswith("id "):
        role, _, container = what.removeprefix("id ").partition(".")
        world.index["pods"][role]["containers"][container]["ids"] = []
        return
    part = dict(_parts(world)).get(what)
    if part is None:
        raise LookupError(f"there is no {what}")
    if seconds:
        part.move(round(float(seconds) * S) * (1 if way == "later" else -1))
    else:
        part.keep(0 if how == "no" else 1)


_KINDS = ("Pod", "Job", "Node", "CronJob", "Event", "ResourceQuota", "Service", "EndpointSlice")


def _parts(world: World) -> Iterator[tuple[str, _Part]]:
    for one in world.steps:
        yield f"step {_step(one)}", _Part(world.steps, _step, _step(one), _line)
    for who, lines in world.stamps.items():
        yield f"stamps {who}", _Part(lines, _any, "", _line)
        for one in lines:
            yield f"stamp {who} {one['event']}", _Part(lines, _name, one["event"], _line)
    for one in world.agent:
        yield f"note {one['event']}", _Part(world.agent, _name, one["event"], _line)
    for one in world.commands:
        yield f"command {_command(one)}", _Part(world.commands, _command, _command(one), _line)
    for one in world.watch:
        yield f"news of {_object(one)}", _Part(world.watch, _object, _object(one), _line)
        if one.get("type") == "DELETED":
            yield f"removal of {_object(one)}", _Part(world.watch, _end, _end(one), _line)
        if reason := _reason(one):
            yield f"event {reason}", _Part(world.watch, _reason, reason, _line)
    yield "frames", _Part(world.frames, _any, "", _pair)
    for role, pod in world.index["pods"].items():
        for name, its in pod["containers"].items():
            ids = tuple(its["ids"])
            for topic in ("/tasks/create", "/tasks/start", "/tasks/exit"):
                its_topic = partial(_topic, ids)
                yield f"{topic} {role}.{name}", _Part(world.runtime, its_topic, topic, _event)
            yield f"signal {role}.{name}", _Part(world.journal, partial(_is_of, ids), True, _pair)


def _any(_: object) -> str:
    return ""


def _step(line: Json) -> str:
    return f"{line['step']} of {line['role']}" if "role" in line else str(line["step"])


def _name(line: Json) -> object:
    return line["event"]


def _end(line: Json) -> tuple[str, object]:
    return _object(line), line.get("type")


def _reason(line: Json) -> object:
    return line["object"].get("reason")


def _topic(ids: tuple[str, ...], event: tuple[int, str, Json]) -> str:
    return event[1] if event[2].get("container_id") in ids else ""


def _is_of(ids: tuple[str, ...], line: tuple[int, str]) -> bool:
    return any(one in line[1] for one in ids)


def _pair(one: tuple[int, Any], by: int) -> tuple[int, Any]:
    return one[0] + by, one[1]


def _line(line: Json, by: int) -> Json:
    return line | {key: line[key] + by for key in ("ns", "mono_ns") if key in line}


def _event(event: tuple[int, str, Json], by: int) -> tuple[int, str, Json]:
    at, topic, body = event
    if "exited_at" in body:
        seconds, nanos = divmod(
            body["exited_at"]["seconds"] * S + body["exited_at"]["nanos"] + by, S
        )
        body = body | {"exited_at": {"seconds": seconds, "nanos": nanos}}
    return at + by, topic, body


def _command(line: Json) -> str:
    return " ".join(line["command"].split()[:4])


def _object(line: Json) -> str:
    return f"{line['kind']} {line['object']['metadata']['name']}"


def _without(world: World, field: str, of: str) -> None:
    """Nobody ever saw this field of an object's status, or this condition of it."""
    found = False
    for line in world.watch:
        status = line["object"].get("status") or {}
        if _object(line) != of:
            continue
        if field.startswith("condition "):
            those = status.get("conditions") or []
            left = [one for one in those if one["type"] != field.removeprefix("condition ")]
            found = found or len(left) < len(those)
            line["object"]["status"] = status | {"conditions": left}
        elif field in status:
            found = True
            line["object"]["status"] = {key: its for key, its in status.items() if key != field}
    if not found:
        raise LookupError(f"there is no {field} of {of}")

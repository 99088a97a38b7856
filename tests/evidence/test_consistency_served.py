"""What a server stamps of a request against what its sender does: single defects, each beside a
change that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evidence.contradicting import Break, require_sound, require_struck
from tests.evidence.test_consistency import token_of
from tests.forge.bundle import World, token


def drop_phase(world: World, phase: str) -> str:
    """One request that was answered rightly lacks a line of its server."""
    its = token_of(world, "drain", 1)
    world.drop(world.stamps["peer.app"], "served", token=its, phase=phase)
    return its


def failed_to_answer(world: World) -> None:
    its = token_of(world, "drain", 1)
    world.lines("peer.app", "served", token=its, phase="end")[0]["error"] = "broken pipe"


def moved(world: World, seconds: float) -> None:
    """The server began and ended a request at another time."""
    its = token_of(world, "drain", 1)
    for line in world.lines("peer.app", "served", token=its):
        line["ns"] += round(seconds * 1e9)
        line["mono_ns"] += round(seconds * 1e9)


def peer_killed_while_serving(world: World) -> None:
    """It wrote nothing after it had begun to serve, and never said that it ended."""
    its = drop_phase(world, "end")
    (begun,) = world.lines("peer.app", "served", token=its)
    world.stamps["peer.app"] = [one for one in world.stamps["peer.app"] if one["ns"] <= begun["ns"]]


def kept(world: World, kind: str) -> None:
    """Messages on a connection that is kept open have none of their own."""
    for number in range(3):
        at, its = 11.0 + number, token(kind, number)
        world.stamp(
            at,
            "subject.app",
            "request.begin",
            token=its,
            kind=kind,
            target="127.0.0.1:15001",
            via="",
        )
        world.served(at + 0.01, at + 0.02, "peer.app", its, "127.0.0.1:50002")
        world.stamp(at + 0.03, "subject.app", "request.end", token=its, kind=kind, outcome="ok",
                    detail="", bytes=90, via="")  # fmt: skip


STRUCK: dict[str, tuple[Break, str]] = {
    "nobody began to serve it": (lambda w: drop_phase(w, "begin"), "nobody served it"),
    "nobody ended to serve it": (lambda w: drop_phase(w, "end"), "never ended to serve"),
    "its server failed to answer it": (failed_to_answer, "never ended to serve"),
    "served after it had been answered": (
        lambda w: moved(w, 2.0), "2.0 s after it had been answered"),
    "served before it was sent": (lambda w: moved(w, -2.0), "2.0 s before it was sent"),
    "an answer of a second attempt on no connection": (
        lambda w: kept(w, "quick"), "its sender had no connection"),
}  # fmt: skip
SOUND: dict[str, Break] = {
    "a server that was killed may not have written its end": peer_killed_while_serving,
    "a message in a pool of connections": lambda w: kept(w, "pool"),
    "served a moment after it was sent": lambda w: moved(w, 0.001),
}


@pytest.mark.parametrize("name", STRUCK)
def test_what_a_server_cannot_have_done_is_named(tmp_path: Path, name: str) -> None:
    world, found = require_struck(STRUCK[name], tmp_path)
    said = STRUCK[name][1]
    # The request that contradicts is named, and not another.
    its = token("quick", 0) if "second" in name else token_of(world, "drain", 1)
    assert any(said in one and its in one for one in found), found


@pytest.mark.parametrize("name", SOUND)
def test_what_a_server_may_have_done_is_left_alone(tmp_path: Path, name: str) -> None:
    require_sound(SOUND[name], tmp_path)

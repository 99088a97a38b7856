"""crash.connections: dropped with the sidecar, and there again with the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import crash, mesh

CONNECTIONS = "crash.connections"
Break = Callable[[World], object]


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_they_are_dropped_and_in_use_again(tmp_path: Path, pattern: str) -> None:
    found = crash.kept(pattern).judged(CONNECTIONS, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["connections"] == 6
    assert found.measured["connections_dropped"] == 5
    assert found.measured["failed"] == 10
    assert found.measured["in_use_again_after_seconds"] == pytest.approx(5.1, abs=0.2)


def without(world: World, role: str, name: str) -> None:
    its = world.stamps[f"{role}.app"]
    its[:] = [one for one in its if one.get("connection") != name]


def never_again(world: World) -> None:
    without(world, "subject", "long.subject.1")
    world.drop(world.steps, "end")
    world.step(46, "end")
    world.runtime = [
        one for one in world.runtime if not (one[1] == "/tasks/exit" and one[0] > ns(17))
    ]
    for role in mesh.ROLES:
        for kind in mesh.KEPT:
            if kind != "long" or role == "peer":
                mesh.keep(world, role, kind, 17.3, 46, how="", number=2)


def of_use_without_a_sidecar(world: World) -> None:
    world.attempt(10.6, "subject.app", "raw", 700, "ok", connection="raw.subject.0")


def test_a_proxys_answer_in_its_place_is_no_use(tmp_path: Path) -> None:
    world = crash.kept()
    mesh.keep(world, "peer", "long", 10.3, 11.0, how="finished", number=9)
    assert world.judged(CONNECTIONS, tmp_path).observed == "holds"


@pytest.mark.parametrize(
    ("broken", "hazard"),
    [(never_again, "not-recovered"), (of_use_without_a_sidecar, "bypassed")],
)
def test_what_a_crash_must_not_do(tmp_path: Path, broken: Break, hazard: str) -> None:
    world = crash.kept()
    broken(world)
    found = world.judged(CONNECTIONS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason


def ended_long_before(world: World) -> None:
    for one in world.lines("peer.app", "kept.closed", connection="raw.peer.0"):
        one["ns"] = ns(9.0)


def never_ended(world: World) -> None:
    world.drop(world.stamps["peer.app"], "kept.closed", connection="raw.peer.0")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (lambda world: without(world, "peer", "long.peer.1"), "again 2.0 s after the sidecar's"),
        (ended_long_before, "not in use when the sidecar was killed: raw of peer"),
        (never_ended, "the raw connection of peer did not end"),
        (lambda world: world.drop(world.steps, "crash.asked"), "no crash is in steps"),
        (lambda world: world.missing.add("stamps/peer.app.jsonl"), "peer.app.jsonl is missing"),
    ],
)
def test_what_shows_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = crash.kept()
    doubtful(world)
    found = world.judged(CONNECTIONS, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

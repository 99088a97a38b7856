"""wire.stranger: nobody is let in whom no policy lets in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import DIALER, POD, World
from tests.worlds import between
from tests.worlds.stop import shown

STRANGER = "wire.stranger"


def answer(world: World, at: float) -> None:
    """The stranger's dials of a tenth of a second are answered."""
    for line in world.lines("dialer.dialer", "request.end", kind="dial"):
        if abs(line["ns"] / 1e9 - (1_795_000_000 + at)) < 0.1:
            line["outcome"] = "ok"


def test_nobody_is_let_in(tmp_path: Path) -> None:
    found = between.between().held(STRANGER, tmp_path)
    assert found.observed == "holds", found.reason
    assert set(found.measured["dials"]) == {"startup", "steady", "agent-killed", "shutdown"}
    assert min(found.measured["dials"].values()) >= 3


@pytest.mark.parametrize(("ended", "observed"), [(5.2, "holds"), (4.95, "broken")])
def test_who_knocked_before_the_policy_was_lifted_may_be_answered_after_that(
    tmp_path: Path, ended: float, observed: str
) -> None:
    world = between.between()
    its = world.attempt(
        4.85, "dialer.dialer", "dial", 777, "ok", target=f"{POD}:8080", took=ended - 4.85
    )
    between.talked(world, 4.85, (DIALER, world.next_port()), (POD, 8080), its)
    if observed == "holds":
        world.served(5.15, 5.16, "subject.app", its, f"{DIALER}:50003")
    assert world.judged(STRANGER, tmp_path).observed == observed


@pytest.mark.parametrize("at", [1.5, 3.0, 7.5, 9.5, 12.0])
def test_an_answer_in_any_window(tmp_path: Path, at: float) -> None:
    world = between.between()
    answer(world, at)
    assert shown(world.judged(STRANGER, tmp_path)) == ("broken", "let-in")


@pytest.mark.parametrize("at", [1.5, 7.5, 12.0])
def test_a_request_that_was_served_and_whose_answer_was_lost(tmp_path: Path, at: float) -> None:
    world = between.between()
    its = "cny.0123456789ab.dial.dialer.000777"
    world.served(at, at + 0.01, "subject.app", its, f"{DIALER}:50003")
    assert shown(world.judged(STRANGER, tmp_path)) == ("broken", "let-in")


def never_lifted(world: World) -> None:
    """Its silence shows nothing: it may not be able to ask at all."""
    for line in world.lines("dialer.dialer", "request.end", outcome="ok"):
        line["outcome"] = "timeout"


def silent(world: World) -> None:
    world.stamps["dialer.dialer"] = [
        line for line in world.stamps["dialer.dialer"] if not 6.5e9 < line["ns"] % 10**12 < 10e9
    ]


def deaf(world: World) -> None:
    """Nor is a friend answered: there is nobody who could."""
    for line in world.lines("peer.app", "request.end"):
        line["outcome"] = "timeout"


DOUBTS: dict[str, Callable[[World], object]] = {
    "never lifted": never_lifted,
    "nobody dials while the agent is away": silent,
    "nobody is answered": deaf,
    "never ready": lambda world: world.drop(world.steps, "subject.ready"),
    "never back": lambda world: world.drop(world.steps, "policy.back"),
    "never settled": lambda world: world.drop(world.steps, "agent.settled"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_carries_no_verdict(tmp_path: Path, doubt: str) -> None:
    world = between.between()
    DOUBTS[doubt](world)
    found = world.judged(STRANGER, tmp_path)
    assert found.observed == "inconclusive", found.reason

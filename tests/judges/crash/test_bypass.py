"""crash.bypass: nobody is answered past a sidecar that is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, ns
from tests.worlds import crash
from tests.worlds.crash import came_back_once_only, never_died

BYPASS = "crash.bypass"
Break = Callable[[World], object]
BOTH = pytest.mark.parametrize("pattern", ["native", "classic"])


def test_strangers_that_were_answered_before_the_crash_are_another_hazard(tmp_path: Path) -> None:
    world = crash.crash()
    for seq in range(60):
        world.dial(7.0 + seq * 0.45, "dial", 900 + seq, "ok")
    found = world.judged("crash.bypass", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "answered-while-the-sidecar-lived")


@BOTH
def test_a_stranger_is_not_answered_while_it_is_away(tmp_path: Path, pattern: str) -> None:
    found = crash.crash(pattern).judged(BYPASS, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["crash_dials"] > 20
    assert found.measured["proxy_crash_syns_arrived"] > 50


@pytest.mark.parametrize(
    ("at", "where"), [(10.5, {"crash": 1}), (30.0, {"proxy crash": 1}), (8.0, None), (16.5, None)]
)
def test_an_answer_counts_in_the_windows_of_crashes_only(
    tmp_path: Path, at: float, where: dict[str, int] | None
) -> None:
    world = crash.crash()
    world.dial(at, "dial", 900, "ok")
    found = world.judged(BYPASS, tmp_path)
    assert found.observed == ("broken" if where else "holds"), found.reason
    if where:
        assert found.hazard == "answered"
        assert found.measured["answered_by_window"] == where


def nobody_dialled(world: World) -> None:
    world.stamps["dialer.dialer"] = [
        one
        for one in world.stamps["dialer.dialer"]
        if "dial-probe" in one["token"] or not ns(10.15) < one["ns"] < ns(15.1)
    ]


def nothing_arrived(world: World) -> None:
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]
    world.frames = [one for one in world.frames if dialer not in one[1][26:34]]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (nobody_dialled, "0 dials without a sidecar (crash), and 5 are needed"),
        (nothing_arrived, "did not arrive"),
        (never_died, "was made to 2 times"),
        (came_back_once_only, "never came back"),
    ],
)
def test_dials_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = crash.crash()
    doubtful(world)
    found = world.judged(BYPASS, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

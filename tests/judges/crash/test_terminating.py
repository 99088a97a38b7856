"""crash.terminating: a sidecar that crashes in a pod on its way out stays dead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import stop
from tests.worlds.stop import (
    move,
    shown,
)

Break = Callable[[World], object]
CRASH = "crash.terminating"


def test_a_sidecar_that_stays_dead(tmp_path: Path) -> None:
    found = stop.terminating().judged(CRASH, tmp_path)
    assert found.observed == "holds"
    assert found.measured["twin_back_after_seconds"] == pytest.approx(1.2)


def test_a_sidecar_that_comes_back(tmp_path: Path) -> None:
    world = stop.terminating()
    world.stamp(19.0, "subject.envoy", "sidecar.started")
    assert shown(world.judged(CRASH, tmp_path)) == ("broken", "restarted")


def test_a_sidecar_that_is_about_to_come_back(tmp_path: Path) -> None:
    """It has a new container, whose program did not come to its first instruction."""
    world = stop.terminating()
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append("9" * 64)
    assert shown(world.judged(CRASH, tmp_path)) == ("broken", "restarted")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.stamps["twin.envoy"].pop(),  # nobody is restarted here
        lambda world: move(world, "subject", "app", "app.last", 13.0),  # too short to tell
        lambda world: move(world, "subject", "envoy", "sidecar.crash", 9.0),
        lambda world: move(world, "subject", "envoy", "sidecar.crash", 20.2),
        lambda world: world.drop(world.stamps["subject.envoy"], "sidecar.crash"),
    ],
)
def test_crashes_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.terminating()
    doubtful(world)
    assert world.judged(CRASH, tmp_path).observed == "inconclusive"

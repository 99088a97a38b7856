"""logs.crash: a shipper that is killed loses no line that was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import World
from tests.worlds import logs
from tests.worlds.logs import forget

CRASH = "logs.crash"
Break = Callable[[World], object]


def test_a_crash_that_loses_nothing(tmp_path: Path) -> None:
    found = logs.crash().judged(CRASH, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["came_twice"] == 2
    assert found.measured["refused_before_the_crash"] == 4


def test_a_crash_that_loses_what_was_refused(tmp_path: Path) -> None:
    world = logs.crash()
    forget(world, "subject", 12, 15)
    found = world.judged(CRASH, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", "lost-lines", 4)


def never_killed(world: World) -> None:
    world.exited(7.56, forge.ENVOY, 0)


def nothing_refused(world: World) -> None:
    world.drop(world.stamps["sink.sink"], "sink.refused")


def did_not_go_on(world: World) -> None:
    forget(world, "subject", 20, 200)


def not_started_again(world: World) -> None:
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].pop()


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (never_killed, "by a SIGKILL"),
        (nothing_refused, "nothing was at stake"),
        (did_not_go_on, "did not go on"),
        (not_started_again, "a second time"),
        (lambda world: world.drop(world.steps, "sidecar.resumed"), "did not come to"),
    ],
)
def test_crashes_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = logs.crash()
    doubtful(world)
    found = world.judged(CRASH, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_lines_lost_before_anything_was_refused_are_no_crashs(tmp_path: Path) -> None:
    """The shipper had skipped the file's beginning; the crash cost nothing."""
    world = logs.crash()
    forget(world, "subject", 0, 3)
    found = world.judged(CRASH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-elsewhere"), found.reason

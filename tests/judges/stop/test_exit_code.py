"""stop.exit-code: bad ends of sidecars fail no Job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import stop
from tests.worlds.stop import (
    exited,
    job_ends,
    shown,
)

Break = Callable[[World], object]
EXIT = "stop.exit-code"


def test_bad_ends_of_sidecars_fail_no_job(tmp_path: Path) -> None:
    found = stop.killed().judged(EXIT, tmp_path)
    assert found.observed == "holds"
    assert found.measured["exit_codes"] == {"app": 0, "envoy": 137, "second": 143}


def test_a_job_that_fails_for_its_sidecars(tmp_path: Path) -> None:
    world = stop.killed("classic")
    job_ends(world, "Failed")
    world.watch[-3]["object"]["status"]["phase"] = "Failed"
    assert shown(world.judged(EXIT, tmp_path)) == ("broken", "job-failed")


def test_a_complete_job_of_a_failed_pod(tmp_path: Path) -> None:
    world = stop.killed()
    world.watch[-3]["object"]["status"]["phase"] = "Failed"
    assert shown(world.judged(EXIT, tmp_path)) == ("broken", "job-failed")


def failed_for_its_deadline(world: World) -> None:
    job_ends(world, "Failed", "DeadlineExceeded")
    world.watch[-3]["object"]["status"]["phase"] = "Failed"


def evicted(world: World) -> None:
    """The node ran out of something: its codes are as they were to be, and say nothing."""
    job_ends(world, "Failed")
    world.watch[-3]["object"]["status"] |= {"phase": "Failed", "reason": "Evicted"}


def pod_ends_unseen(world: World) -> None:
    """The watch broke off before the pod's last phase."""
    world.watch[-3]["object"]["status"]["phase"] = "Running"


@pytest.mark.parametrize(
    "doubtful",
    [
        failed_for_its_deadline,
        evicted,
        pod_ends_unseen,
        lambda world: exited(world, "subject", "envoy", 8.4, 0),  # it ended well
        lambda world: exited(world, "subject", "app", 5.0, 1),  # the main failed by itself
        lambda world: world.watch.pop(),  # the Job never ended
    ],
)
def test_exit_codes_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.killed()
    doubtful(world)
    assert world.judged(EXIT, tmp_path).observed == "inconclusive"

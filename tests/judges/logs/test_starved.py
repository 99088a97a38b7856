"""logs.starved: a shipper whose app uses up the grace period, and its patient twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import ENVOY, World
from tests.worlds import lifecycle, logs
from tests.worlds.logs import forget, lines

STARVED = "logs.starved"
Break = Callable[[World], object]


def killed_over_its_lines(world: World) -> None:
    world.unexited(forge.ENVOY)
    world.exited(17.2, forge.ENVOY, 137)
    forget(world, "subject", lines(world) - 9, lines(world))


def test_a_shipper_that_had_time_enough(tmp_path: Path) -> None:
    found = logs.starved().judged(STARVED, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_starved_shipper_and_its_patient_twin(tmp_path: Path) -> None:
    world = logs.starved()
    killed_over_its_lines(world)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "starved")
    assert (found.measured["lost"], found.measured["patient_lost"]) == (9, 0)
    assert found.measured["shipper_had_seconds"] == pytest.approx(2.0)


def test_a_loss_that_time_does_not_heal_is_another_hazard(tmp_path: Path) -> None:
    world = logs.starved()
    killed_over_its_lines(world)
    forget(world, "patient", 80, 200)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")


def test_a_loss_of_a_shipper_that_ended_by_itself_is_not_starved(tmp_path: Path) -> None:
    world = logs.starved()
    forget(world, "subject", lines(world) - 9, lines(world))
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")


def test_lines_lost_in_the_middle_are_no_last_ones(tmp_path: Path) -> None:
    world = logs.starved()
    forget(world, "subject", 40, 41)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")


def test_a_shipper_that_was_killed_before_its_signal_was_not_starved(tmp_path: Path) -> None:
    """For its memory, say: the code is the same."""
    world = logs.starved()
    killed_over_its_lines(world)
    world.unexited(forge.ENVOY)
    world.exited(14.0, forge.ENVOY, 137)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")


def test_an_app_that_ended_in_time_starves_nobody(tmp_path: Path) -> None:
    world = logs.starved()
    world.exited(15.11, forge.APP, 0)
    found = world.judged(STARVED, tmp_path)
    assert found.observed == "inconclusive"
    assert "was not killed" in found.reason


def test_without_a_patient_pod_of_the_same_pattern_nothing_is_proven(tmp_path: Path) -> None:
    world = logs.starved()
    for line in world.watch:
        if line["object"]["metadata"]["name"] == "patient":
            line["object"]["spec"] = lifecycle.spec("classic")
    found = world.judged(STARVED, tmp_path)
    assert found.observed == "inconclusive"
    assert "no patient pod" in found.reason


def test_a_shipper_that_was_killed_at_once_did_not_starve(tmp_path: Path) -> None:
    """The kernel kills it, for memory, 0.2 s after its signal; the kubelet gives it 2 s."""
    world = logs.starved()
    world.unexited(ENVOY)
    world.exited(15.4, ENVOY, 137)
    count = len(world.lines("subject.app", "lines"))
    forget(world, "subject", count - 5, count - 1)
    found = world.judged("logs.starved", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last"), found.reason

"""logs.first, logs.last: every line is accounted for, and doubt is never a pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import ENVOY, World, ns
from tests.worlds import logs
from tests.worlds.logs import arrives, forget, lines

FIRST, LAST = "logs.first", "logs.last"
Break = Callable[[World], object]


def test_native_delivers_every_line(tmp_path: Path) -> None:
    found = logs.logs().judged(LAST, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["lost"] == found.measured["came_twice"] == 0
    assert found.measured["written"] == found.measured["received"] == 97


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_job_delivers_every_line_in_both_patterns(tmp_path: Path, pattern: str) -> None:
    found = logs.job(pattern).judged(LAST, tmp_path)
    assert found.observed == "holds", found.reason


def test_classic_loses_what_comes_behind_the_shippers_signal(tmp_path: Path) -> None:
    found = logs.logs("classic").judged(LAST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")
    assert found.measured["lost"] == found.measured["lost_at_the_end"] == 50
    assert "after the shipper was told to end" in found.reason


def test_one_lost_line_in_the_middle_is_another_hazard(tmp_path: Path) -> None:
    world = logs.logs()
    forget(world, "subject", 40, 40)
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", "lost-lines", 1)


def test_only_the_very_last_line_lost_is_lost(tmp_path: Path) -> None:
    world = logs.logs()
    forget(world, "subject", lines(world) - 1, lines(world))
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", "lost-last", 1)


def crashes_for_good(world: World) -> None:
    """In the middle of its life, and nobody told it to end: all that comes behind is lost."""
    world.unexited(forge.ENVOY)
    world.exited(8.0, forge.ENVOY, 1)
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    forget(world, "subject", 20, lines(world))


def crashes_and_is_told_later(world: World) -> None:
    crashes_for_good(world)
    second = "e2" * 32
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append(second)
    world.created(9.0, second)
    world.signalled(10.046, second)
    world.exited(15.2, second)


@pytest.mark.parametrize("crash", [crashes_for_good, crashes_and_is_told_later])
def test_a_shipper_that_crashed_did_not_lose_the_last_lines_by_its_signal(
    tmp_path: Path, crash: Break
) -> None:
    world = logs.logs("classic")
    crash(world)
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines"), found.reason


def test_a_line_sent_twice_does_not_stand_for_a_lost_one(tmp_path: Path) -> None:
    world = logs.logs()
    forget(world, "subject", 40, 41)
    arrives(world, 16.0, "subject", 42, 43)
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")
    assert found.measured["came_twice"] == 2
    assert found.measured["out_of_order"] == 1


def test_the_first_lines_lost_break_the_first_promise_alone(tmp_path: Path) -> None:
    world = logs.logs()
    forget(world, "subject", 0, 6)
    found = world.judged(FIRST, tmp_path / "first")
    assert (found.observed, found.hazard) == ("broken", "lost-first")
    assert found.measured["lost_at_the_beginning"] == 7
    assert world.judged(LAST, tmp_path / "last").observed == "holds"


def another_cells_lines(world: World) -> None:
    """The sink got lines, but of another writer."""
    for line in world.lines("sink.sink", "sink.received"):
        line["runs"] = {"other": line["runs"]["subject"]}


def nothing_behind_the_signal(world: World) -> None:
    """The app ended at once: in a classic pod nothing would have been lost either."""
    world.lines("subject.app", "app.sigterm")[0]["ns"] = forge.ns(15.0)


def deleted_by_someone_else(world: World) -> None:
    """The scenario had not come to the deletion, and the app ended at its signal all the same."""
    nothing_behind_the_signal(world)
    world.drop(world.steps, "delete.asked")
    world.drop(world.steps, "delete.accepted")


def record_with_a_hole(world: World) -> None:
    world.drop(world.stamps["subject.app"], "lines", first=30)


def sink_stood_still(world: World) -> None:
    world.stamps["sink.sink"] = [
        one for one in world.stamps["sink.sink"] if not forge.ns(6) < one["ns"] < forge.ns(17)
    ]
    arrives(world, 17.1, "subject", 0, lines(world) - 1)


def too_slow(world: World) -> None:
    world.lines("subject.app", "app.started")[0]["rate"] = 10_000


def lines_from_nowhere(world: World) -> None:
    arrives(world, 17.0, "subject", 5000, 5000)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (another_cells_lines, "no line arrived at all"),
        (nothing_behind_the_signal, "by chance"),
        (deleted_by_someone_else, "by chance"),
        (record_with_a_hole, "has a hole"),
        (sink_stood_still, "no sign of life"),
        (too_slow, "too slow"),
        (lines_from_nowhere, "that nobody wrote"),
        (lambda world: world.drop(world.stamps["sink.sink"], "sink.asked"), "at rest"),
        (lambda world: world.lines("sink.sink", "sink.asked")[0].update(active=1), "at rest"),
        (lambda world: world.stamp(12.0, "sink.sink", "sink.last"), "at rest"),
        (lambda world: world.stamp(6.0, "sink.sink", "sink.started"), "twice"),
        (lambda world: world.drop(world.stamps["subject.app"], "app.last"), "its last line"),
        (lambda world: world.drop(world.stamps["subject.app"], "lines"), "wrote no line"),
        (lambda world: world.index["admitted"].update(pattern="none"), "never injected"),
    ],
)
def test_worlds_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = logs.logs()
    doubtful(world)
    found = world.judged(LAST, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_first_lines_lost_by_a_shipper_that_crashed(tmp_path: Path) -> None:
    world = logs.logs("classic")
    world.index["cell"]["mode"] = "lazy"
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"] = ["9" * 64, ENVOY]
    world.created(0.95, "9" * 64)
    world.exited(2.0, "9" * 64, 137)
    world.runtime = [
        (ns(3.0), *one[1:])
        if one[1] == "/tasks/create" and one[2]["container_id"] == ENVOY
        else one
        for one in world.runtime
    ]
    forget(world, "subject", 0, 15)
    found = world.judged("logs.first", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines"), found.reason

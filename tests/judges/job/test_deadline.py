"""job.deadline: what waits for the mesh, what ends for its deadline, and what is only late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import jobs

DEADLINE = "job.deadline"
Break = Callable[[World], object]


def test_one_fails_and_is_removed_and_the_other_waits_for_the_mesh(tmp_path: Path) -> None:
    found = jobs.deadline().judged(DEADLINE, tmp_path)
    assert found.observed == "holds"
    assert found.measured["failed_after_deadline_seconds"] == 2
    assert found.measured["removed_after_failure_seconds"] == pytest.approx(2.6)


def never_removed(world: World) -> None:
    world.watch = [one for one in world.watch if one["type"] != "DELETED"]


def never_failed(world: World) -> None:
    never_removed(world)
    world.watch = [
        one for one in world.watch
        if one["object"]["metadata"]["name"] != "bounded"
        or "conditions" not in one["object"]["status"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "said"), [(never_removed, "not removed"), (never_failed, "not failed")]
)
def test_what_does_not_come_in_time_is_broken(tmp_path: Path, broken: Break, said: str) -> None:
    world = jobs.deadline()
    broken(world)
    world.step(90.0, "stuck", why="the removal did not come")
    found = world.judged(DEADLINE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "late")
    assert said in found.reason


def failed_otherwise(world: World) -> None:
    for one in world.watch:
        for condition in one["object"].get("status", {}).get("conditions", ()):
            if condition["reason"] == "DeadlineExceeded":
                condition["reason"] = "BackoffLimitExceeded"


def removed_by_hand(world: World) -> None:
    for one in world.watch:
        if one["type"] == "DELETED":
            one["ns"] = ns(11.5)


def app_started_in_time(world: World) -> None:
    """The mesh was not down."""
    (ident,) = world.index["pods"]["unbounded-1"]["containers"]["app"]["ids"]
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != ident]
    world.created(5.0, ident)


def other_ended_early(world: World) -> None:
    jobs.ends(world, 9.0, "unbounded", "Failed", "BackoffLimitExceeded")


def other_never_completed(world: World) -> None:
    """Something else than the mesh kept it."""
    world.watch = [
        one for one in world.watch
        if one["object"]["metadata"]["name"] != "unbounded"
        or "conditions" not in one["object"]["status"]
    ]  # fmt: skip


def mesh_never_back(world: World) -> None:
    world.drop(world.steps, "mesh.up")


def other_has_a_deadline_too(world: World) -> None:
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "unbounded":
            one["object"]["spec"]["activeDeadlineSeconds"] = 100


def never_seen_waiting(world: World) -> None:
    world.watch = [one for one in world.watch if one["object"]["metadata"]["name"] != "bounded-1"]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (never_removed, "watched for"),
        (never_failed, "watched for"),
        (failed_otherwise, "another reason"),
        (removed_by_hand, "by someone else"),
        (app_started_in_time, "nothing was waiting"),
        (other_ended_early, "said to be Complete and Failed"),
        (other_never_completed, "did not complete when the mesh was back"),
        (mesh_never_back, "an app started while the mesh was down"),
        (other_has_a_deadline_too, "not as they should be"),
        (never_seen_waiting, "bounded and a pod of it"),
    ],
)
def test_worlds_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.deadline()
    doubtful(world)
    found = world.judged(DEADLINE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

"""see.sidecarless and job.sidecarless."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import between
from tests.worlds.stop import shown

SEE, JOB = "see.sidecarless", "job.sidecarless"


def test_nothing_was_injected(tmp_path: Path) -> None:
    found = between.between().held(SEE, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["pods"] == 4


@pytest.mark.parametrize("role", ["subject", "peer", "near", "task"])
@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_one_container_too_many(tmp_path: Path, role: str, group: str) -> None:
    world = between.between()
    for line in world.watch:
        if line["object"]["metadata"]["uid"] == f"uid-{role}":
            spec = dict(line["object"]["spec"])
            spec[group] = [*spec.get(group, ()), {"name": "proxy"}]
            line["object"]["spec"] = spec
    assert shown(world.judged(SEE, tmp_path)) == ("broken", "injected")


def without_pod(world: World, role: str) -> None:
    world.watch = [one for one in world.watch if one["object"]["metadata"]["uid"] != f"uid-{role}"]


def test_a_pod_that_nobody_saw(tmp_path: Path) -> None:
    world = between.between()
    without_pod(world, "near")
    assert world.judged(SEE, tmp_path).observed == "inconclusive"


def test_a_job_completes(tmp_path: Path) -> None:
    found = between.between().held(JOB, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["after_its_container_seconds"] == pytest.approx(0.3)


def never_complete(world: World) -> None:
    for one in world.watch:
        if one["kind"] == "Job":
            one["object"]["status"] = {"active": 1}


def test_a_job_that_does_not(tmp_path: Path) -> None:
    world = between.between()
    never_complete(world)
    world.step(19.0, "end")  # 15.1 s after its container's end
    assert shown(world.judged(JOB, tmp_path)) == ("broken", "never-completes")


def test_a_job_that_was_not_watched_for_long_enough(tmp_path: Path) -> None:
    world = between.between()
    never_complete(world)
    found = world.judged(JOB, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "watched for 12.1 s after its container's end only" in found.reason


def test_a_job_that_nobody_saw(tmp_path: Path) -> None:
    world = between.between()
    world.watch = [one for one in world.watch if one["kind"] != "Job"]
    world.step(40.0, "end")
    found = world.judged(JOB, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "the Job task is not in watch.jsonl" in found.reason


def test_a_job_whose_container_failed_is_not_complete_rightly(tmp_path: Path) -> None:
    world = between.between()
    never_complete(world)
    world.step(40.0, "end")
    for one in world.watch:
        for status in one["object"]["status"].get("containerStatuses", ()):
            if one["object"]["metadata"]["uid"] == "uid-task":
                status["state"]["terminated"]["exitCode"] = 1
    found = world.judged(JOB, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "ended with [1]" in found.reason


def test_a_job_whose_container_did_not_end(tmp_path: Path) -> None:
    world = between.between()
    for one in world.watch:
        if one["object"]["metadata"]["uid"] == "uid-task":
            one["object"]["status"] = {"phase": "Running"}
    assert world.judged(JOB, tmp_path).observed == "inconclusive"

"""job.workarounds: a Job that completes because its main ended the sidecar, and at what cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import jobs

WORKAROUNDS = "job.workarounds"
Break = Callable[[World], object]


def test_each_way_completes_a_classic_job_and_its_cost_is_told(tmp_path: Path) -> None:
    found = jobs.workarounds().judged(WORKAROUNDS, tmp_path)
    assert found.observed == "holds"
    assert found.measured["quit"] == {
        "complete_after_seconds": 2.0, "main_alone_seconds": 2.5,
        "late_requests": 3, "late_lost": 2, "late_leaked": 1,
    }  # fmt: skip
    assert found.measured["crash"] == {"never_ends": True, "held_seconds": 14.0}


def test_a_plain_sidecar_knows_one_way_less(tmp_path: Path) -> None:
    world = jobs.workarounds()
    jobs.drop_job(world, "marker")
    jobs.drop_job(world, "kill")
    assert world.judged(WORKAROUNDS, tmp_path).observed == "holds"


def in_vain(world: World) -> None:
    """The sidecar does not do as it is told: the Job is held all the same."""
    jobs.drop_job(world, "marker")
    jobs.job(world, 0, "marker", {"active": 1})
    sidecars = [(1.5, jobs.QUIT + 0.5, 0)]
    jobs.pod(world, "marker", "markerpod", mains=[(1.0, 8.0, 0)], sidecars=sidecars)
    world.stamp(5.0, "markerpod.app", "workaround.begin", how="marker")
    world.step(jobs.QUIT, "sidecar.quit-asked", pod="markerpod", container="sidecar")
    for step in world.steps:
        if step["step"] == "job.bound":
            step["jobs"] = ["marker", "crash"]
    jobs.ends(world, 25.0, "marker", "Complete", "CompletionsReached", succeeded=1)


def killed_too_hard(world: World) -> None:
    """Its sidecar ended with 137, and the pod failed."""
    for one in world.watch:
        if one["kind"] == "Job" and one["object"]["metadata"]["name"] == "kill":
            for condition in one["object"]["status"].get("conditions", ()):
                condition["type"] = "Failed"


@pytest.mark.parametrize(
    ("broken", "hazard"), [(in_vain, "never-completes"), (killed_too_hard, "failed-by-sidecar")]
)
def test_a_way_that_does_not_complete_its_job_is_broken(
    tmp_path: Path, broken: Break, hazard: str
) -> None:
    world = jobs.workarounds()
    broken(world)
    found = world.judged(WORKAROUNDS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard)


def sidecar_had_gone(world: World) -> None:
    """It had crashed before the main did anything about it."""
    (ident,) = world.index["pods"]["quitpod"]["containers"]["sidecar"]["ids"]
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != ident]
    world.created(1.5, ident)
    world.exited(4.0, ident)


def told_by_the_kubelet(world: World) -> None:
    (ident,) = world.index["pods"]["quitpod"]["containers"]["sidecar"]["ids"]
    world.signalled(5.2, ident)


def never_came_to_it(world: World) -> None:
    world.drop(world.stamps["quitpod.app"], "workaround.begin")


def main_failed(world: World) -> None:
    (ident,) = world.index["pods"]["quitpod"]["containers"]["app"]["ids"]
    for _, topic, body in world.runtime:
        if topic == "/tasks/exit" and body["container_id"] == ident:
            body["exit_status"] = 1


def never_crashed(world: World) -> None:
    (ident,) = world.index["pods"]["crashpod"]["containers"]["app"]["ids"]
    for _, topic, body in world.runtime:
        if topic == "/tasks/exit" and body["container_id"] == ident:
            body["exit_status"] = 0


def crash_never_bound(world: World) -> None:
    world.drop(world.steps, "job.bound")


def one_was_never_seen(world: World) -> None:
    """It was submitted like the others, and the watch does not know it."""
    for way in ("quit", "marker", "kill", "crash"):
        world.step(0.1, "job.create", job=way)
    jobs.drop_job(world, "kill")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (one_was_never_seen, "kill and a pod of it"),
        (sidecar_had_gone, "before the main set about"),
        (told_by_the_kubelet, "by the kubelet"),
        (never_came_to_it, "never came to its workaround"),
        (main_failed, "no main ended with 0"),
        (never_crashed, "did not crash"),
        (crash_never_bound, "did not come to its end"),
        (lambda world: jobs.drop_job(world, "crash"), "crash and a pod of it"),
    ],
)
def test_ways_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.workarounds()
    doubtful(world)
    found = world.judged(WORKAROUNDS, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

"""job.failure, job.policies, job.sidecar-restarts: who failed, how often, and what held the Job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence.vocabulary import Step
from tests.forge.bundle import Json, World, ns
from tests.worlds import jobs

FAILURE, POLICIES, RESTARTS = "job.failure", "job.policies", "job.sidecar-restarts"
Break = Callable[[World], object]


def ids(world: World, pod: str, container: str) -> list[str]:
    found: list[str] = world.index["pods"][pod]["containers"][container]["ids"]
    return found


def exits(world: World, ident: str, at: float | None, status: int = 0) -> None:
    """Say otherwise when and how a container ended."""
    world.unexited(ident)
    if at is not None:
        world.exited(at, ident, status)


def forget(world: World, name: str) -> None:
    """A pod that never was."""
    del world.index["pods"][name]
    world.watch = [one for one in world.watch if one["object"]["metadata"]["name"] != name]


def conditions(world: World, job: str) -> list[dict[str, str]]:
    return [
        condition
        for one in world.watch
        if one["kind"] == "Job" and one["object"]["metadata"]["name"] == job
        for condition in one["object"]["status"].get("conditions", ())
    ]


def stays(world: World, job: str) -> None:
    """The Job never ends, and never counts anything."""
    world.watch = [
        one for one in world.watch
        if one["kind"] != "Job"
        or one["object"]["metadata"]["name"] != job
        or one["object"]["status"].get("active")
    ]  # fmt: skip


def test_who_is_asked_to_quit_after_the_kubelet_ended_it_did_not_end_its_job(
    tmp_path: Path,
) -> None:
    """The scenario asks all sidecars of Jobs that are not seen to have ended yet: that of a Job
    which is about to be seen so was told by the kubelet, and is gone."""
    world = jobs.jobs()
    line = next(
        one for one in world.watch
        if one["kind"] == "Job" and one["object"]["metadata"]["name"] == "fails"
        and one["object"]["status"].get("conditions")
    )  # fmt: skip
    world.step((line["ns"] - ns(0)) / 1e9 - 0.01, Step.SIDECAR_QUIT_ASKED, pod="fails-2")
    found = world.judged(FAILURE, tmp_path)
    assert found.observed == "holds", found.reason


# --- job.failure ----------------------------------------------------------------------------------


def test_failing_mains_fail_their_jobs(tmp_path: Path) -> None:
    found = jobs.jobs().judged(FAILURE, tmp_path)
    assert found.observed == "holds"
    assert found.measured["tries"] == {"fails": 2, "fails-indexed": 2, "fails-parallel": 2}


def test_classic_sidecars_keep_the_failures_from_being_counted(tmp_path: Path) -> None:
    found = jobs.jobs("classic").judged(FAILURE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-fails")
    assert set(found.measured["held_seconds"]) == {"fails", "fails-indexed", "fails-parallel"}


def test_a_job_that_is_not_tried_again_is_broken(tmp_path: Path) -> None:
    world = jobs.jobs()
    forget(world, "fails-2")
    found = world.judged(FAILURE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-tries")


def test_a_job_that_tells_another_code_is_broken(tmp_path: Path) -> None:
    """The main ended with 42, and the API says that it was the sidecar's 1."""
    world = jobs.jobs()
    for one in world.watch:
        if one["kind"] == "Pod" and one["object"]["metadata"]["name"] == "fails-2":
            (main,) = one["object"]["status"]["containerStatuses"]
            if "terminated" in main["state"]:
                main["state"]["terminated"]["exitCode"] = 1
    found = world.judged(FAILURE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-code")


def sidecar_gone_first(world: World) -> None:
    """Its sidecar had crashed before: the Job had nothing to wait for."""
    exits(world, ids(world, "fails-2", "sidecar")[-1], 18.5, 1)


def failed_with_the_sidecars_code(world: World) -> None:
    exits(world, ids(world, "fails-1", "app")[-1], 4.0, 137)


def killed_by_the_kubelet(world: World) -> None:
    """Its mains did not fail, they were stopped."""
    for name in ("fails-1", "fails-2"):
        world.signalled(3.5 if name == "fails-1" else 18.5, ids(world, name, "app")[-1])


def failed_for_its_deadline(world: World) -> None:
    conditions(world, "fails-parallel")[0]["reason"] = "DeadlineExceeded"


def naked_second_try(world: World) -> None:
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "fails-2":
            one["object"]["spec"].pop("initContainers", None)


def never_seen(world: World) -> None:
    jobs.drop_job(world, "fails-parallel")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (sidecar_gone_first, "no sidecar ran beside"),
        (failed_with_the_sidecars_code, "not as it was told"),
        (killed_by_the_kubelet, "no main of Job fails was seen to fail"),
        (failed_for_its_deadline, "another reason"),
        (naked_second_try, "never injected"),
        (never_seen, "not in watch.jsonl"),
        (lambda world: stays(world, "fails"), "did not come to its end"),
    ],
)
def test_native_failures_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.jobs()
    doubtful(world)
    found = world.judged(FAILURE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def only_slow(world: World) -> None:
    """The kubelet had told a sidecar to stop: the Job would have failed by itself."""
    world.signalled(19.0, ids(world, "fails-1", "sidecar")[-1])


def sidecar_quit_by_itself(world: World) -> None:
    exits(world, ids(world, "fails-1", "sidecar")[-1], 19.0)


def sidecar_never_quit(world: World) -> None:
    exits(world, ids(world, "fails-1", "sidecar")[-1], None)


def bound_too_early(world: World) -> None:
    (bound,) = (one for one in world.steps if one["step"] == "job.bound")
    bound["ns"] = ns(10.0)


def counted_before_the_bound(world: World) -> None:
    first = next(
        one
        for one in world.watch
        if one["kind"] == "Job" and one["object"]["metadata"]["name"] == "fails"
    )
    counted = {"active": 1, "failed": 1}
    world.watch.append({**first, "ns": ns(15.0), "object": {**first["object"], "status": counted}})


def never_bound(world: World) -> None:
    world.drop(world.steps, "job.bound")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (only_slow, "slow, and not held"),
        (sidecar_quit_by_itself, "ended by itself"),
        (sidecar_never_quit, "did not end when it was told to quit"),
        (bound_too_early, "too early"),
        (counted_before_the_bound, "active at the bound"),
        (never_bound, "did not come to its end"),
        (lambda world: stays(world, "fails"), "the cause is not proven"),
    ],
)
def test_classic_failures_whose_cause_is_not_proven(
    tmp_path: Path, doubtful: Break, said: str
) -> None:
    world = jobs.jobs("classic")
    doubtful(world)
    found = world.judged(FAILURE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- job.policies ---------------------------------------------------------------------------------


def test_on_failure_retries_in_place(tmp_path: Path) -> None:
    found = jobs.jobs().judged(POLICIES, tmp_path)
    assert found.observed == "holds"
    assert found.measured["failures_of_failing_main"] == 2


def test_on_failure_a_classic_job_never_completes_but_fails(tmp_path: Path) -> None:
    found = jobs.jobs("classic").judged(POLICIES, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-completes")
    assert found.measured["failing_main_fails"] is True


def test_a_failing_main_that_is_held_is_another_hazard(tmp_path: Path) -> None:
    """The Job that completed by itself does not stand for one that never completes."""
    world, name = jobs.jobs(), "restarts-and-fails"
    jobs.drop_job(world, name)
    same: Json = {"policy": "OnFailure", "main": {"SC_EXIT_CODE": "42"}}
    jobs.job(world, 0, name, {"active": 1}, backoffLimit=1, **same)
    twice = [(2.0, 3.0, 42), (3.5, 4.5, 42)]
    held = f"{name}-held"
    jobs.pod(world, name, held, mains=twice, sidecars=[(1.0, 20.6, 0)], over=23.0)
    (its,) = ids(world, held, "sidecar")
    world.journal = [one for one in world.journal if its not in one[1]]
    world.step(jobs.BOUND, "job.bound", jobs=[name])
    world.step(jobs.QUIT, Step.SIDECAR_QUIT_ASKED, pod=held, container="sidecar")
    jobs.ends(world, 24.0, name, "Failed", "BackoffLimitExceeded", failed=1)
    found = world.judged(POLICIES, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-fails"), found.reason


def test_a_main_that_succeeded_and_a_job_that_failed_is_broken(tmp_path: Path) -> None:
    world = jobs.jobs()
    (its,) = conditions(world, "restarts-and-completes")
    its["type"] = "Failed"
    found = world.judged(POLICIES, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-end")


def never_tried_again(world: World) -> None:
    """It succeeded at once: nothing was retried."""
    pod = world.index["pods"]["restarts-and-completes-1"]["containers"]["app"]
    pod["ids"] = pod["ids"][1:]


def under_never(world: World) -> None:
    for one in world.watch:
        if one["kind"] == "Job" and "restarts-and-fails" in one["object"]["metadata"]["name"]:
            one["object"]["spec"]["template"]["spec"]["restartPolicy"] = "Never"


def sidecar_gone(world: World) -> None:
    exits(world, ids(world, "restarts-and-completes-1", "sidecar")[-1], 4.0, 1)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (never_tried_again, "not tried twice"),
        (under_never, "not under OnFailure"),
        (sidecar_gone, "no sidecar ran beside"),
    ],
)
def test_policies_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.jobs()
    doubtful(world)
    found = world.judged(POLICIES, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- job.sidecar-restarts -------------------------------------------------------------------------


def test_a_crash_that_is_not_counted(tmp_path: Path) -> None:
    assert jobs.jobs().judged(RESTARTS, tmp_path).observed == "holds"


def failed_by_its_sidecar() -> World:
    world = jobs.jobs()
    jobs.failed_by_its_sidecar(world)
    return world


def test_a_crash_that_fails_the_job(tmp_path: Path) -> None:
    found = failed_by_its_sidecar().judged(RESTARTS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "failed-by-sidecar")
    assert (found.measured["sidecar_restarts"], found.measured["main_restarts"]) == (1, 0)


def main_failed_too(world: World) -> None:
    """Its own main ended by itself, before anyone told it to."""
    exits(world, ids(world, "crashed-on-failure-2", "app")[-1], 7.0, 1)


def failed_for_another_reason(world: World) -> None:
    conditions(world, "crashed-on-failure")[0]["reason"] = "DeadlineExceeded"


def never_crashed(world: World) -> None:
    exits(world, ids(world, "crashed-on-failure-2", "sidecar")[0], 9.5)


def crashed_before_the_main(world: World) -> None:
    exits(world, ids(world, "crashed-on-failure-2", "sidecar")[0], 1.0, 137)


def control_failed(world: World) -> None:
    conditions(world, "crashed-never")[0]["type"] = "Failed"


def never_restarted(world: World) -> None:
    pod = world.index["pods"]["crashed-on-failure-2"]["containers"]["sidecar"]
    pod["ids"] = pod["ids"][:1]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (main_failed_too, "not the only cause"),
        (failed_for_another_reason, "not the only cause"),
        (never_crashed, "did not crash"),
        (crashed_before_the_main, "did not crash beside its main"),
        (control_failed, "the main was not well"),
        (never_restarted, "not started again"),
    ],
)
def test_crashes_whose_effect_is_not_proven(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = failed_by_its_sidecar()
    doubtful(world)
    found = world.judged(RESTARTS, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

"""The jobs scenario: Jobs that fail, retry, run side by side or lose their sidecar, all at once.

Each Job either ends by itself, or is held by a sidecar that runs on. Nobody waits for "never": once
every Job that has not ended has been held for a set time, that is written down, their sidecars are
told to quit, and the Jobs move on, which proves what held them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.evidence.vocabulary import JobName, Step
from conformance.observe.scenarios.job import batch
from conformance.observe.stage import Stage, Stuck

CODE = 42  # what a failing main ends with; no sidecar ever does


@dataclass(frozen=True)
class _Plan:
    """What a Job is told; see batch.submit. pattern: the only one in which it is submitted."""

    spec: Mapping[str, Any]
    main: Mapping[str, object]
    policy: str = "Never"
    pattern: str = ""


_FAILS = {"SC_EXIT_CODE": CODE}
_PAIR = {"completions": 2, "parallelism": 2}


def _until_released(job: str) -> Mapping[str, object]:
    """Its main goes on until a file of the bundle is there, which every pod has as /evidence."""
    return {"SC_UNTIL": f"/evidence/{_release_of(job)}"}


def _release_of(job: str) -> str:
    return f"{job}.released"


JOBS = {
    "fails": _Plan({"backoffLimit": 1}, _FAILS),
    "fails-indexed": _Plan(
        {"backoffLimit": 1, "completionMode": "Indexed", **_PAIR}, {**_FAILS, "SC_FAIL_INDEX": 1}
    ),
    "fails-parallel": _Plan({"backoffLimit": 1, **_PAIR}, _FAILS),
    "restarts-and-fails": _Plan({"backoffLimit": 1}, _FAILS, "OnFailure"),
    "restarts-and-completes": _Plan(
        {"backoffLimit": 3}, {**_FAILS, "SC_FAIL_STARTS": 1}, "OnFailure"
    ),
    JobName.CRASHED_ON_FAILURE: _Plan(
        {"backoffLimit": 1}, _until_released(JobName.CRASHED_ON_FAILURE), "OnFailure", "native"
    ),
    JobName.CRASHED_NEVER: _Plan(
        {"backoffLimit": 1}, _until_released(JobName.CRASHED_NEVER), "Never", "native"
    ),
}


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the first Job's first pod. Raises Stuck."""
    stage.without_capture()
    plans = {job: plan for job, plan in JOBS.items() if plan.pattern in ("", stage.cell.pattern)}
    for job, plan in plans.items():
        batch.submit(stage, job, spec=plan.spec, policy=plan.policy, main=plan.main)
    subject = batch.await_pod(stage, "fails")
    with stage.going_on():
        if JobName.CRASHED_ON_FAILURE in plans:
            _crash_sidecars(stage)
        held = batch.await_settled(stage, tuple(plans), seconds=180)
        if held:
            _free(stage, held)
    return subject


def _crash_sidecars(stage: Stage) -> None:
    """Crash two sidecars beside their mains, and let each main end when its sidecar runs again;
    under OnFailure only when the job controller had its time to fail the Job for that, and did not.
    """
    jobs = (JobName.CRASHED_ON_FAILURE, JobName.CRASHED_NEVER)
    pods = [batch.await_pod(stage, job) for job in jobs]
    for pod in pods:
        batch.crash_sidecar(stage, pod)
    stage.wait(
        "another start of each crashed sidecar",
        lambda: all(_restarted(stage, pod) for pod in pods),
        seconds=60,
        seen=lambda: batch.describe(stage, jobs),
    )
    _release(stage, JobName.CRASHED_NEVER)
    try:
        stage.wait(
            f"the end of Job {JobName.CRASHED_ON_FAILURE}",
            lambda: batch.ended(stage, JobName.CRASHED_ON_FAILURE),
            seconds=3 * batch.BOUND_SECONDS,
            seen=lambda: "",
        )
    except Stuck:
        _release(stage, JobName.CRASHED_ON_FAILURE)


def _release(stage: Stage, job: str) -> None:
    stage.step(Step.JOB_RELEASED, job=job)
    (stage.bundle / _release_of(job)).touch()


def _restarted(stage: Stage, pod: str) -> bool:
    status = (stage.watch.newest("Pod", pod) or {}).get("status", {})
    return any(one["restartCount"] for one in status.get("initContainerStatuses") or ())


def _free(stage: Stage, held: Sequence[str]) -> None:
    batch.quit_sidecars(stage, held)
    stage.wait(
        "the next step of every Job that was held",
        lambda: all(_counted(stage, job) for job in held),
        seconds=60,
        seen=lambda: batch.describe(stage, held),
    )
    stage.step(Step.JOB_MOVED)


def _counted(stage: Stage, job: str) -> bool:
    """Whether the job controller has counted a pod of the Job as failed or succeeded."""
    status = (stage.watch.newest("Job", job) or {}).get("status", {})
    return bool(status.get("failed") or status.get("succeeded") or batch.ended(stage, job))

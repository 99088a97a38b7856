"""The jobs scenario: Jobs that fail, retry, run side by side or lose their sidecar, all at once.

Each Job either ends by itself, or is held by a sidecar that runs on. Nobody waits for "never": once
every Job that has not ended has been held for a set time, that is written down, their sidecars are
told to quit, and the Jobs move on, which proves what held them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.observe import batch
from conformance.observe.stage import Stage, Stuck
from conformance.observe.watching import Json

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
_LONG = {"SC_WORK": 10}  # seconds: long enough for the sidecar to be crashed and restarted
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
    "crashed-on-failure": _Plan({"backoffLimit": 1}, _LONG, "OnFailure", "native"),
    "crashed-never": _Plan({"backoffLimit": 1}, _LONG, "Never", "native"),
}


@dataclass
class _Course:
    """How far the Jobs are, as the watch has it."""

    stage: Stage
    jobs: tuple[str, ...]
    held_since: dict[str, float] = field(default_factory=dict)  # pod → monotonic seconds
    to_crash: set[str] = field(default_factory=set)  # Jobs whose sidecar is still to be crashed

    def settled(self) -> bool:
        """Whether each Job has ended, or has been held by a sidecar for the set time.

        On the way, sidecars whose app runs are crashed where that is what the Job is for.
        """
        for job in sorted(self.to_crash):
            self._crash(job)
        open_ones = [job for job in self.jobs if not batch.ended(self.stage, job)]
        waiting = [job for job in open_ones if not self._long_held(job)]
        return not waiting

    def held(self) -> dict[str, list[Json]]:
        """The pods that are held, by their Job."""
        found = {
            job: [pod for pod in batch.pods_of(self.stage, job) if batch.held(pod)]
            for job in self.jobs
            if not batch.ended(self.stage, job)
        }
        return {job: pods for job, pods in found.items() if pods}

    def _long_held(self, job: str) -> bool:
        """Whether all that is left of the Job are pods that have been held for the set time."""
        now = time.monotonic()
        left = [pod for pod in batch.pods_of(self.stage, job) if not batch.over(pod)]
        for pod in left:
            name = pod["metadata"]["name"]
            if batch.held(pod):
                self.held_since.setdefault(name, now)
            else:  # its main is started once more
                self.held_since.pop(name, None)
        since = [self.held_since.get(pod["metadata"]["name"], now) for pod in left]
        return bool(left) and now - max(since) >= batch.BOUND_SECONDS

    def _crash(self, job: str) -> None:
        pods = batch.pods_of(self.stage, job)
        name = pods[0]["metadata"]["name"] if pods else ""
        if any(one["event"] == "app.started" for one in self.stage.stamps(f"{name}.app")):
            self.to_crash.discard(job)
            batch.crash_sidecar(self.stage, name)


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the first Job's first pod. Raises Stuck."""
    stage.without_capture()
    plans = {job: plan for job, plan in JOBS.items() if plan.pattern in ("", stage.cell.pattern)}
    for job, plan in plans.items():
        batch.submit(stage, job, spec=plan.spec, policy=plan.policy, main=plan.main)
    subject = batch.await_pod(stage, "fails")
    course = _Course(stage, tuple(plans), to_crash={job for job in plans if "crashed" in job})
    try:
        stage.wait(
            "the end of every Job, or what holds it",
            course.settled,
            seconds=180,
            seen=lambda: batch.describe(stage, course.jobs),
        )
        _free(stage, course)
    except Stuck as stuck:
        stage.step("stuck", why=str(stuck))
    return subject


def _free(stage: Stage, course: _Course) -> None:
    held = course.held()
    if not held:
        return
    stage.step("job.bound", jobs=sorted(held))
    batch.quit_sidecars(stage, [pod for pods in held.values() for pod in pods])
    stage.wait(
        "the next step of every Job that was held",
        lambda: all(_counted(stage, job) for job in held),
        seconds=60,
        seen=lambda: batch.describe(stage, tuple(held)),
    )
    stage.step("job.moved")


def _counted(stage: Stage, job: str) -> bool:
    """Whether the job controller has counted a pod of the Job as failed or succeeded."""
    status = (stage.watch.newest("Job", job) or {}).get("status", {})
    return bool(status.get("failed") or status.get("succeeded") or batch.ended(stage, job))

"""The cronjob scenario: a CronJob that forbids concurrent runs, from its first run to its second.

The first run is pulled in: the CronJob is told that its last run was a while ago, and makes up for
the tick that it missed. The second comes with the next full minute, or is refused by the
controller in its own words because the first still runs; then the first run's sidecar is told to
quit, and the tick is made up for, which proves what stood in its way.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from conformance.evidence.vocabulary import Step
from conformance.observe.scenarios.job import batch
from conformance.observe.stage import Stage
from conformance.observe.watch import Json

CRONJOB = "subject"
PERIOD = timedelta(minutes=1)  # the manifest's schedule, and the least that there is
REFUSED = "JobAlreadyActive"  # Kubernetes: pkg/controller/cronjob, syncCronJob


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the first run's pod. Raises Stuck."""
    stage.without_capture()
    stage.watch.also("CronJob", stage.batch.list_namespaced_cron_job)
    stage.step(Step.CRONJOB_CREATE)
    stage.create("cronjob", role="subject", alter=batch.one_of_many)
    _pull_in(stage)
    first = _await_run(stage, 1, seconds=60)
    pod = batch.await_pod(stage, first)
    with stage.going_on():
        batch.await_main(stage, first)
        stage.step(Step.JOB_MAIN_EXITED, job=first)
        if batch.await_settled(stage, [first]) and _refused(stage):
            stage.step(Step.CRONJOB_REFUSED)
            batch.quit_sidecars(stage, [first])
        second = _await_run(stage, 2, seconds=PERIOD.seconds + 15)
        stage.step(Step.CRONJOB_SECOND_RUN, job=second)
    return pod


def _pull_in(stage: Stage) -> None:
    last = datetime.now(UTC) - 1.5 * PERIOD  # so at least one tick was missed: it is made up for
    status = {"lastScheduleTime": last.strftime("%Y-%m-%dT%H:%M:%SZ")}
    stage.batch.patch_namespaced_cron_job_status(CRONJOB, stage.namespace, {"status": status})
    stage.step(Step.CRONJOB_PULLED_IN, **status)


def _refused(stage: Stage) -> bool:
    """Wait for the next tick, ask the controller for another look: whether it then refuses."""
    due = datetime.fromisoformat(_cronjob(stage)["status"]["lastScheduleTime"]) + PERIOD
    stage.wait(
        "the next full minute",
        lambda: datetime.now(UTC) > due,
        seconds=PERIOD.seconds + 5,
        seen=lambda: f"the clock before {due}",
    )
    before = _refusals(stage)
    # Any change of the object makes the controller look: it may have spoken before the bound.
    note = {"metadata": {"annotations": {"sidecar-conformance/asked": str(time.time_ns())}}}
    stage.batch.patch_namespaced_cron_job(CRONJOB, stage.namespace, note)
    stage.step(Step.CRONJOB_ASKED)
    stage.wait(
        f"an event {REFUSED}, or the second run",
        lambda: _refusals(stage) > before or len(_runs(stage)) > 1,
        seconds=30,
        seen=lambda: "neither",
    )
    return _refusals(stage) > before


def _refusals(stage: Stage) -> int:
    return sum(
        int(event.get("count") or 1)
        for event in stage.watch.all("Event")
        if event.get("reason") == REFUSED and event["involvedObject"]["kind"] == "CronJob"
    )


def _cronjob(stage: Stage) -> Json:
    return stage.watch.newest("CronJob", CRONJOB) or {}


def _runs(stage: Stage) -> list[str]:
    """The Jobs of the CronJob, the oldest first."""
    found = [job for job in stage.watch.all("Job") if batch.owned_by(job, "CronJob", CRONJOB)]
    found.sort(key=lambda job: str(job["metadata"]["creationTimestamp"]))
    return [str(job["metadata"]["name"]) for job in found]


def _await_run(stage: Stage, number: int, *, seconds: float) -> str:
    stage.wait(
        f"run {number} of the CronJob",
        lambda: len(_runs(stage)) >= number,
        seconds=seconds,
        seen=lambda: f"{batch.describe(stage, _runs(stage)) or 'no run'}",
    )
    return _runs(stage)[number - 1]

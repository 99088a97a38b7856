"""The quota scenario: Jobs submitted one after another, in a namespace with room for two pods.

Each Job is submitted when the main of the one before has exited, so none of them is ever in the
way of the next, unless their sidecars are. Where the last one is refused for want of room, the
sidecars of the others are told to quit, and its pod is created, which proves what filled the quota.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Step
from conformance.observe.place import FAILED_CREATE
from conformance.observe.scenarios.job import batch
from conformance.observe.stage import Stage
from conformance.observe.watch import Json

QUOTA = "room"
JOBS = ("first", "second", "third")
# Behind each refusal the job controller waits twice as long, up to a minute (pkg/controller/job,
# MaxJobApiBackOff); the pods that are in the way have to end first.
RETRY_SECONDS = 120


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the first Job's pod. Raises Stuck."""
    stage.without_capture()
    stage.watch.also("ResourceQuota", stage.core.list_namespaced_resource_quota)
    stage.create("quota")
    stage.wait(  # before it has a status it is not enforced
        "the status of the quota",
        lambda: _quota(stage).get("status", {}).get("hard"),
        seconds=60,
        seen=lambda: "no status",
    )
    *before, last = JOBS
    for job in before:
        batch.submit(stage, job)
        batch.await_main(stage, job)
        stage.step(Step.JOB_MAIN_EXITED, job=job)
    subject = batch.await_pod(stage, before[0])
    with stage.going_on():
        held = batch.await_settled(stage, before)
        batch.submit(stage, last)
        stage.wait(
            f"a pod of Job {last}, or its refusal",
            lambda: batch.pods_of(stage, last) or _refusals(stage, last),
            seconds=60,
            seen=lambda: "neither",
        )
        if not batch.pods_of(stage, last):
            stage.step(Step.JOB_REFUSED, job=last)
            batch.quit_sidecars(stage, held)
            batch.await_pod(stage, last, seconds=RETRY_SECONDS)
        batch.await_main(stage, last)
        stage.step(Step.JOB_MAIN_EXITED, job=last)
    return subject


def _quota(stage: Stage) -> Json:
    return stage.watch.newest("ResourceQuota", QUOTA) or {}


def _refusals(stage: Stage, job: str) -> list[Json]:
    return [
        event
        for event in stage.watch.all("Event")
        if event.get("reason") == FAILED_CREATE
        and event["involvedObject"]["name"] == job
        and "exceeded quota" in str(event.get("message"))
    ]

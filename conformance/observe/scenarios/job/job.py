"""The Job scenario: a Job whose pod has a sidecar is run; nobody waits for "never".

If the Job has not completed by a set bound after its main container's exit, that is written down
while the sidecar still runs, and then the sidecar is told to quit: if the Job completes at that,
the sidecar was the cause, and not slowness.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Step
from conformance.observe.pods import condition
from conformance.observe.scenarios.job import batch
from conformance.observe.stage import Stage, Stuck

JOB = "subject"


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.surround("witness", "peer")
    return run_job(stage)


def run_job(stage: Stage) -> str:
    """Create the Job with its sidecar and see it through; returns its pod's name."""
    stage.step(Step.JOB_CREATE)
    stage.create("job", role="subject")
    pod = batch.await_pod(stage, JOB)
    with stage.going_on():
        _run(stage, pod)
    stage.wait(
        "the end of the Job's pod",
        lambda: stage.capture_ended(pod) or not _completed(stage),
        seconds=60,
        seen=lambda: stage.describe(pod),
    )
    return pod


def _run(stage: Stage, pod: str) -> None:
    batch.await_main(stage, JOB)
    stage.step(Step.JOB_MAIN_EXITED)
    try:
        _await_complete(stage, pod, batch.BOUND_SECONDS)
    except Stuck:
        stage.step(Step.JOB_BOUND)
        sidecar = stage.sidecars(pod)[-1]
        stage.step(Step.SIDECAR_QUIT_ASKED, container=sidecar)
        stage.step(Step.SIDECAR_QUIT_ANSWERED, answer=stage.quit(pod, sidecar)[:200])
        _await_complete(stage, pod, 60)
    stage.step(Step.JOB_COMPLETE)


def _await_complete(stage: Stage, pod: str, seconds: float) -> None:
    stage.wait(
        "the Job's completion",
        lambda: _completed(stage),
        seconds=seconds,
        seen=lambda: stage.describe(pod),
    )


def _completed(stage: Stage) -> bool:
    job = stage.watch.newest("Job", JOB)
    return bool(job) and condition(job or {}, "Complete")

"""The killed scenario: a Job whose main succeeds, and whose sidecars end badly after it.

One sidecar is deaf to SIGTERM and has to be killed (137), the second ends with 143. In the native
pattern the kubelet tells them to end; in the classic one nobody does, so they are made to end with
the same codes by hand.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Container, Stamp, Step
from conformance.observe.scenarios.job import batch, job
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture.driver import HEALTH_PORT, ask_command

GRACE = 3  # seconds until the deaf sidecar is killed
SIGTERM_EXIT = 143


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()

    def ends_badly(document: Manifest) -> None:
        manifests.pod_of(document)["spec"]["terminationGracePeriodSeconds"] = GRACE
        manifests.set_variable(stage.sidecar_in(document), "SC_DEAF", "yes")
        second = departing.add_second(stage, document, start_delay=0, drain=0)
        manifests.set_variable(second, "SC_EXIT_CODE", str(SIGTERM_EXIT))

    stage.step(Step.JOB_CREATE)
    stage.create("job", role="subject", alter=ends_badly)
    pod = batch.await_pod(stage, job.JOB)
    with stage.going_on():
        _run(stage, pod)
    return pod


def _run(stage: Stage, pod: str) -> None:
    batch.await_main(stage, job.JOB)
    stage.step(Step.JOB_MAIN_EXITED)
    if stage.cell.pattern == "classic":
        (sidecar,) = stage.sidecars(pod)
        for name in (sidecar, Container.SECOND):
            departing.await_stamp(stage, f"{SUBJECT}.{name}", Stamp.SIDECAR_READY)
        stage.step(Step.SIDECAR_ENDED_BY_HAND, container=sidecar)
        stage.execute(pod, sidecar, ask_command(HEALTH_PORT, "/crash"))
        stage.execute(pod, Container.SECOND, ["sh", "-c", "kill -TERM 1"])
    stage.wait(
        "the Job's end",
        lambda: batch.ended(stage, job.JOB),
        seconds=90,
        seen=lambda: stage.describe(pod),
    )
    stage.step(Step.JOB_FINISHED)

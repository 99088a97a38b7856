"""The terminating scenario: a sidecar dies while its pod is being deleted, and another, at the same
moment, in a pod that is not: what the one is spared, the other shows."""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture.driver import HEALTH_PORT, ask_command

# Seconds that the app goes on after its SIGTERM. A first restart comes at the kubelet's next look
# at the pod, within some 2 s, without a backoff.
DRAIN = 10


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    departing.surround(stage)

    def drains(document: Manifest) -> None:
        manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", str(DRAIN))

    for role in (SUBJECT, Role.TWIN):
        departing.create(stage, role, drains)
    departing.await_ready(stage, SUBJECT, Role.TWIN)
    departing.delete(stage, SUBJECT)
    departing.await_stamp(stage, f"{SUBJECT}.{APP_CONTAINER}", Stamp.APP_SIGTERM)
    (sidecar,) = stage.sidecars(SUBJECT)
    for role in (SUBJECT, Role.TWIN):
        stage.step(Step.SIDECAR_CRASH_ASKED, pod=role)
        stage.execute(role, sidecar, ask_command(HEALTH_PORT, "/crash"))
    departing.await_stamp(stage, f"{Role.TWIN}.{sidecar}", Stamp.SIDECAR_STARTED, times=2)
    departing.await_gone(stage, SUBJECT)
    departing.delete(stage, Role.TWIN, grace=0)
    return SUBJECT

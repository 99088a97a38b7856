"""The logs-starved scenario: an app uses up the whole grace period, and its log shipper gets what
the kubelet gives at least: 2 s.

From the deletion on the sink takes 3 s for a request, and forgets one whose client does not wait:
so the last lines need more than 2 s, whatever the shipper does. A second pod, ``patient``, differs
in nothing but its app, which ends in time: there the same shipper has all the time that it needs.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, delete
from conformance.observe.scenarios.logs.logs import (
    await_steady,
    have_sink,
    renamed,
    settle,
    tell_sink,
    with_variables,
)
from conformance.observe.stage import Stage
from conformance.sidecars.driver import Manifest

GRACE_SECONDS = 4  # of the pod under test
PATIENT_GRACE_SECONDS = 40
SINK_TAKES = 3  # seconds: more than the kubelet's least, 2, and less than Fluent Bit's Grace, 5


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    have_sink(stage)
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role=SUBJECT, alter=_hungry)
    stage.create("subject", role=Role.PATIENT, alter=_patient)
    for role in (SUBJECT, Role.PATIENT):
        stage.await_ready(role, seconds=120)
    stage.step(Step.SUBJECT_READY)
    with stage.going_on():
        for role in (SUBJECT, Role.PATIENT):
            await_steady(stage, role)
    tell_sink(stage, f"takes/{SINK_TAKES}")
    stage.core.delete_namespaced_pod(Role.PATIENT, stage.namespace)
    stage.step(Step.PATIENT_DELETED)
    delete(stage)
    stage.wait(
        "the end of the patient pod",
        lambda: stage.watch.gone("Pod", Role.PATIENT) and stage.capture_ended(Role.PATIENT),
        seconds=PATIENT_GRACE_SECONDS + 30,
        seen=lambda: stage.describe(Role.PATIENT),
    )
    stage.step(Step.PATIENT_GONE)
    settle(stage)
    return SUBJECT


def _hungry(document: Manifest) -> None:
    """An app that ends for nobody."""
    document["spec"]["terminationGracePeriodSeconds"] = GRACE_SECONDS
    with_variables({"SC_DRAIN_SECONDS": "600"})(document)


def _patient(document: Manifest) -> None:
    document["spec"]["terminationGracePeriodSeconds"] = PATIENT_GRACE_SECONDS
    with_variables({"SC_DRAIN_SECONDS": str(GRACE_SECONDS)})(document)
    renamed(document, Role.PATIENT)

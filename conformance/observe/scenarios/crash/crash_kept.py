"""The crash-kept scenario: the sidecar is killed under connections that two pods keep open."""

from __future__ import annotations

from conformance.evidence.vocabulary import Step
from conformance.observe.scenarios.crash.crash import kill
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.mesh.keepalive import await_used
from conformance.observe.stage import Stage


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.surround("peer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role=SUBJECT)
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)
    await_used(stage, since=0)
    stage.step(Step.KEPT)
    await_used(stage, since=kill(stage, "crash"))
    return SUBJECT

"""The init scenario: the app has an init container of its own, and that one talks.

The pod is watched until it is ready: what matters is over by then.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Step
from conformance.observe.scenarios.lifecycle import SUBJECT, leak_on_purpose
from conformance.observe.stage import Stage


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.surround("witness", "peer")

    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject")
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)
    leak_on_purpose(stage)
    return SUBJECT

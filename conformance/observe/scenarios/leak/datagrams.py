"""The datagrams scenario: a meshed app that also looks names up, and sends datagrams.

What a mesh leaves alone goes beside what it carries, for as long as enough of each has been seen.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, leak_on_purpose
from conformance.observe.stage import APP_CONTAINER, Stage

# What must have ended since the pod was ready: more than the judges ask for
# (judges/leak/unmeshed.py).
ENOUGH = {Stamp.DATAGRAM_END: 30, Stamp.LOOKUP_END: 16, Stamp.REQUEST_END: 50}


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.surround("witness", "peer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject")
    stage.await_ready(SUBJECT, seconds=120)
    ready = stage.step(Step.SUBJECT_READY)

    def counts() -> dict[str, int]:
        stamps = [one for one in stage.stamps(f"{SUBJECT}.{APP_CONTAINER}") if one["ns"] > ready]
        return {event: sum(one["event"] == event for one in stamps) for event in ENOUGH}

    stage.wait(
        "enough datagrams, names and requests",
        lambda: all(counts()[event] >= least for event, least in ENOUGH.items()),
        seconds=60,
        seen=lambda: ", ".join(f"{number} {event}" for event, number in counts().items()),
    )
    stage.step(Step.ENOUGH)
    leak_on_purpose(stage)
    return SUBJECT

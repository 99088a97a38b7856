"""The grace scenario: pods that use up their grace period, that have enough of it, and that need
none, are deleted at the same moment.

    subject  its app's preStop hook outlasts the grace period
    healed   the same pod with a longer grace period
    prompt   every container exits at once when told to
Each has a second, plain sidecar, so that an order between sidecars could be seen.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Stamp
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in, hook, stamped
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

GRACE = 6  # seconds, of the subject
HOOK = 9  # seconds, of the app's preStop hook: it outlasts that, and the 2 s after it
# Seconds that the second sidecar takes to end: more than the 2 s that are left to it when the
# grace period is used up, and no more than it could have had.
SECOND_DRAIN = 3.0


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    departing.surround(stage)

    def long(document: Manifest) -> None:
        hook(app_in(document), stamped(Stamp.HOOK_BEGIN), f"sleep {HOOK}", stamped(Stamp.HOOK_END))
        departing.add_second(stage, document, start_delay=0, drain=SECOND_DRAIN)

    def short(document: Manifest) -> None:
        long(document)
        manifests.pod_of(document)["spec"]["terminationGracePeriodSeconds"] = GRACE

    def at_once(document: Manifest) -> None:
        manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", "0")
        manifests.set_variable(stage.sidecar_in(document), "SC_DRAIN", "0")
        departing.add_second(stage, document, start_delay=0, drain=0)

    departing.delete_together(stage, {SUBJECT: short, Role.HEALED: long, Role.PROMPT: at_once})
    return SUBJECT

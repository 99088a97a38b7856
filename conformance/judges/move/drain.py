"""move.drain: a drain moves a workload from one node to the other."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role
from conformance.judges.deletion import removed
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import conditions, in_watch, versions
from conformance.judges.stop.eviction import drained
from conformance.judges.wire.sent import node_of
from conformance.model import NS, Finding, Measured


def to_the_other_node(bundle: Bundle) -> Finding:
    """To hold: kubectl drained the node of both pods, the standby became ready on another one, and
    the second of them was told to go only then.

    To be broken: the second one was told to go before anyone had taken the first one's place.
    """
    command = drained(bundle)
    left, right = node_of(bundle, SUBJECT_ROLE), node_of(bundle, Role.STANDBY)
    if not left or node_of(bundle, Role.HURRIED) != left:
        raise Unjudgeable("the pods that were to go were not on one node")
    if not right or right == left:
        raise Unjudgeable(
            f"the standby came to {right or 'no node'}, and not to another than {left}"
        )
    told = sorted((_told(bundle, role) for role in (SUBJECT_ROLE, Role.HURRIED)), key=_at)
    ready = next((one for one in versions(bundle, Role.STANDBY) if _ready(one)), None)
    if ready is None:
        raise Unjudgeable("the standby was never seen to be ready")
    gone = min(removed(bundle, role).ns for role in (SUBJECT_ROLE, Role.HURRIED))
    measured: Measured = {
        "from": left,
        "to": right,
        "replaced_after_seconds": round((ready.ns - gone) / NS, 2),
        "next_after_seconds": round((told[1].ns - ready.ns) / NS, 2),
    }
    evidence = [command, in_watch(ready, "the standby is ready"), in_watch(told[1], "told to go")]
    # The watch tells of both in its own order; the budget is asked by the API server.
    if told[1].ns < ready.ns:
        return broken(
            "too-few-left",
            f"The second pod was told to go {(ready.ns - told[1].ns) / NS:.1f} s before the first "
            "one's place was taken.",
            measured,
            evidence,
        )
    return holds(
        f"The drained pod's place was taken on the other node "
        f"{measured['replaced_after_seconds']} s after it was gone, and the next one was told to "
        f"go {measured['next_after_seconds']} s after that.",
        measured,
        evidence,
    )


def _at(line: Line) -> int:
    return line.ns


def _ready(version: Line) -> bool:
    return conditions(version).get("Ready", {}).get("status") == "True"


def _told(bundle: Bundle, role: str) -> Line:
    for line in versions(bundle, role):
        if "deletionTimestamp" in line["object"]["metadata"]:
            return line
    raise Unjudgeable(f"the watch never told that {role} was to go")

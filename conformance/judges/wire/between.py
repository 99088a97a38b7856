"""wire.startup, wire.steady, wire.shutdown, wire.agent-killed: what an observer between the nodes
can read of pods that have no sidecar.

Whatever the pods say to each other is theirs to keep: a stranger's request counts as well as a
friend's, and payload without a token too. What may be seen is what is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.evidence import windows
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.vocabulary import Role, Step
from conformance.evidence.wires import SEALED, Sight
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import broken, floor, holds, premised, require_number
from conformance.judges.sources import step
from conformance.judges.wire.sent import (
    crossings,
    require_all_the_time,
    require_crossed,
    require_sight,
    talked,
)
from conformance.model import Finding, Measured, Window


@dataclass(frozen=True)
class Least:
    """What must have crossed in a window for an absence to mean anything: requests between the
    pods, and how many of them were answered."""

    begun: int
    answered: int


@premised(require_no_sidecar)
def startup(bundle: Bundle) -> Finding:
    """From the creation of the pod's first container to its readiness."""
    return nothing_in_clear(bundle, windows.startup(bundle), Least(4, 3))


@premised(require_no_sidecar)
def steady(bundle: Bundle) -> Finding:
    """From the pod's readiness to the moment in which the agent is killed."""
    begin, end = step(bundle, Step.SUBJECT_READY), step(bundle, Step.AGENT_KILLED)
    return nothing_in_clear(bundle, Window("steady", begin.ns, end.ns), Least(30, 20))


@premised(require_no_sidecar)
def shutdown(bundle: Bundle) -> Finding:
    """From the deletion to the end of the pod's network namespace."""
    return nothing_in_clear(bundle, windows.shutdown(bundle), Least(15, 10))


@premised(require_no_sidecar)
def agent_killed(bundle: Bundle) -> Finding:
    """From before the agent is killed until traffic goes on: most of it is lost meanwhile where the
    encryption lives in the agent, and none of it may be in clear."""
    begin, end = step(bundle, Step.AGENT_KILLED), step(bundle, Step.AGENT_SETTLED)
    return nothing_in_clear(bundle, Window("agent-killed", begin.ns, end.ns), Least(15, 5))


def nothing_in_clear(bundle: Bundle, window: Window, least: Least) -> Finding:
    """To hold: both nodes' interfaces were watched, the deliberate leak was seen there, requests
    crossed all the time, sealed, and nothing of the cell's pods could be read.

    To be broken: a token, or payload of a pod of the cell, can be read between the nodes.
    """
    wires = crossings(bundle, [window])
    seen = [sight for wire in wires for sight in wire.passed[window.name].sights]
    sent = talked(bundle, window)
    begun, answered = sent.begun, sent.answered
    tokens = sum(wire.passed[window.name].tokens for wire in wires)
    payloads = sum(wire.passed[window.name].payloads for wire in wires)
    sealed = sum(wire.passed[window.name].packets[SEALED] for wire in wires)
    measured: Measured = {
        "tokens_in_clear": tokens,
        "payloads_in_clear": payloads,
        "sealed_packets": sealed,
        "sealed_bytes": sum(wire.passed[window.name].octets[SEALED] for wire in wires),
        "requests": begun,
        "answered": answered,
        "watched_seconds": round(window.seconds, 2),
        "missed_beacons": sum(wire.watched.missing for wire in wires),
        "dropped": sum(wire.watched.dropped for wire in wires),
    }
    if seen:
        return _broken(window, seen, tokens, payloads, measured)
    require_sight(wires, window, measured)
    require_number(begun, least.begun, "requests went from node to node", measured)
    require_number(answered, least.answered, "requests were answered from node to node", measured)
    require_crossed(wires, (SEALED,), sent, window, measured)
    require_all_the_time(bundle, window, (SUBJECT_ROLE, Role.PEER), measured)
    return holds(
        f"Nothing of {begun} requests ({answered} answered) between pods on {len(wires)} nodes was "
        f"in clear in {window.seconds:.1f} s of {window.name}: {sealed} sealed packets, and no "
        f"other of a pod's; {floor(begun)} of requests leak.",
        measured,
        [wire.control.evidence for wire in wires if wire.control],
    )


def _broken(
    window: Window, seen: Sequence[Sight], tokens: int, payloads: int, measured: Measured
) -> Finding:
    # A token names its owner: it is told before payload that does not.
    told = sorted(seen, key=lambda one: (one.token is None, one.ns))
    return broken(
        "plaintext",
        f"{tokens} tokens of requests and {payloads} packets with pods' payload were in clear "
        f"between the nodes in {window.seconds:.1f} s of {window.name}: first "
        f"{told[0].evidence.text}, frame {told[0].frame}.",
        measured,
        [one.evidence for one in told],
    )

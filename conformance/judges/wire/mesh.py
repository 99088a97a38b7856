"""wire.no-plaintext: what a mesh carries is in clear nowhere between the nodes either.

The pod's own eth0 is judged elsewhere. This is the same traffic where it leaves the node, as an
observer between the nodes has it: the other side's part of it too.
"""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Role, Step
from conformance.evidence.wires import CLEAR
from conformance.judges.ruling import broken, floor, holds, require_number
from conformance.judges.sources import step
from conformance.judges.wire.sent import Sent, crossings, require_both_watched, sent_between
from conformance.model import Finding, Measured, Window

LEAST = 20  # requests that were answered from node to node


def no_plaintext(bundle: Bundle) -> Finding:
    """To hold: both nodes' interfaces were watched from the pod's creation to its end, the
    deliberate leak was seen there, requests went from node to node, and none of their tokens.

    To be broken: a token of the pod under test or of its peer is in clear between the nodes.
    """
    begin, end = step(bundle, Step.SUBJECT_CREATE), step(bundle, Step.SANDBOX_GONE)
    window = Window("life", begin.ns, end.ns)
    wires = crossings(bundle, [window])
    owners = (SUBJECT_ROLE, Role.PEER)
    found = [
        sight
        for wire in wires
        for sight in wire.passed[window.name].sights
        if sight.token and sight.token.sender in owners
    ]
    leaks = sum(wire.passed[window.name].senders[one] for wire in wires for one in owners)
    sent = [
        sent_between(bundle, SUBJECT_ROLE, Container.APP, Role.PEER, window),
        sent_between(bundle, Role.PEER, Container.APP, SUBJECT_ROLE, window),
    ]
    asked, answered = _sum(sent)
    measured: Measured = {
        "leaks": leaks,
        "requests": asked,
        "answered": answered,
        "watched_seconds": round(window.seconds, 2),
        "packets": {
            wire.node: sum(wire.passed[window.name].packets[how] for how in CLEAR) for wire in wires
        },
        "missed_beacons": sum(wire.watched.missing for wire in wires),
    }
    if found:
        return broken(
            "plaintext",
            f"{leaks} times a request's token was in clear between the nodes: first "
            f"{found[0].evidence.text}, frame {found[0].frame}.",
            measured,
            [one.evidence for one in found],
        )
    if not any(wire.control for wire in wires):
        raise Unjudgeable(
            "the deliberate leak was not seen between the nodes: the judge cannot see there",
            measured,
        )
    require_both_watched(wires, window, measured)
    require_number(answered, LEAST, "requests were answered from node to node", measured)
    return holds(
        f"Nothing of {asked} requests between pods on {len(wires)} nodes was in clear on the "
        f"nodes' own interfaces in {window.seconds:.1f} s; {floor(asked)} of requests leak.",
        measured,
        [wire.control.evidence for wire in wires if wire.control],
    )


def _sum(sent: list[Sent]) -> tuple[int, int]:
    return sum(one.begun for one in sent), sum(one.answered for one in sent)

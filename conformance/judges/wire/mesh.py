"""wire.no-plaintext: what a mesh carries is in clear nowhere between the nodes either.

The pod's own eth0 is judged elsewhere. This is the same traffic where it leaves the node, as an
observer between the nodes has it: the other side's part of it too.
"""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.vocabulary import Role, Step
from conformance.evidence.wires import CLEAR
from conformance.judges.ruling import broken, floor, holds, require_number
from conformance.judges.sources import step
from conformance.judges.wire.sent import (
    crossings,
    require_all_the_time,
    require_crossed,
    require_sight,
    talked,
)
from conformance.model import Finding, Measured, Window

LEAST = 20  # requests that were answered from node to node


def no_plaintext(bundle: Bundle) -> Finding:
    """To hold: both nodes' interfaces were watched from the pod's creation to its end, the
    deliberate leak was seen there, requests went from node to node by them all the time, and none
    of their tokens could be read.

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
    sent = talked(bundle, window)
    asked, answered = sent.begun, sent.answered
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
    require_sight(wires, window, measured)
    require_number(answered, LEAST, "requests were answered from node to node", measured)
    require_crossed(wires, CLEAR, sent, window, measured)
    require_all_the_time(bundle, window, (SUBJECT_ROLE,), measured)
    return holds(
        f"Nothing of {asked} requests between pods on {len(wires)} nodes was in clear on the "
        f"nodes' own interfaces in {window.seconds:.1f} s; {floor(asked)} of requests leak.",
        measured,
        [wire.control.evidence for wire in wires if wire.control],
    )

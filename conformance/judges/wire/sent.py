"""What judges of the nodes' wires have in common: who sent what from node to node, and whether it
would have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.evidence import wires
from conformance.evidence.attempts import OK, Attempt, attempts
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import require_watched
from conformance.evidence.vocabulary import Container, Role
from conformance.evidence.wires import Wire
from conformance.judges.density import require_density, trying
from conformance.judges.sources import versions
from conformance.model import Measured, Window

_WAYS = ((SUBJECT_ROLE, Role.PEER), (Role.PEER, SUBJECT_ROLE))  # who asks, and whom


@dataclass(frozen=True)
class Sent:
    """Requests of one pod to another that began in a window. answered: rightly, by the window's
    end or after it."""

    attempts: Sequence[Attempt]

    @property
    def begun(self) -> int:
        return len(self.attempts)

    @property
    def answered(self) -> int:
        return sum(one.outcome == OK for one in self.attempts)


def sent_between(bundle: Bundle, role: str, container: str, to: str, window: Window) -> Sent:
    """What a pod asked of another one in a window. Raises Unjudgeable unless they are on two nodes,
    by the pods as they were scheduled."""
    homes = [node_of(bundle, one) for one in (role, to)]
    if not all(homes) or homes[0] == homes[1]:
        where = " and ".join(one or "?" for one in homes)
        raise Unjudgeable(f"{role} and {to} were not on two nodes, but on {where}")
    targets = bundle.index.addresses.get(to, frozenset()) | bundle.pod(to).ips
    return Sent(
        [
            one
            for one in attempts(bundle, role, container)
            if one.begin_ns in window and one.target.rpartition(":")[0].strip("[]") in targets
        ]
    )


def talked(bundle: Bundle, window: Window) -> Sent:
    """What the pod under test and its peer asked of each other. Raises Unjudgeable."""
    ways = [sent_between(bundle, role, Container.APP, to, window) for role, to in _WAYS]
    return Sent([one for way in ways for one in way.attempts])


def require_all_the_time(
    bundle: Bundle, window: Window, roles: Sequence[str], measured: Measured
) -> None:
    """Each of these two, or that one, asked the other for as long as it lived in the window: what
    was not sent in a pause cannot have been in clear. Raises Unjudgeable."""
    for role, to in _WAYS:
        if role not in roles:
            continue
        its = sent_between(bundle, role, Container.APP, to, window).attempts
        alive = trying(bundle, window, role, Container.APP)
        require_density(its, alive, f"the app of {role}", measured)


def require_crossed(
    found: Sequence[Wire], forms: Sequence[str], sent: Sent, window: Window, measured: Measured
) -> None:
    """What was answered crossed every node's interface in one of these forms: as many bytes of them
    as the requests' tokens alone are long. Raises Unjudgeable."""
    answered = (one for one in sent.attempts if one.outcome == OK)
    inside = [one for one in answered if one.end_ns is not None and one.end_ns in window]
    least = sum(len(one.token) for one in inside)
    for wire in found:
        passed = wire.passed[window.name].octets
        number = sum(passed[form] for form in forms)
        if number < least:
            raise Unjudgeable(
                f"{len(inside)} requests were answered from node to node, and {number} bytes that "
                f"are {' or '.join(forms)} passed {wire.node}, not {least}: they went another way "
                "than the one that was watched",
                measured,
            )


def node_of(bundle: Bundle, role: str) -> str:
    """The node of a pod by the watch; "" when it never came to one. Raises Unjudgeable."""
    names = {line["object"]["spec"].get("nodeName") for line in versions(bundle, role)} - {None}
    return str(names.pop()) if len(names) == 1 else ""


def crossings(bundle: Bundle, windows: Sequence[Window]) -> list[Wire]:
    """Every node's interface in these windows. Raises Unjudgeable."""
    return wires.look(bundle, windows)


def require_sight(found: Sequence[Wire], window: Window, measured: Measured) -> None:
    """Every node's capture watched the window without a gap, and the deliberate leak was seen in
    each. Raises Unjudgeable."""
    blind = [wire.node for wire in found if wire.control is None]
    if blind:
        raise Unjudgeable(
            f"the deliberate leak was not seen on {' and '.join(blind)}: the judge cannot see "
            "there",
            measured,
        )
    for wire in found:
        require_watched(wire.watched, window, to_the_end=False, measured=measured)

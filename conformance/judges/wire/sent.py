"""What judges of the nodes' wires have in common: who sent what from node to node, and whether it
would have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.evidence import wires
from conformance.evidence.attempts import OK, Attempt, attempts
from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import require_watched
from conformance.evidence.wires import Wire
from conformance.judges.sources import versions
from conformance.model import Measured, Window


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


def node_of(bundle: Bundle, role: str) -> str:
    """The node of a pod by the watch; "" when it never came to one. Raises Unjudgeable."""
    names = {line["object"]["spec"].get("nodeName") for line in versions(bundle, role)} - {None}
    return str(names.pop()) if len(names) == 1 else ""


def crossings(bundle: Bundle, windows: Sequence[Window]) -> list[Wire]:
    """Every node's interface in these windows. Raises Unjudgeable."""
    return wires.look(bundle, windows)


def require_both_watched(found: Sequence[Wire], window: Window, measured: Measured) -> None:
    """Every node's capture watched the window without a gap. Raises Unjudgeable."""
    for wire in found:
        require_watched(wire.watched, window, to_the_end=False, measured=measured)

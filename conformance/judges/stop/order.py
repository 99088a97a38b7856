"""stop.order: the sidecar is told to end only after every app container has ended."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.timeline import Order, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Step
from conformance.judges.ordering import SOURCES, pairs, require_meaning
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import deletion_step
from conformance.model import NEVER, Finding, Measured


def order(bundle: Bundle) -> Finding:
    """To hold: the journal's announcement of the sidecar's signal, and any signal the sidecar
    itself felt, come after the exit of every other container.

    To be broken: the sidecar has its signal, or is gone, while an app still writes.
    """
    deletion = deletion_step(bundle, Step.DELETE_ASKED, Step.DELETE_ACCEPTED)
    found = pairs(bundle, deletion.ns)
    wrong = [pair for pair in found if pair.answer == "no"]
    measured: Measured = {
        "smallest_ordered_gap_ms": min((one.gap_ns for one in found), default=0) / 1e6,
        "pairs": len(found),
        "sources": SOURCES,
    }
    if wrong:
        return _broken(min(wrong, key=lambda one: one.gap_ns), measured)
    unclear = [pair for pair in found if pair.answer == "cannot tell"]
    if unclear:
        worst = max(unclear, key=lambda one: one.gap_ns)
        raise Unjudgeable(
            f"whether {worst.first.name} or {worst.second.name} came first cannot be told"
            + _overlap(worst),
            measured,
            worst.evidence,
        )
    require_meaning(bundle, lives(bundle), deletion)
    nearest = min(found, key=lambda one: one.gap_ns)
    return holds(
        f"The sidecar was signalled {nearest.gap_ns / 1e6:.1f} ms after the exit of the last of "
        f"{len(found)} containers.",
        measured,
        nearest.evidence,
    )


def _broken(worst: Order, measured: Measured) -> Finding:
    gone = worst.second.name.endswith("exit")
    return broken(
        "sidecar-gone" if gone else "wrong-order",
        f"{worst.second.name} came {-worst.gap_ns / 1e6:.1f} ms before {worst.first.name}.",
        measured,
        worst.evidence,
    )


def _overlap(pair: Order) -> str:
    if pair.first.latest == NEVER:
        return ": its exit is not in runtime.log"
    return f": they overlap by {pair.gap_ns / 1e6:.1f} ms"

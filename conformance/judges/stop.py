"""stop.order: the sidecar is told to end only after every app container has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.records import Line
from conformance.evidence.timeline import (
    Event,
    Life,
    Order,
    happens_before,
    lives,
    stamp_events,
)
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.premise import require_premise
from conformance.judges.stopping import app_egress, in_flight
from conformance.model import NS, Evidence, Finding, Measured

__all__ = ["app_egress", "in_flight", "order"]

_BEHAVIOUR = "stop.order"
_NEVER = 1 << 62
# The app must go on for this long after its own SIGTERM. Two signals that are sent at once reach
# their containers within some 100 ms (kubelet and containerd handle them side by side); an app
# that ends at once would make them look ordered by chance.
MIN_DRAIN_NS = 1 * NS
# containerd announces a signal and sends it with its next call (internal/cri/server,
# container_stop.go), which takes milliseconds: a second is for a crowded machine. It bounds the
# signal of a sidecar that keeps no stamps of its own.
SENT_WITHIN_NS = 1 * NS
_SOURCES = (
    "containerd's journal (signal, earliest), sidecar.sigterm (latest), /tasks/exit (latest), "
    "the app's last stamp (earliest)"
)


def order(bundle: Bundle) -> Finding:
    """To hold: the journal's announcement of the sidecar's signal, and any signal the sidecar
    itself felt, come after the exit of every other container.

    To be broken: the sidecar has its signal, or is gone, while an app still writes.
    """
    require_premise(bundle)
    deletion = bundle.step("delete.asked") or bundle.step("delete.accepted")
    if deletion is None:
        raise Unjudgeable("no deletion is in steps.jsonl")
    found = lives(bundle)
    pairs = [
        happens_before(_ended(bundle, found[app.name][-1]), told)
        for told in (_told(bundle, found[one], deletion.ns) for one in bundle.index.sidecars)
        for app in bundle.index.apps
        if found[app.name]
    ]
    wrong = [pair for pair in pairs if pair.answer == "no"]
    measured: Measured = {
        "smallest_ordered_gap_ms": min((one.gap_ns for one in pairs), default=0) / 1e6,
        "pairs": len(pairs),
        "sources": _SOURCES,
    }
    if wrong:
        return _broken(min(wrong, key=lambda one: one.gap_ns), measured)
    unclear = [pair for pair in pairs if pair.answer == "cannot tell"]
    if unclear:
        worst = max(unclear, key=lambda one: one.gap_ns)
        raise Unjudgeable(
            f"whether {worst.first.name} or {worst.second.name} came first cannot be told"
            + _overlap(worst),
            evidence=worst.evidence,
            measured=measured,
        )
    _require_meaning(bundle, found, deletion)
    nearest = min(pairs, key=lambda one: one.gap_ns)
    return Finding(
        _BEHAVIOUR,
        "holds",
        f"The sidecar was signalled {nearest.gap_ns / 1e6:.1f} ms after the exit of the last of "
        f"{len(pairs)} containers.",
        measured=measured,
        evidence=nearest.evidence,
    )


def _broken(worst: Order, measured: Measured) -> Finding:
    gone = worst.second.name.endswith("exit")
    return Finding(
        _BEHAVIOUR,
        "broken",
        f"{worst.second.name} came {-worst.gap_ns / 1e6:.1f} ms before {worst.first.name}.",
        hazard="sidecar-gone" if gone else "wrong-order",
        measured=measured,
        evidence=worst.evidence,
    )


def _overlap(pair: Order) -> str:
    if pair.first.latest == _NEVER:
        return ": its exit is not in runtime.log"
    return f": they overlap by {pair.gap_ns / 1e6:.1f} ms"


def _ended(bundle: Bundle, life: Life) -> Event:
    """The end of a container: after its last stamp, and at the latest when it was noticed."""
    if life.exited is None and life.created is None:
        raise Unjudgeable(f"runtime.log knows nothing of {life.name} {life.container_id}")
    last = _last_stamp(bundle, life.name)
    evidence: list[Evidence] = []
    earliest = life.created.ns if life.created else 0
    if last is not None:
        earliest = max(earliest, last.ns)
        file = stamps_file(SUBJECT_ROLE, life.name)
        evidence.append(Evidence(file, last.number, ns=last.ns, text=last.event))
    latest = life.exited_latest
    if life.exited is not None:
        text = f"{life.name} exited with {life.exited.status}"
        evidence.append(Evidence("runtime.log", life.exited.number, ns=latest, text=text))
    name = f"the exit of {life.name}"
    return Event(name, earliest, _NEVER if latest is None else latest, tuple(evidence))


def _last_stamp(bundle: Bundle, container: str) -> Line | None:
    last = None
    if bundle.has(stamps_file(SUBJECT_ROLE, container)):
        for line in bundle.stamps(SUBJECT_ROLE, container):
            if last is None or line.ns > last.ns:
                last = line
    return last


def _told(bundle: Bundle, its: Sequence[Life], deleted_ns: int) -> Event:
    """The sidecar's first signal after the deletion, from whomever; or its exit without one."""
    if not its:
        raise Unjudgeable("the sidecar has no container id: it never started")
    name = its[0].name
    felt = [
        one for one in stamp_events(bundle, name, "sidecar.sigterm") if one.latest >= deleted_ns
    ]
    announced = [stop for life in its for stop in life.stops if stop.ns >= deleted_ns]
    exits = [life.exited for life in its if life.exited]
    gone = its[-1].exited_latest
    evidence = [
        Evidence("containerd.log", one.number, ns=one.ns, text=f"{name}: signal {one.signal}")
        for one in announced[:1]
    ] + [piece for one in felt[:1] for piece in one.evidence]
    if evidence:
        earliest = min([one.ns for one in announced] + [one.earliest for one in felt])
        sent = [one.ns + SENT_WITHIN_NS for one in announced] + [one.latest for one in felt]
        latest = min(sent) if gone is None else min(*sent, gone)
        return Event(f"the signal to {name}", min(earliest, latest), latest, tuple(evidence))
    if gone is None:
        raise Unjudgeable(f"neither a signal to {name} nor its exit is recorded")
    line = Evidence("runtime.log", exits[-1].number, ns=gone, text=f"{name} exited unsignalled")
    created = its[-1].created
    return Event(f"the {name}'s own exit", created.ns if created else 0, gone, (line,))


def _require_meaning(bundle: Bundle, found: Mapping[str, list[Life]], deletion: Line) -> None:
    """An order says something only if the app was alive at the deletion, and then took its time."""
    app = bundle.index.app
    told = [stop.ns for life in found[app] for stop in life.stops if stop.ns >= deletion.ns] + [
        one.latest for one in stamp_events(bundle, app, "app.sigterm")
    ]
    gone = found[app][-1].exited_latest or 0
    if gone < deletion.ns:
        raise Unjudgeable(
            f"the app ended {(deletion.ns - gone) / 1e9:.1f} s before the deletion: nothing was "
            "left to be ordered"
        )
    if not told:
        raise Unjudgeable("no signal to the app is recorded")
    if gone - max(told) < MIN_DRAIN_NS:
        raise Unjudgeable(
            f"the app ended {(gone - max(told)) / 1e6:.0f} ms after its signal: in so short a time "
            "signals sent at once would look ordered by chance"
        )

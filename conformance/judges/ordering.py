"""In what order a pod's containers end: when a sidecar was told to, and when an app had ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, Life, Order, happens_before, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Stamp
from conformance.model import NEVER, NS, Evidence

# The app must go on for this long after its own SIGTERM. Two signals that are sent at once reach
# their containers within some 100 ms (kubelet and containerd handle them side by side); an app
# that ends at once would make them look ordered by chance.
MIN_DRAIN_NS = 1 * NS
# containerd announces a signal and sends it with its next call (internal/cri/server,
# container_stop.go), which takes milliseconds: a second is for a crowded machine. It bounds the
# signal of a sidecar that keeps no stamps of its own.
SENT_WITHIN_NS = 1 * NS
# A proxy closes what it carries, and is reaped after that: some 30 ms later in the reference mesh,
# and more on a crowded machine.
ENDS_WITHIN_NS = 1 * NS
# A container's end is noticed by its shim within milliseconds (SIGCHLD): a second is for a crowded
# machine. It bounds the end of an app that keeps no stamps.
NOTICED_WITHIN_NS = 1 * NS
BESIDE = "lost-while-the-sidecar-lived"
"""The hazard: no control arm of a sidecar's end expects it, for there that end is what loses."""
SOURCES = (
    "containerd's journal (signal, earliest), sidecar.sigterm (latest), /tasks/exit (latest), "
    "the app's last stamp (earliest)"
)


def pairs(bundle: Bundle, since_ns: int, role: str = SUBJECT_ROLE) -> list[Order]:
    """For each sidecar and each other container of a pod: did the container end before the sidecar
    was told to end? since_ns: signals from before are another story."""
    found = lives(bundle, bundle.pod(role))
    sidecars = bundle.index.sidecars
    return [
        happens_before(
            ended(bundle, found[name][-1], role), told(bundle, found[one], since_ns, role)
        )
        for one in sidecars
        for name in bundle.pod(role).containers
        if name not in sidecars and found[name]
    ]


def ended(bundle: Bundle, life: Life, role: str = SUBJECT_ROLE) -> Event:
    """The end of a container: after its last stamp, and at the latest when it was noticed."""
    if life.exited is None and life.created is None:
        raise Unjudgeable(f"runtime.log knows nothing of {life.name} {life.container_id}")
    last = _last_stamp(bundle, role, life.name)
    evidence: list[Evidence] = []
    earliest = life.created.ns if life.created else 0
    if last is not None:
        earliest = max(earliest, last.ns)
        file = stamps_file(role, life.name)
        evidence.append(Evidence(file, last.number, ns=last.ns, text=last.event))
    latest = life.exited_latest
    if latest is not None and not bundle.index.stamped:
        earliest = max(earliest, latest - NOTICED_WITHIN_NS)
    if life.exited is not None:
        evidence.append(life.exit_evidence())
    name = f"the exit of {life.name}"
    return Event(name, earliest, NEVER if latest is None else latest, tuple(evidence))


def _last_stamp(bundle: Bundle, role: str, container: str) -> Line | None:
    last = None
    if bundle.has(stamps_file(role, container)):
        for line in bundle.stamps(role, container):
            if last is None or line.ns > last.ns:
                last = line
    return last


def told(bundle: Bundle, its: Sequence[Life], since_ns: int, role: str = SUBJECT_ROLE) -> Event:
    """A sidecar's first signal since then, from whomever; or its exit without one."""
    if not its:
        raise Unjudgeable("the sidecar has no container id: it never started")
    name = its[0].name
    felt = [
        one
        for one in stamp_events(bundle, name, Stamp.SIDECAR_SIGTERM, Stamp.APP_SIGTERM, role=role)
        if one.latest >= since_ns
    ]
    announced = [stop for life in its for stop in life.stops if stop.ns >= since_ns]
    exits = [life.exited for life in its if life.exited]
    gone = its[-1].exited_latest
    evidence = [
        Evidence(File.CONTAINERD, one.number, ns=one.ns, text=f"{name}: signal {one.signal}")
        for one in announced[:1]
    ] + [piece for one in felt[:1] for piece in one.evidence]
    if evidence:
        # A signal is felt some time after it was sent: without its announcement, any since then.
        sent_since = [one.ns for one in announced] or [since_ns]
        earliest = min([*sent_since, *(one.earliest for one in felt)])
        sent = [one.ns + SENT_WITHIN_NS for one in announced] + [one.latest for one in felt]
        latest = min(sent) if gone is None else min(*sent, gone)
        return Event(f"the signal to {name}", min(earliest, latest), latest, tuple(evidence))
    if gone is None:
        raise Unjudgeable(f"neither a signal to {name} nor its exit is recorded")
    line = Evidence(File.RUNTIME, exits[-1].number, ns=gone, text=f"{name} exited unsignalled")
    created = its[-1].created
    return Event(f"the {name}'s own exit", created.ns if created else 0, gone, (line,))


def from_sidecars_end(bundle: Bundle, losses: Iterable[int | None]) -> int:
    """How many losses may come from a sidecar's end. losses: when each was noticed (ns), or not."""
    end = sidecars_end(bundle)
    return sum(ns is not None and ns >= end for ns in losses)


def sidecars_end(bundle: Bundle, role: str = SUBJECT_ROLE) -> int:
    """From when on a pod may lose by a sidecar's end (ns): when the drain is over that follows its
    signal, or shortly before its exit."""
    drain = round(bundle.index.sidecar_drain_seconds * NS)
    ends = []
    for name, its in lives(bundle, bundle.pod(role)).items():
        exited = its[-1].exited_latest if its and name in bundle.index.sidecars else None
        if exited is not None:
            told = [stop.ns + drain for stop in its[-1].stops]
            ends.append(min([exited - ENDS_WITHIN_NS, *told]))
    return min(ends, default=NEVER)


def sidecars_drain(bundle: Bundle, since_ns: int) -> Event | None:
    """The drain by the sidecar's own preStop hook, where it has one and tells of it."""
    for name in bundle.index.sidecars:
        for one in stamp_events(bundle, name, Stamp.SIDECAR_DRAIN):
            if one.latest >= since_ns:
                return one
    return None


def require_meaning(
    bundle: Bundle, found: Mapping[str, list[Life]], deletion: Line, role: str = SUBJECT_ROLE
) -> None:
    """An order says something only if the app was alive at the deletion, and then took its time."""
    app = bundle.index.app
    if not found[app]:
        raise Unjudgeable("the app has no container id: it never started")
    signals = [stop.ns for life in found[app] for stop in life.stops if stop.ns >= deletion.ns] + [
        one.latest for one in stamp_events(bundle, app, Stamp.APP_SIGTERM, role=role)
    ]
    gone = found[app][-1].exited_latest or 0
    if gone < deletion.ns:
        raise Unjudgeable(
            f"the app ended {(deletion.ns - gone) / 1e9:.1f} s before the deletion: nothing was "
            "left to be ordered"
        )
    if not signals:
        raise Unjudgeable("no signal to the app is recorded")
    if gone - max(signals) < MIN_DRAIN_NS:
        raise Unjudgeable(
            f"the app ended {(gone - max(signals)) / 1e6:.0f} ms after its signal: in so short a "
            "time signals sent at once would look ordered by chance"
        )

"""start.sequence, stop.reverse-order and mixed.order: pods with more than one sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.packets.probes import opening
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, Life, Order, happens_before, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, Role, Stamp, Step
from conformance.judges.ordering import MIN_DRAIN_NS, ended, told
from conformance.judges.premise import require_admitted
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import step
from conformance.judges.start.order import app_begins
from conformance.model import NEVER, NS, Evidence, Finding, Measured


def start(bundle: Bundle) -> Finding:
    """To hold: each container of the order as it is meant was created only after the one before it
    had passed: an init container by its exit, a sidecar by its startup probe's first 200.

    To be broken: one began before that.
    """
    order = _order(bundle)
    pairs = []
    for one, next_ in pairwise(order["containers"]):
        begun = _begins(bundle, next_["name"])
        pairs.append(happens_before(_passed(bundle, one["name"], one["port"], begun), begun))
    return _finding(
        pairs,
        f"{len(order['containers'])} containers began in their order, each after the one before "
        "it had passed",
    )


def stop(bundle: Bundle) -> Finding:
    """To hold: each sidecar was signalled only after what stands after it in the order had ended,
    and that had taken its time. To be broken: one has its signal, or is gone, before."""
    order = _order(bundle)
    sidecars = [one["name"] for one in order["containers"] if one["port"]]
    names = [*sidecars, order["containers"][-1]["name"]]
    found, deleted = lives(bundle), step(bundle, Step.DELETE_ASKED).ns
    pairs = [
        happens_before(_ended(bundle, found[later]), told(bundle, found[one], deleted))
        for one, later in pairwise(names)
    ]
    finding = _finding(
        pairs,
        f"{len(sidecars)} sidecars were signalled in reverse order, each after the end of what "
        "stands after it",
    )
    if finding.observed == "holds":
        for name in names[1:]:
            _require_time(found[name], deleted)
    return finding


def mixed(bundle: Bundle) -> Finding:
    """To hold: the native sidecar is ready before both other containers begin, and is signalled
    after both have ended, while the classic one neither keeps the app from starting nor is kept
    for it. To be broken: the native one lost its place, or the classic one has one."""
    require_admitted(bundle, {Container.SIDECAR: "native", Container.SECOND: "classic"}, Role.MIXED)
    found, deleted = lives(bundle, bundle.pod(Role.MIXED)), step(bundle, Step.DELETE_ASKED).ns
    app, app_ended = (
        app_begins(bundle, Role.MIXED),
        _ended(bundle, found[bundle.index.app], Role.MIXED),
    )
    ready = _ready(bundle, Container.SIDECAR, app.earliest, Role.MIXED)
    end = told(bundle, found[Container.SIDECAR], deleted, Role.MIXED)
    place = [
        happens_before(ready, app),
        happens_before(ready, _begins(bundle, Container.SECOND, Role.MIXED)),
        happens_before(app_ended, end),
        happens_before(_ended(bundle, found[Container.SECOND], Role.MIXED), end),
    ]
    finding = _finding(
        place,
        "The native sidecar was ready before the app and the classic sidecar began, and signalled "
        "after both had ended",
    )
    if finding.observed != "holds":
        return finding
    _require_time(found[bundle.index.app], deleted)
    free = [
        happens_before(app, _ready(bundle, Container.SECOND, app.earliest, Role.MIXED)),
        happens_before(told(bundle, found[Container.SECOND], deleted, Role.MIXED), app_ended),
    ]
    ordered = [one for one in free if one.answer == "no"]
    if ordered:
        return _broken(ordered, "ordered")
    if any(one.answer != "yes" for one in free):
        raise Unjudgeable("whether the classic sidecar has a place in the order cannot be told")
    return holds(
        f"{finding.reason[:-1]}; the classic one became ready {free[0].gap_ns / 1e6:.0f} ms after "
        f"the app began, and was signalled {free[1].gap_ns / 1e6:.0f} ms before it ended.",
        finding.measured,
        (*finding.evidence, *(piece for one in free for piece in one.evidence)),
    )


def _finding(pairs: Sequence[Order], said: str) -> Finding:
    wrong = [one for one in pairs if one.answer == "no"]
    if wrong:
        return _broken(wrong, "wrong-order")
    unclear = [one for one in pairs if one.answer == "cannot tell"]
    if unclear:
        raise Unjudgeable(
            f"whether {unclear[0].first.name} or {unclear[0].second.name} came first cannot be "
            "told",
            evidence=unclear[0].evidence,
        )
    nearest = min(pairs, key=lambda one: one.gap_ns)
    return holds(
        f"{said}; the nearest were {nearest.gap_ns / 1e6:.1f} ms apart.",
        _measured(pairs),
        tuple(piece for one in pairs for piece in one.evidence),
    )


def _broken(wrong: Sequence[Order], hazard: str) -> Finding:
    # As in stop.order: a sidecar that crashed is gone, and was not told to end out of its order.
    told_ = [one for one in wrong if not one.second.name.endswith("own exit")]
    worst = min(told_ or wrong, key=lambda one: one.gap_ns)
    return broken(
        hazard if told_ else "sidecar-gone",
        f"{worst.second.name} came {-worst.gap_ns / 1e6:.1f} ms before {worst.first.name}.",
        _measured(wrong),
        worst.evidence,
    )


def _measured(pairs: Sequence[Order]) -> Measured:
    return {
        "gaps_ms": {
            f"{one.first.name}, {one.second.name}": round(one.gap_ns / 1e6, 1) for one in pairs
        }
    }


def _order(bundle: Bundle) -> Line:
    order = bundle.step(Step.ORDER)
    if order is None:
        raise Unjudgeable("steps.jsonl does not say which order was meant")
    sidecars = [one["name"] for one in order["containers"] if one["port"]]
    require_admitted(bundle, dict.fromkeys(sidecars, bundle.index.cell.pattern))
    return order


def _begins(bundle: Bundle, name: str, role: str = SUBJECT_ROLE) -> Event:
    """A container's first instruction, of its first run."""
    first = _lives(lives(bundle, bundle.pod(role))[name], name)[0].created_event
    stamps = stamp_events(bundle, name, Stamp.APP_STARTED, Stamp.SIDECAR_STARTED, role=role)
    if first is None or not stamps:
        raise Unjudgeable(f"the begin of {name} is not recorded")
    latest = min(one.latest for one in stamps)
    evidence = (*first.evidence, *stamps[0].evidence)
    return Event(f"the begin of {name}", min(first.earliest, latest), latest, evidence)


def _passed(bundle: Bundle, name: str, port: int | None, begun: Event) -> Event:
    """When a container let the next one begin: a sidecar by the probe of its life then, or an init
    container by the end of its last run before."""
    if port is None:
        runs = _lives(lives(bundle)[name], name)
        before = [one for one in runs if one.created is None or one.created.ns < begun.latest]
        return ended(bundle, (before or runs)[-1])
    ready = _ready(bundle, name, begun.latest)
    probe, _ = opening(bundle, begun.earliest, name, port)
    if probe is None:
        return Event(f"the first successful probe of {name}", ready.earliest, NEVER, ready.evidence)
    earliest = min(ready.earliest, probe.earliest)
    evidence = (*ready.evidence, *probe.evidence)
    return Event(f"the first successful probe of {name}", earliest, probe.latest, evidence)


def _ready(bundle: Bundle, name: str, before_ns: int, role: str = SUBJECT_ROLE) -> Event:
    """When a sidecar first called itself ready, in its life at a moment (ns)."""
    born = max(
        (
            event.earliest
            for life in lives(bundle, bundle.pod(role))[name]
            if (event := life.created_event) and event.earliest < before_ns
        ),
        default=0,
    )
    found = [
        one
        for one in stamp_events(bundle, name, Stamp.SIDECAR_READY, role=role)
        if one.earliest >= born
    ]
    if not found:
        raise Unjudgeable(f"{name} never became ready")
    return Event(f"the readiness of {name}", found[0].earliest, found[0].latest, found[0].evidence)


def _ended(bundle: Bundle, its: Sequence[Life], role: str = SUBJECT_ROLE) -> Event:
    return ended(bundle, _lives(its, "a container")[-1], role)


def _lives(its: Sequence[Life], name: str) -> Sequence[Life]:
    if not its:
        raise Unjudgeable(f"{name} never started")
    return its


def _require_time(its: Sequence[Life], deleted_ns: int) -> None:
    """An order says something only if what was waited for took its time to end."""
    life = its[-1]
    signals = [stop.ns for stop in life.stops if stop.ns >= deleted_ns]
    took = (life.exited_latest or 0) - min(signals, default=NEVER)
    if took < MIN_DRAIN_NS:
        raise Unjudgeable(
            f"{life.name} ended within {MIN_DRAIN_NS / NS:.0f} s of its signal, or had none: what "
            "was signalled after it may have been so by chance",
            evidence=(Evidence(File.RUNTIME, life.exited.number),) if life.exited else (),
        )

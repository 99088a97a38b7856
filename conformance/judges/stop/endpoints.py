"""stop.endpoints: a pod leaves its Service before it refuses a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.evidence.attempts import OK, Attempt, attempts, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.deletion import TOLD, Departure, departure
from conformance.judges.lateness import TIMED_OUT, crowded, sent_by
from conformance.judges.ordering import BESIDE, from_sidecars_end
from conformance.judges.premise import require_premise
from conformance.model import NS, Evidence, Finding, Value

_BEHAVIOUR = "stop.endpoints"
SERVICES = {"quick": "subject", "late": "late"}  # kind of request → the Service that it goes to
STANDBY = "standby"
# The app stops to accept when its drain is over: a request that begins so shortly before may come
# too late, whatever became of the endpoints.
MARGIN_NS = NS // 2
# Of two endpoints kube-proxy chooses by chance: so many requests that all went to the other one
# show that the pod had left (by chance, one in 2^20).
LEFT = 20
CONTROL = 20  # requests before the deletion, none of which may fail


@dataclass(frozen=True)
class _Way:
    """One Service's requests: tried while the app drained, and when the last reached it (ns)."""

    kind: str
    tried: Sequence[Attempt]
    last_ns: int

    @property
    def lost(self) -> Sequence[Attempt]:
        return [one for one in self.tried if one.outcome != OK and not _timed_out(one)]

    @property
    def after(self) -> int:
        """Requests after the last one that reached the pod."""
        return sum(one.begin_ns > self.last_ns for one in self.tried)


def left_first(bundle: Bundle) -> Finding:
    """To hold: every new request through either Service was answered while the app drained, and
    by its end the pod had left both. To be broken: some were lost meanwhile, or timed out although
    the machine had time."""
    require_premise(bundle)
    going = departure(bundle, SUBJECT_ROLE)
    told = stamp_events(bundle, bundle.index.app, "app.sigterm")
    if not told:
        raise Unjudgeable("the app never said that it got SIGTERM")
    end = min(
        told[0].latest + round(bundle.index.app_drain_seconds * NS),
        going.exited(bundle.index.app),
    )
    ways = [_way(going, kind, end - MARGIN_NS) for kind in SERVICES]
    measured: dict[str, Value | Mapping[str, Value]] = {
        "drain_seconds": round((end - told[0].latest) / NS, 3),
        "requests": {one.kind: len(one.tried) for one in ways},
        "lost": {one.kind: len(one.lost) for one in ways},
        "left_after_seconds": {
            one.kind: round((one.last_ns - going.asked.ns) / NS, 3) for one in ways
        },
    }
    lost = [one for way in ways for one in way.lost]
    if lost and all((one.end_ns or one.begin_ns) >= end for one in lost):
        raise Unjudgeable(
            f"{len(lost)} requests were lost only after the app had stopped to accept: they came "
            "too late",
            measured=measured,
            evidence=[one.evidence for one in lost[:TOLD]],
        )
    if lost:
        to_its_end = from_sidecars_end(bundle, (one.end_ns for one in lost))
        measured["lost_from_the_sidecars_end"] = to_its_end
        return Finding(
            _BEHAVIOUR,
            "broken",
            f"{len(lost)} of {sum(len(one.tried) for one in ways)} new requests through the "
            "Services were lost while the app of a pod behind them drained.",
            hazard="lost-request" if to_its_end else BESIDE,
            measured=measured,
            evidence=[going.asked_evidence, *(one.evidence for one in lost[:TOLD])],
        )
    slow = [one for way in ways for one in way.tried if _timed_out(one)]
    if slow and crowded(sent_by(bundle, "peer", SUBJECT_ROLE, STANDBY)):
        raise Unjudgeable(
            f"{len(slow)} requests timed out: a machine that is too slow, and not a refusal",
            measured=measured,
            evidence=[one.evidence for one in slow[:TOLD]],
        )
    if slow:
        return Finding(
            _BEHAVIOUR,
            "broken",
            f"{len(slow)} new requests through the Services timed out while the app of a pod "
            "behind them drained, and others were answered at once.",
            hazard=TIMED_OUT,
            measured=measured,
            evidence=[going.asked_evidence, *(one.evidence for one in slow[:TOLD])],
        )
    for way in ways:
        if way.after < LEFT:
            raise Unjudgeable(
                f"whether the pod had left the Service {SERVICES[way.kind]} when its drain was "
                f"over cannot be told: {way.after} requests came after the last that reached it, "
                f"and {LEFT} are needed",
                measured=measured,
            )
    return Finding(
        _BEHAVIOUR,
        "holds",
        f"All {sum(len(one.tried) for one in ways)} new requests were answered while the app "
        f"drained; the pod left its Service within "
        f"{_seconds(ways[0], going):.1f} s, and the late one within {_seconds(ways[1], going):.1f} "
        "s.",
        measured=measured,
        evidence=[going.asked_evidence, *_ends(ways)],
    )


def _way(going: Departure, kind: str, until: int) -> _Way:
    bundle = going.bundle
    app = bundle.index.app
    sent = sorted(
        (one for one in attempts(bundle, "peer", app) if one.kind == kind),
        key=lambda one: one.begin_ns,
    )
    by_subject = served(bundle, SUBJECT_ROLE, app, [kind])
    by_standby = served(bundle, STANDBY, app, [kind])
    before = [one for one in sent if one.begin_ns < going.asked.ns][-CONTROL:]
    failed = [one for one in before if one.outcome != OK]
    if failed:
        raise Unjudgeable(
            f"{len(failed)} of the last {len(before)} requests through the Service "
            f"{SERVICES[kind]} had failed before anything was deleted",
            evidence=[one.evidence for one in failed],
        )
    for name, reached in ((SUBJECT_ROLE, by_subject), (STANDBY, by_standby)):
        if not any(one.token in reached for one in before):
            raise Unjudgeable(
                f"{name} served nothing of the Service {SERVICES[kind]} before the deletion"
            )
    tried = [one for one in sent if going.asked.ns <= one.begin_ns <= until]
    unknown = [
        one
        for one in tried
        if one.outcome == OK and one.token not in by_subject and one.token not in by_standby
    ]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests were answered, and neither pod served them",
            evidence=[one.evidence for one in unknown[:TOLD]],
        )
    last = max(one.begin.ns for one in by_subject.values())
    return _Way(kind, tried, max(last, going.asked.ns))


def _timed_out(one: Attempt) -> bool:
    """Nobody answered in time: the client says so, or a proxy on the way."""
    return one.outcome == "timeout" or "timeout" in one.detail


def _seconds(way: _Way, going: Departure) -> float:
    return (way.last_ns - going.asked.ns) / NS


def _ends(ways: Sequence[_Way]) -> list[Evidence]:
    return [one.evidence for way in ways for one in (way.tried[0], way.tried[-1])]

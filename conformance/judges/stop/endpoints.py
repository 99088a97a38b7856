"""stop.endpoints: a pod leaves its Service before it refuses a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.evidence.attempts import OK, TIMEOUT, Attempt, attempts, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Stamp
from conformance.judges.deletion import Deletion, deletion_of
from conformance.judges.density import require_density
from conformance.judges.lateness import TIMED_OUT, crowded, sent_by
from conformance.judges.ordering import BESIDE, from_sidecars_end
from conformance.judges.ruling import broken, holds, lines_of
from conformance.model import NS, Evidence, Finding, Value, Window

SERVICES = {"quick": "subject", "late": "late"}  # kind of request → the Service that it goes to
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
    deletion = deletion_of(bundle, SUBJECT_ROLE)
    told = stamp_events(bundle, bundle.index.app, Stamp.APP_SIGTERM)
    if not told:
        raise Unjudgeable("the app never said that it got SIGTERM")
    end = min(
        told[0].latest + round(bundle.index.app_drain_seconds * NS),
        deletion.exited(bundle.index.app),
    )
    ways = [_way(deletion, kind, end - MARGIN_NS) for kind in SERVICES]
    measured: dict[str, Value | Mapping[str, Value]] = {
        "drain_seconds": round((end - told[0].latest) / NS, 3),
        "requests": {one.kind: len(one.tried) for one in ways},
        "lost": {one.kind: len(one.lost) for one in ways},
        "left_after_seconds": {
            one.kind: round((one.last_ns - deletion.asked.ns) / NS, 3) for one in ways
        },
    }
    lost = [one for way in ways for one in way.lost]
    if lost and all((one.end_ns or one.begin_ns) >= end for one in lost):
        raise Unjudgeable(
            f"{len(lost)} requests were lost only after the app had stopped to accept: they came "
            "too late",
            measured,
            lines_of(lost),
        )
    if lost:
        to_its_end = from_sidecars_end(bundle, (one.end_ns for one in lost))
        measured["lost_from_the_sidecars_end"] = to_its_end
        return broken(
            "lost-request" if to_its_end else BESIDE,
            f"{len(lost)} of {sum(len(one.tried) for one in ways)} new requests through the "
            "Services were lost while the app of a pod behind them drained.",
            measured,
            [deletion.asked_evidence, *lines_of(lost)],
        )
    slow = [one for way in ways for one in way.tried if _timed_out(one)]
    if slow and crowded(sent_by(bundle, Role.PEER, SUBJECT_ROLE, Role.STANDBY)):
        raise Unjudgeable(
            f"{len(slow)} requests timed out: a machine that is too slow, and not a refusal",
            measured,
            lines_of(slow),
        )
    if slow:
        return broken(
            TIMED_OUT,
            f"{len(slow)} new requests through the Services timed out while the app of a pod "
            "behind them drained, and others were answered at once.",
            measured,
            [deletion.asked_evidence, *lines_of(slow)],
        )
    for way in ways:
        if way.after < LEFT:
            raise Unjudgeable(
                f"whether the pod had left the Service {SERVICES[way.kind]} when its drain was "
                f"over cannot be told: {way.after} requests came after the last that reached it, "
                f"and {LEFT} are needed",
                measured,
            )
    for way in ways:
        watched = Window("drain", way.tried[0].begin_ns, end - MARGIN_NS)
        require_density(way.tried, watched, f"the peer, through {SERVICES[way.kind]},", measured)
    left = [_seconds(one, deletion) for one in ways]
    return holds(
        f"All {sum(len(one.tried) for one in ways)} new requests were answered while the app "
        f"drained; the pod left its Service within {left[0]:.1f} s, and the late one within "
        f"{left[1]:.1f} s.",
        measured,
        [deletion.asked_evidence, *_ends(ways)],
    )


def _way(deletion: Deletion, kind: str, until: int) -> _Way:
    bundle = deletion.bundle
    app = bundle.index.app
    sent = sorted(
        (one for one in attempts(bundle, Role.PEER, app) if one.kind == kind),
        key=lambda one: one.begin_ns,
    )
    by_subject = served(bundle, SUBJECT_ROLE, app, [kind])
    by_standby = served(bundle, Role.STANDBY, app, [kind])
    before = [one for one in sent if one.begin_ns < deletion.asked.ns][-CONTROL:]
    failed = [one for one in before if one.outcome != OK]
    if failed:
        raise Unjudgeable(
            f"{len(failed)} of the last {len(before)} requests through the Service "
            f"{SERVICES[kind]} had failed before anything was deleted",
            evidence=lines_of(failed),
        )
    for name, reached in ((SUBJECT_ROLE, by_subject), (Role.STANDBY, by_standby)):
        if not any(one.token in reached for one in before):
            raise Unjudgeable(
                f"{name} served nothing of the Service {SERVICES[kind]} before the deletion"
            )
    tried = [one for one in sent if deletion.asked.ns <= one.begin_ns <= until]
    unknown = [
        one
        for one in tried
        if one.outcome == OK and one.token not in by_subject and one.token not in by_standby
    ]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests were answered, and neither pod served them",
            evidence=lines_of(unknown),
        )
    last = max(one.begin.ns for one in by_subject.values())
    return _Way(kind, tried, max(last, deletion.asked.ns))


def _timed_out(one: Attempt) -> bool:
    """Nobody answered in time: the client says so, or a proxy on the way."""
    return one.outcome == TIMEOUT or "timeout" in one.detail


def _seconds(way: _Way, deletion: Deletion) -> float:
    return (way.last_ns - deletion.asked.ns) / NS


def _ends(ways: Sequence[_Way]) -> list[Evidence]:
    return [one.evidence for way in ways for one in (way.tried[0], way.tried[-1])]

"""stop.in-flight and stop.app-egress: what becomes of requests when the pod is deleted."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Kind, Role, Stamp, Step
from conformance.judges.density import require_density
from conformance.judges.lateness import TIMED_OUT, blamable, by_both, only_timed_out
from conformance.judges.ordering import BESIDE, from_sidecars_end, sidecars_end
from conformance.judges.ruling import broken, holds, lines_of, rate_bound, require_number
from conformance.judges.sources import deletion_step
from conformance.model import NEVER, NS, Finding, Measured, Window

# Three drained requests are the least that show a drain; the fixture sends ten a second.
MIN_DRAINED = 3
_IN_FLIGHT = ("inflight", Kind.STREAM)


def in_flight(bundle: Bundle) -> Finding:
    """Requests of the peer that the app was answering when the pod was deleted end rightly.

    In flight is what was connected when the app was told to end, and had not ended when the
    deletion was asked for: a kubelet may act before the answer to that is read, and on a crowded
    machine seconds later. Connected may be to the peer's own proxy, so the app's record says which
    of them had reached it; what was connected when the pod's own sidecar had been told to end, and
    did not reach the app, came after the deletion.
    """
    accepted = deletion_step(bundle, Step.DELETE_ACCEPTED)
    asked = bundle.step(Step.DELETE_ASKED) or accepted
    told = stamp_events(bundle, bundle.index.app, Stamp.APP_SIGTERM)
    moment = max(accepted.ns, told[0].latest if told else 0)
    found = [
        one
        for one in attempts(bundle, Role.PEER, Container.APP)
        if one.kind in _IN_FLIGHT
        and one.connected_ns is not None
        and one.connected_ns < moment
        and (one.end_ns is None or one.end_ns > asked.ns)
    ]
    answers = served(bundle, SUBJECT_ROLE, bundle.index.app, _IN_FLIGHT)
    there = {token for token, one in answers.items() if one.begin.ns < moment}
    gone = sidecars_end(bundle)
    found = [one for one in found if one.token in there or (one.connected_ns or 0) < gone]
    reached = [one for one in found if one.token in there]
    lost: Sequence[Attempt] = [one for one in reached if one.outcome != OK]
    measured: Measured = {
        "in_flight": len(found),
        "reached_the_app": len(reached),
        "lost": len(lost),
        "requests_by_outcome": dict(by_outcome(found)),
        "rate_bound_95": rate_bound(len(reached)),
    }
    if not reached:
        raise Unjudgeable(
            f"no request was being answered when the pod was deleted ({len(found)} were under way)",
            measured,
        )
    lost = blamable(lost, by_both(bundle), measured)
    if lost:
        gone = _app_gone_ns(bundle)
        if all(one.end_ns is None or one.end_ns >= gone for one in lost):
            raise Unjudgeable(
                f"{len(lost)} requests were lost only after the app itself had ended: the sidecar "
                "cannot be blamed",
                measured,
                lines_of(lost),
            )
        return _lost(bundle, lost, f"{len(reached)} requests in flight at the deletion",
            measured,
        )  # fmt: skip
    failed = [one for one in found if one.outcome != OK]
    if failed:
        raise Unjudgeable(
            f"{len(failed)} requests failed that were under way when the pod was deleted, and had "
            "not reached the app",
            measured,
            lines_of(failed),
        )
    silent = [one for one in reached if answers[one.token].end is None]
    if silent:
        raise Unjudgeable(
            f"{len(silent)} requests were answered, and the app's own record has no end of them",
            measured,
            lines_of(silent),
        )
    least = bundle.index.sidecar_drain_seconds
    lasted = (max(one.end_ns or 0 for one in reached) - moment) / NS
    if lasted <= least:
        raise Unjudgeable(
            f"the last request in flight ended {lasted:.1f} s after the app was told to end; a "
            f"sidecar signalled at once would have lived as long (it drains for {least:.1f} s)",
            measured,
            lines_of(found),
        )
    return holds(
        f"All {len(found)} requests in flight at the deletion were answered rightly.",
        measured,
        lines_of(found),
    )


def app_egress(bundle: Bundle) -> Finding:
    """What the app sends between its SIGTERM and its end arrives, through the sidecar."""
    app = bundle.index.app
    sigterm = stamp_events(bundle, app, Stamp.APP_SIGTERM)
    last = stamp_events(bundle, app, Stamp.APP_LAST)
    if not sigterm:
        raise Unjudgeable("the app never said that it got SIGTERM")
    begin = sigterm[0].earliest
    end = last[-1].latest if last else None
    found = [
        one
        for one in attempts(bundle, SUBJECT_ROLE, app)
        if one.kind == Kind.DRAIN and one.begin_ns >= begin and (end is None or one.begin_ns <= end)
    ]
    lost: Sequence[Attempt] = [
        one for one in found if one.outcome != OK and (end is not None or one.end_ns)
    ]
    span = (max(one.begin_ns for one in found) - begin) / NS if found else 0.0
    measured: Measured = {
        "requests": len(found),
        "requests_by_outcome": dict(by_outcome(found)),
        "lost": len(lost),
        "past_the_sidecar": sum(one.bypassed for one in found),
        "drain_seconds_watched": round(span, 3),
        "rate_bound_95": rate_bound(len(found)),
    }
    require_number(found, MIN_DRAINED, "requests of the app after its SIGTERM", measured)
    lost = blamable(lost, by_both(bundle), measured)
    if lost:
        return _lost(bundle, lost, f"{len(found)} requests sent after SIGTERM", measured)
    past = [one for one in found if one.bypassed]
    if past:
        return broken(
            "bypassed",
            f"{len(past)} of {len(found)} requests sent after SIGTERM were answered past the "
            "sidecar.",
            measured,
            lines_of(past),
        )
    _require_whole_drain(bundle, found, end, span, measured)
    return holds(
        f"All {len(found)} requests that the app sent in {span:.1f} s after its SIGTERM were "
        "answered rightly.",
        measured,
        (*sigterm[0].evidence, *lines_of(found[:1] + found[-1:])),
    )


def _require_whole_drain(
    bundle: Bundle, found: Sequence[Attempt], end: int | None, span: float, measured: Measured
) -> None:
    if end is None:
        raise Unjudgeable("the app never came to its last instruction", measured)
    least = bundle.index.sidecar_drain_seconds
    if span <= least:
        raise Unjudgeable(
            f"the app sent for {span:.1f} s after its SIGTERM; a sidecar signalled at once would "
            f"have lived as long (it drains for {least:.1f} s)",
            measured,
        )
    watched = Window("drain", found[0].begin_ns, max(one.begin_ns for one in found))
    require_density(found, watched, "the app", measured)
    there = served(bundle, Role.PEER, Container.APP, (Kind.DRAIN,))
    unknown = [
        one
        for one in found
        if one.token not in there or there[one.token].begin.ns < one.begin_ns - NS
    ]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests were answered, and the peer did not serve them then",
            measured,
            lines_of(unknown),
        )


def _lost(bundle: Bundle, lost: Sequence[Attempt], of: str, measured: Measured) -> Finding:
    """Lost requests. The hazard is refused, reset or timed-out when all were, else lost-request;
    unless none was lost to the sidecar's end."""
    to_its_end = from_sidecars_end(bundle, (one.end_ns for one in lost))
    kinds = {one.outcome for one in lost}
    hazard = kinds.pop() if len(kinds) == 1 and kinds <= {"refused", "reset"} else "lost-request"
    if only_timed_out(lost):
        hazard = TIMED_OUT
    elif not to_its_end:
        hazard = BESIDE
    counts = ", ".join(f"{number} {outcome}" for outcome, number in by_outcome(lost).items())
    return broken(
        hazard,
        f"{len(lost)} of {of} were lost ({counts}), {to_its_end or 'none'} of them from the "
        "sidecar's end on.",
        {**measured, "lost_from_the_sidecars_end": to_its_end},
        lines_of(lost),
    )


def _app_gone_ns(bundle: Bundle) -> int:
    """When the app had ended (ns): its last instruction, or its exit; never, when neither is."""
    last = stamp_events(bundle, bundle.index.app, Stamp.APP_LAST)
    if last:
        return last[-1].latest
    its = lives(bundle)[bundle.index.app]
    exited = its[-1].exited_latest if its else None
    return exited if exited is not None else NEVER

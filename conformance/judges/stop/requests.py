"""stop.in-flight and stop.app-egress: what becomes of requests when the pod is deleted."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.lateness import TIMED_OUT, blamable, by_both, only_timed_out
from conformance.judges.ordering import BESIDE, from_sidecars_end
from conformance.judges.premise import require_premise
from conformance.model import NEVER, NS, Evidence, Finding, Measured, Value

# Three drained requests are the least that show a drain; the fixture sends ten a second.
MIN_DRAINED = 3
_IN_FLIGHT = ("inflight", "stream")
_TOLD = 50


def in_flight(bundle: Bundle) -> Finding:
    """Requests of the peer that the app was answering when the pod was deleted end rightly.

    In flight is what was connected when the app was told to end, and had not ended when the
    deletion was asked for: a kubelet may act before the answer to that is read, and on a crowded
    machine seconds later. Connected may be to the peer's own proxy, so the app's record says which
    of them had reached it.
    """
    require_premise(bundle)
    accepted = bundle.step("delete.accepted")
    if accepted is None:
        raise Unjudgeable("no deletion is in steps.jsonl")
    asked = bundle.step("delete.asked") or accepted
    told = stamp_events(bundle, bundle.index.app, "app.sigterm")
    moment = max(accepted.ns, told[0].latest if told else 0)
    found = [
        one
        for one in attempts(bundle, "peer", "app")
        if one.kind in _IN_FLIGHT
        and one.connected_ns is not None
        and one.connected_ns < moment
        and (one.end_ns is None or one.end_ns > asked.ns)
    ]
    there = {
        token
        for token, one in served(bundle, SUBJECT_ROLE, bundle.index.app, _IN_FLIGHT).items()
        if one.begin.ns < moment
    }
    reached = [one for one in found if one.token in there]
    lost: Sequence[Attempt] = [one for one in reached if one.outcome != OK]
    measured: Measured = {
        "in_flight": len(found),
        "reached_the_app": len(reached),
        "lost": len(lost),
        "requests_by_outcome": _counts(found),
        "rate_bound_95": round(3 / len(reached), 6) if reached else None,
    }
    if not reached:
        raise Unjudgeable(
            f"no request was being answered when the pod was deleted ({len(found)} were under way)",
            measured=measured,
        )
    lost = blamable(lost, by_both(bundle), measured)
    if lost:
        gone = _app_gone_ns(bundle)
        if all(one.end_ns is None or one.end_ns >= gone for one in lost):
            raise Unjudgeable(
                f"{len(lost)} requests were lost only after the app itself had ended: the sidecar "
                "cannot be blamed",
                evidence=_evidence(lost),
                measured=measured,
            )
        return _lost(
            bundle, "stop.in-flight", lost, f"{len(reached)} requests in flight at the deletion",
            measured,
        )  # fmt: skip
    failed = [one for one in found if one.outcome != OK]
    if failed:
        raise Unjudgeable(
            f"{len(failed)} requests failed that were under way when the pod was deleted, and had "
            "not reached the app",
            evidence=_evidence(failed),
            measured=measured,
        )
    least = bundle.index.sidecar_drain_seconds
    lasted = (max(one.end_ns or 0 for one in reached) - moment) / NS
    if lasted <= least:
        raise Unjudgeable(
            f"the last request in flight ended {lasted:.1f} s after the app was told to end; a "
            f"sidecar signalled at once would have lived as long (it drains for {least:.1f} s)",
            evidence=_evidence(found),
            measured=measured,
        )
    return Finding(
        "stop.in-flight",
        "holds",
        f"All {len(found)} requests in flight at the deletion were answered rightly.",
        measured=measured,
        evidence=_evidence(found),
    )


def app_egress(bundle: Bundle) -> Finding:
    """What the app sends between its SIGTERM and its end arrives, through the sidecar."""
    require_premise(bundle)
    app = bundle.index.app
    sigterm = stamp_events(bundle, app, "app.sigterm")
    last = stamp_events(bundle, app, "app.last")
    if not sigterm:
        raise Unjudgeable("the app never said that it got SIGTERM")
    begin = sigterm[0].earliest
    end = last[-1].latest if last else None
    found = [
        one
        for one in attempts(bundle, SUBJECT_ROLE, app)
        if one.kind == "drain" and one.begin_ns >= begin and (end is None or one.begin_ns <= end)
    ]
    lost: Sequence[Attempt] = [
        one for one in found if one.outcome != OK and (end is not None or one.end_ns)
    ]
    span = (max(one.begin_ns for one in found) - begin) / NS if found else 0.0
    measured: Measured = {
        "requests": len(found),
        "requests_by_outcome": _counts(found),
        "lost": len(lost),
        "past_the_sidecar": sum(one.bypassed for one in found),
        "drain_seconds_watched": round(span, 3),
        "rate_bound_95": round(3 / len(found), 6) if found else None,
    }
    if len(found) < MIN_DRAINED:
        raise Unjudgeable(
            f"the app sent {len(found)} requests after its SIGTERM, and {MIN_DRAINED} are needed",
            measured=measured,
        )
    lost = blamable(lost, by_both(bundle), measured)
    if lost:
        return _lost(
            bundle, "stop.app-egress", lost, f"{len(found)} requests sent after SIGTERM", measured
        )
    past = [one for one in found if one.bypassed]
    if past:
        return Finding(
            "stop.app-egress",
            "broken",
            f"{len(past)} of {len(found)} requests sent after SIGTERM were answered past the "
            "sidecar.",
            hazard="bypassed",
            measured=measured,
            evidence=_evidence(past),
        )
    _require_whole_drain(bundle, found, end, span, measured)
    return Finding(
        "stop.app-egress",
        "holds",
        f"All {len(found)} requests that the app sent in {span:.1f} s after its SIGTERM were "
        "answered rightly.",
        measured=measured,
        evidence=(*sigterm[0].evidence, *_evidence(found[:1] + found[-1:])),
    )


def _require_whole_drain(
    bundle: Bundle, found: Sequence[Attempt], end: int | None, span: float, measured: Measured
) -> None:
    if end is None:
        raise Unjudgeable("the app never came to its last instruction", measured=measured)
    least = bundle.index.sidecar_drain_seconds
    if span <= least:
        raise Unjudgeable(
            f"the app sent for {span:.1f} s after its SIGTERM; a sidecar signalled at once would "
            f"have lived as long (it drains for {least:.1f} s)",
            measured=measured,
        )
    there = served(bundle, "peer", "app", ("drain",))
    unknown = [one for one in found if one.token not in there]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests were answered, and the peer never served them",
            evidence=_evidence(unknown),
            measured=measured,
        )


def _lost(
    bundle: Bundle, behaviour: str, lost: Sequence[Attempt], of: str, measured: Measured
) -> Finding:
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
    return Finding(
        behaviour,
        "broken",
        f"{len(lost)} of {of} were lost ({counts}), {to_its_end or 'none'} of them from the "
        "sidecar's end on.",
        hazard=hazard,
        measured={**measured, "lost_from_the_sidecars_end": to_its_end},
        evidence=_evidence(lost),
    )


def _app_gone_ns(bundle: Bundle) -> int:
    """When the app had ended (ns): its last instruction, or its exit; never, when neither is."""
    last = stamp_events(bundle, bundle.index.app, "app.last")
    if last:
        return last[-1].latest
    its = lives(bundle)[bundle.index.app]
    exited = its[-1].exited_latest if its else None
    return exited if exited is not None else NEVER


def _counts(found: Sequence[Attempt]) -> dict[str, Value]:
    return dict(by_outcome(found))


def _evidence(found: Sequence[Attempt]) -> tuple[Evidence, ...]:
    return tuple(one.evidence for one in found[:_TOLD])

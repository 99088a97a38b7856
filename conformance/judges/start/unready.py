"""start.unready-sidecar: a startup probe that does not pass keeps the app from starting."""

from __future__ import annotations

import re
from collections.abc import Sequence

from conformance.evidence.attempts import attempts, by_outcome
from conformance.evidence.bundle import Bundle
from conformance.evidence.commands import column, command
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.parse import Line
from conformance.evidence.probes import first_success
from conformance.evidence.timeline import Event, happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.plaintext import judge_window
from conformance.judges.premise import require_premise
from conformance.judges.start.order import app_begins
from conformance.model import NS, Evidence, Finding, Value, Window

_BEHAVIOUR = "start.unready-sidecar"
MIN_REFUSALS = 3  # one failure may be a slow start; the fixture is asked once a second
_WAITING = re.compile(r"Init:\d+/\d+")


def unready(bundle: Bundle) -> Finding:
    """To hold: while the probe was refused again and again there was no app and the pod showed it,
    and the app began once the sidecar had what it lacked, and was ready.

    To be broken: the app began before. What it sent then is told: in clear, where that was seen.
    """
    require_premise(bundle)
    healed, ready, refusals = _healed(bundle)
    refused = sum(_count(one) for one in refusals)
    app = app_begins(bundle)
    printed = command(bundle, "get pod")
    if printed.ns > healed.ns:
        raise Unjudgeable("what the pod showed was asked for only after it was healed")
    status = column(printed, bundle.index.subject_pod.name, "STATUS")
    measured: dict[str, Value] = {
        "refused_probes": refused,
        "shown": status,
        "app_after_healing_seconds": round((app.latest - healed.ns) / NS, 3),
        "corrected_in_place": _corrected(bundle),
    }
    its = happens_before(Event("the correction", healed.ns, healed.ns, (_step(healed),)), app)
    if its.answer == "no":
        return _unprotected(bundle, Window("unready", app.latest, healed.ns), measured)
    if its.answer != "yes":
        raise Unjudgeable("whether the app or the correction came first cannot be told")
    behind = happens_before(ready, app)
    opened = _opened(bundle) if behind.answer != "yes" else None
    if opened:  # a sidecar answers its probe, and writes that it is ready after that
        behind = happens_before(opened, app)
    if behind.answer == "no":
        return _unprotected(bundle, Window("unready", app.latest, ready.earliest), measured)
    if behind.answer != "yes":
        raise Unjudgeable("whether the app or its sidecar's readiness came first cannot be told")
    if not _WAITING.fullmatch(status):
        return Finding(
            _BEHAVIOUR,
            "broken",
            f"The app waited, but kubectl get pod showed {status!r}.",
            "not-shown",
            measured,
            (printed_in(printed),),
        )
    return Finding(
        _BEHAVIOUR,
        "holds",
        f"The app waited through {refused} refused probes, shown as {status}, and began "
        f"{its.gap_ns / NS:.1f} s after the sidecar got what it lacked.",
        measured=measured,
        evidence=(*its.evidence, printed_in(printed), *(_refusal(one) for one in refusals)),
    )


def _healed(bundle: Bundle) -> tuple[Line, Event, Sequence[Line]]:
    """When the cause was taken away, when the sidecar was ready, and the Events that tell of
    refused probes by then."""
    healed = bundle.step("healed")
    if healed is None:
        raise Unjudgeable("the sidecar was never given what it lacked")
    (sidecar,) = bundle.index.sidecars
    ready = stamp_events(bundle, sidecar, "sidecar.ready")
    if not ready:
        raise Unjudgeable("the sidecar never became ready: the cause is not proven")
    if ready[0].latest < healed.ns:
        raise Unjudgeable("the sidecar was ready before it was given what it lacked")
    refusals = _refusals(bundle, healed.ns)
    refused = sum(_count(one) for one in refusals)
    if refused < MIN_REFUSALS:
        raise Unjudgeable(f"{refused} failed startup probes are told of, not {MIN_REFUSALS}")
    return healed, ready[0], refusals


def _opened(bundle: Bundle) -> Event | None:
    """The first 200 to the kubelet's startup probe, where the pod's packets show it."""
    try:
        return first_success(bundle)[0]
    except Unjudgeable:
        return None


def _refusals(bundle: Bundle, until: int) -> Sequence[Line]:
    """The newest version of each Event that tells of failed startup probes of the pod."""
    uid = bundle.index.subject_pod.uid
    found: dict[str, Line] = {}
    for line in bundle.watch():
        event = line["object"]
        if (
            line.get("kind") == "Event"
            and line.ns <= until
            and event["involvedObject"].get("uid") == uid
            and event.get("reason") == "Unhealthy"
            and str(event.get("message")).startswith("Startup probe failed")
        ):
            found[event["metadata"]["name"]] = line
    return list(found.values())


def _count(event: Line) -> int:
    return int(event["object"].get("count") or 1)


def _refusal(event: Line) -> Evidence:
    text = str(event["object"]["message"])
    return Evidence("watch.jsonl", line=event.number, ns=event.ns, text=text)


def _unprotected(bundle: Bundle, window: Window, measured: dict[str, Value]) -> Finding:
    """The app ran without its sidecar: what became of its requests."""
    sent = [
        one
        for one in attempts(bundle, "subject", bundle.index.app)
        if one.begin_ns in window and one.kind in ("first", "steady")
    ]
    outcomes = by_outcome(sent)
    counts = ", ".join(f"{number} {how}" for how, number in outcomes.items()) or "none sent"
    hazard, seen = "unprotected", ""
    evidence = [one.evidence for one in sent[:20]]
    if bundle.index.identities:  # it carries the app's traffic: in clear is not how it should go
        try:
            clear = judge_window(_BEHAVIOUR, bundle, window, window, to_the_end=False)
        except Unjudgeable as why:
            seen = f" (its packets cannot be judged: {why})"
        else:
            if clear.observed == "broken":
                hazard, evidence = clear.hazard, list(clear.evidence)
                seen = f" {clear.reason}"
    return Finding(
        _BEHAVIOUR,
        "broken",
        f"The app ran for {window.seconds:.1f} s without a ready sidecar; its requests: "
        f"{counts}.{seen}",
        hazard,
        {**measured, **{f"requests_{how}": number for how, number in outcomes.items()}},
        evidence,
    )


def _corrected(bundle: Bundle) -> bool:
    """Whether the API server took a correction of the probe in the pod as it is."""
    tried = bundle.step("probe.corrected")
    return tried is not None and tried["status"] == 200


def _step(line: Line) -> Evidence:
    return Evidence("steps.jsonl", line=line.number, ns=line.ns, text=line.event)

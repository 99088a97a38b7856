"""start.unready-sidecar: a startup probe that does not pass keeps the app from starting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from conformance.evidence.attempts import attempts, by_outcome
from conformance.evidence.bundle import Bundle
from conformance.evidence.commands import column, command
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.packets.probes import opening
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Role, Stamp, Step
from conformance.judges.plaintext import judge_window
from conformance.judges.ruling import broken, holds, lines_of
from conformance.judges.sources import at_step, events, in_watch, newest_of_each, times
from conformance.judges.start.order import app_begins
from conformance.model import NS, Finding, Value, Window

MIN_REFUSALS = 3  # one failure may be a slow start; the fixture is asked once a second
_WAITING = re.compile(r"Init:\d+/\d+")


def unready(bundle: Bundle) -> Finding:
    """To hold: while the probe was refused again and again there was no app and the pod showed it,
    and the app began once the sidecar had what it lacked, and was ready.

    To be broken: the app began before. What it sent then is told: in clear, where that was seen.
    """
    healed, ready, refusals = _healed(bundle)
    refused = sum(times(one) for one in refusals)
    app = app_begins(bundle)
    printed = command(bundle, "get pod")
    if printed.ns > healed.ns:
        raise Unjudgeable("what the pod showed was asked for only after it was healed")
    if printed.ns < min(one.ns for one in _failures(bundle, healed.ns)):
        raise Unjudgeable("what the pod showed was asked for before any probe had been refused")
    status = column(printed, bundle.index.subject_pod.name, "STATUS")
    measured: dict[str, Value] = {
        "refused_probes": refused,
        "shown": status,
        "app_after_healing_seconds": round((app.latest - healed.ns) / NS, 3),
        "corrected_in_place": _corrected(bundle),
    }
    its = happens_before(Event("the correction", healed.ns, healed.ns, (at_step(healed),)), app)
    if its.answer == "no":
        return _unprotected(bundle, Window("unready", app.latest, healed.ns), measured)
    if its.answer != "yes":
        raise Unjudgeable("whether the app or the correction came first cannot be told")
    later = happens_before(ready, app)
    opened = _opened(bundle, app) if later.answer != "yes" else None
    if opened:  # a sidecar answers its probe, and writes that it is ready after that
        later = happens_before(opened, app)
    if later.answer == "no":
        return _unprotected(bundle, Window("unready", app.latest, ready.earliest), measured)
    if later.answer != "yes":
        raise Unjudgeable("whether the app or its sidecar's readiness came first cannot be told")
    if not _WAITING.fullmatch(status):
        return broken(
            "not-shown",
            f"The app waited, but kubectl get pod showed {status!r}.",
            measured,
            (printed_in(printed),),
        )
    return holds(
        f"The app waited through {refused} refused probes, shown as {status}, and began "
        f"{its.gap_ns / NS:.1f} s after the sidecar got what it lacked.",
        measured,
        (
            *its.evidence,
            printed_in(printed),
            *(in_watch(one, str(one["object"]["message"])) for one in refusals),
        ),
    )


def _healed(bundle: Bundle) -> tuple[Line, Event, Sequence[Line]]:
    """When the cause was taken away, when the sidecar was ready, and the Events that tell of
    refused probes by then."""
    healed = bundle.step(Step.HEALED)
    if healed is None:
        raise Unjudgeable("the sidecar was never given what it lacked")
    sidecar = bundle.index.sidecars[0]
    ready = stamp_events(bundle, sidecar, Stamp.SIDECAR_READY)
    if not ready:
        raise Unjudgeable("the sidecar never became ready: the cause is not proven")
    if ready[0].latest < healed.ns:
        raise Unjudgeable("the sidecar was ready before it was given what it lacked")
    refusals = list(newest_of_each(_failures(bundle, healed.ns)).values())
    refused = sum(times(one) for one in refusals)
    if refused < MIN_REFUSALS:
        raise Unjudgeable(f"{refused} failed startup probes are told of, not {MIN_REFUSALS}")
    return healed, ready[0], refusals


def _failures(bundle: Bundle, until: int) -> Iterator[Line]:
    """Events that tell of failed startup probes of the pod, received by then."""
    for line in events(bundle, "Unhealthy", "Startup probe failed", bundle.pod().uid):
        if line.ns <= until:
            yield line


def _opened(bundle: Bundle, app: Event) -> Event | None:
    """The 200 to the kubelet's startup probe that the app waited for, where the packets show it."""
    try:
        return opening(bundle, app.earliest)[0]
    except Unjudgeable:
        return None


def _unprotected(bundle: Bundle, window: Window, measured: dict[str, Value]) -> Finding:
    """The app ran without its sidecar: what became of its requests."""
    sent = [
        one
        for one in attempts(bundle, Role.SUBJECT, bundle.index.app)
        if one.begin_ns in window and one.kind in ("first", Kind.STEADY)
    ]
    outcomes = by_outcome(sent)
    counts = ", ".join(f"{number} {how}" for how, number in outcomes.items()) or "none sent"
    hazard, seen = "unprotected", ""
    evidence = lines_of(sent)
    if bundle.index.identities:  # it carries the app's traffic: in clear is not how it should go
        try:
            clear = judge_window(bundle, window, window, to_the_end=False)
        except Unjudgeable as why:
            seen = f" (its packets cannot be judged: {why})"
        else:
            if clear.observed == "broken":
                hazard, evidence = clear.hazard, list(clear.evidence)
                seen = f" {clear.reason}"
    return broken(
        hazard,
        f"The app ran for {window.seconds:.1f} s without a ready sidecar; its requests: "
        f"{counts}.{seen}",
        {**measured, **{f"requests_{how}": number for how, number in outcomes.items()}},
        evidence,
    )


def _corrected(bundle: Bundle) -> bool:
    """Whether the API server took a correction of the probe in the pod as it is."""
    tried = bundle.step(Step.PROBE_CORRECTED)
    return tried is not None and tried["status"] == 200

"""preStop hooks: when they start, and what a stale one does to an app that goes on.

The source article has two for a native sidecar: one that tells it to quit (its Step 1), and one
that does so and then sleeps (its Step 5, beside a hook of the app). Every hook runs when the
deletion starts, whatever the order of the signals is. So both take the sidecar from an app that is
still at work; one that only waits does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence.attempts import Attempt, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import Event, happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Stamp
from conformance.judges.deletion import MIN_DRAINED, Deletion, carries_traffic, deletion_of
from conformance.judges.lateness import hazard_of
from conformance.judges.ordering import ended, told
from conformance.judges.ruling import broken, holds, lines_of, require_number
from conformance.model import Finding, Measured, Value


def concurrent(bundle: Bundle) -> Finding:
    """To hold: the hooks of app and sidecar overlap, and both began before any signal was sent.

    To be broken: the sidecar's began only when its own turn had come, after the app's end.
    """
    deletion = deletion_of(bundle, SUBJECT_ROLE)
    app, sidecar = bundle.index.app, bundle.index.sidecars[0]
    (first, first_end), (second, second_end) = (_hook(deletion, one) for one in (app, sidecar))
    begins = {app: first, sidecar: second}
    measured: Measured = {
        "begun_after_deletion_ms": {
            name: round((one.latest - deletion.asked.ns) / 1e6, 1) for name, one in begins.items()
        },
        "apart_ms": round(abs(second.latest - first.latest) / 1e6, 1),
        "sidecar_hook_seconds": round((second_end.latest - second.latest) / 1e9, 3),
        "app_hook_seconds": round((first_end.latest - first.latest) / 1e9, 3),
        "last_exit_after_seconds": deletion.since(
            max(deletion.exited(app), deletion.exited(sidecar))
        ),
    }
    evidence = (*first.evidence, *second.evidence, *first_end.evidence)
    if happens_before(ended(bundle, deletion.last(app)), second).answer == "yes":
        return broken(
            "one-after-another",
            f"The sidecar's hook began {(second.latest - deletion.exited(app)) / 1e6:.0f} ms after "
            "the app's end, and not with the app's hook.",
            measured,
            evidence,
        )
    overlap = second.latest < first_end.earliest and first.latest < second_end.earliest
    signals = [told(bundle, deletion.lives[name], deletion.asked.ns) for name in begins]
    if not overlap or any(
        begun.latest >= signal.earliest for begun in begins.values() for signal in signals
    ):
        raise Unjudgeable(
            "the two hooks neither overlap before the first signal, nor did the sidecar's wait for "
            "the app's end",
            measured,
            evidence,
        )
    return holds(
        f"The sidecar's hook began {(second.latest - first.latest) / 1e6:+.0f} ms from the app's, "
        f"{(second.latest - deletion.asked.ns) / 1e6:.0f} ms after the deletion; all was over "
        f"after {measured['last_exit_after_seconds']} s, with hooks of "
        f"{measured['app_hook_seconds']} s and {measured['sidecar_hook_seconds']} s.",
        measured,
        evidence,
    )


def workaround(bundle: Bundle) -> Finding:
    """To hold: the sidecar's hook outlasts the app, the sidecar is told to end after that, and
    nothing that the app sent is lost."""
    deletion = deletion_of(bundle, SUBJECT_ROLE)
    app, sidecar = bundle.index.app, bundle.index.sidecars[0]
    begin, end = _hook(deletion, sidecar)
    over = ended(bundle, deletion.last(app))
    answer, gap, seen = deletion.order()
    measured = _requests(deletion) | {
        "smallest_ordered_gap_ms": round(gap / 1e6, 1),
        "hook_seconds": round((end.latest - begin.latest) / 1e9, 3),
        "app_gone_after_seconds": deletion.since(deletion.exited(app)),
        "sidecar_gone_after_seconds": deletion.since(deletion.exited(sidecar)),
    }
    if happens_before(over, end).answer != "yes":
        raise Unjudgeable(
            "the sidecar's hook was over before the app was: it saved nothing", measured
        )
    lost = deletion.blamable(measured)
    if lost or answer == "no":
        return broken(
            _hazard(lost, "wrong-order"),
            f"{len(lost)} of {measured['requests']} requests were lost although the sidecar's hook "
            "outlasted the app."
            if lost
            else f"The sidecar was told to end {-gap / 1e6:.0f} ms before the app's end.",
            measured,
            [*seen, *lines_of(lost)],
        )
    if answer != "yes":
        raise Unjudgeable("which came first cannot be told", measured, seen)
    _require_requests(deletion, measured)
    return holds(
        f"The hook kept the sidecar for {measured['hook_seconds']} s, until the app was gone: "
        f"{_all_answered(measured)}; the pod's last container ended "
        f"{measured['sidecar_gone_after_seconds']} s after the deletion.",
        measured,
        (*end.evidence, *seen),
    )


def quit_at_once(bundle: Bundle) -> Finding:
    """The article's Step 1."""
    return _stale(bundle, Role.QUIT)


def quit_and_sleep(bundle: Bundle) -> Finding:
    """The article's Step 5."""
    return _stale(bundle, Role.ASLEEP)


def _stale(bundle: Bundle, role: str) -> Finding:
    """To hold: the hook told the sidecar to quit while the app was at work, the sidecar outlived
    the app all the same, and nothing that the app sent was lost.

    To be broken: the sidecar ended by its hook, before any signal and while the app was at work.
    """
    deletion = deletion_of(bundle, role)
    app, sidecar = bundle.index.app, bundle.index.sidecars[0]
    begun = _stamp(deletion, sidecar, Stamp.HOOK_BEGIN)
    over = ended(bundle, deletion.last(app), role)
    gone = ended(bundle, deletion.last(sidecar), role)
    lost = deletion.lost()
    measured = _requests(deletion) | {
        "hook_after_deletion_ms": round((begun.latest - deletion.asked.ns) / 1e6, 1),
        "sidecar_gone_after_seconds": deletion.since(deletion.exited(sidecar)),
        "app_gone_after_seconds": deletion.since(deletion.exited(app)),
    }
    evidence = (*begun.evidence, *gone.evidence)
    early = happens_before(gone, over)
    if early.answer == "yes":
        signal = told(bundle, deletion.lives[sidecar], deletion.asked.ns, role)
        hook_over = stamp_events(bundle, sidecar, Stamp.HOOK_QUIT, role=role)
        # Where nobody waits for a turn, the signal comes as soon as the hook is over.
        until = hook_over[0].earliest if hook_over else gone.earliest
        if "signal" in signal.name and signal.earliest < min(until, gone.earliest):
            return broken(
                "wrong-order",
                f"The sidecar was told to end {(over.latest - signal.earliest) / 1e6:.0f} ms "
                "before the app's end: this is not the hook's doing.",
                measured,
                (*evidence, *signal.evidence),
            )
        if carries_traffic(bundle) and not lost:
            raise Unjudgeable("the sidecar ended before the app, and no request was lost", measured)
        exit_ = deletion.last(sidecar).exited
        if exit_ is None or exit_.status or gone.latest < begun.earliest:
            raise Unjudgeable(
                "the sidecar crashed, or was gone before its hook began: it was not told to quit",
                measured,
                evidence,
            )
        return broken(
            _hazard(lost, "sidecar-gone"),
            f"By its own hook the sidecar was gone {measured['sidecar_gone_after_seconds']} s "
            f"after the deletion, the app {measured['app_gone_after_seconds']} s after it"
            + (f": {len(lost)} of {measured['requests']} requests were lost." if lost else "."),
            measured,
            [*evidence, *lines_of(lost)],
        )
    if early.answer == "cannot tell" and gone.earliest < over.latest:
        raise Unjudgeable("whether app or sidecar ended first cannot be told", measured)
    if lost:
        raise Unjudgeable(
            f"{len(lost)} requests were lost with a sidecar that outlived the app",
            measured,
            lines_of(lost),
        )
    _require_requests(deletion, measured)
    asked = _stamp(deletion, sidecar, Stamp.HOOK_QUIT)
    if happens_before(asked, over).answer != "yes":
        raise Unjudgeable("the app had ended before the sidecar was told to quit", measured)
    return holds(
        f"The sidecar outlived the app in spite of its hook: {_all_answered(measured)}.",
        measured,
        evidence,
    )


def _hazard(lost: Sequence[Attempt], else_: str) -> str:
    """What the sidecar's end cost; and where nothing was lost, what it is called."""
    return hazard_of(lost, "lost-request") if lost else else_


def _hook(deletion: Deletion, container: str) -> tuple[Event, Event]:
    """Begin and end of a container's hook."""
    return _stamp(deletion, container, Stamp.HOOK_BEGIN), _stamp(
        deletion, container, Stamp.HOOK_END
    )


def _stamp(deletion: Deletion, container: str, event: str) -> Event:
    for one in stamp_events(deletion.bundle, container, event, role=deletion.role):
        if one.latest >= deletion.asked.ns:
            return one
    raise Unjudgeable(f"no {event} of {container} of {deletion.role} is recorded")


def _requests(deletion: Deletion) -> dict[str, Value | dict[str, Value]]:
    sent = deletion.drained()
    return {
        "requests": len(sent),
        "lost": len(deletion.lost()),
        "requests_by_outcome": dict(by_outcome(sent)),
    }


def _require_requests(deletion: Deletion, measured: Measured) -> None:
    if carries_traffic(deletion.bundle):
        require_number(
            deletion.drained(), MIN_DRAINED, "requests of the app after its SIGTERM", measured
        )


def _all_answered(measured: Measured) -> str:
    return f"all {measured['requests']} requests answered" if measured["requests"] else "no traffic"

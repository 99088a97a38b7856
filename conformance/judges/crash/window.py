"""crash.window: a sidecar that crashes is restarted alone, and the app goes on without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.crashes import Crash, Json, crashes, versions
from conformance.evidence.packets.probes import successes
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Stamp, Step
from conformance.evidence.windows import container_statuses
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import in_watch
from conformance.model import NEVER, NS, Evidence, Finding

KILLED = 137  # 128 + SIGKILL
# A restart comes at once, or after the kubelet's back-off (10 s before the second, 20 s before the
# third: pkg/kubelet/kubelet.go, initialBackOff). One that did not come in so long is none.
NEVER_NS = 60 * NS
_SOURCES = (
    "containerd /tasks/exit (the end), /tasks/create (the next), sidecar.ready (its own word), "
    "capture (the kubelet's probe), watch (the pod's conditions, by receipt)"
)


def window(bundle: Bundle) -> Finding:
    """To hold: each container of the sidecar that was killed is followed by another that becomes
    ready, while the app's one container runs on in the same sandbox, and says so.

    To be broken: the app ended or came anew, or no other sidecar came.
    """
    found = crashes(bundle)
    require_killed(found)
    otherwise = alone(bundle, found)
    if otherwise:
        return otherwise
    measured = measure(bundle, found)
    told = ", ".join(f"{away:.2f} s ({name})" for name, away in measured["away_seconds"].items())
    return holds(
        f"The sidecar was restarted alone after each of {len(found)} crashes, and the app went on; "
        f"it had no ready sidecar for {told}.",
        measured,
        [each for one in found for each in course(one)],
    )


def require_killed(found: Sequence[Crash]) -> None:
    """Raises Unjudgeable unless each container whose main process was killed ended by that."""
    for one in found:
        status = one.old.exited.status if one.old.exited else None
        if not one.asked["program"] and status != KILLED:
            raise Unjudgeable(
                f"the sidecar that was killed exited with {status}, and not with {KILLED}: it "
                "ended in another way",
                evidence=one.died.evidence,
            )


def alone(bundle: Bundle, found: Sequence[Crash]) -> Finding | None:
    """What broke the promise that the sidecar is restarted alone; None when nothing did.

    Raises Unjudgeable when that cannot be told.
    """
    other = _others_ended(bundle, found)
    if other is not None:
        evidence, said = other
        return broken("app-restarted", said, evidence=(evidence,))
    for one in found:
        if one.back is None:
            return _never_back(bundle, one)
    _require_sign_of_life(bundle, found[-1])
    return None


def _others_ended(bundle: Bundle, found: Sequence[Crash]) -> tuple[Evidence, str] | None:
    """What else of the pod ended or came anew between the first crash and the scenario's end."""
    over, begin = bundle.step(Step.END), found[0].asked.ns
    assert over is not None
    its = lives(bundle)
    for app in bundle.index.apps:
        for life in its[app.name]:
            if life.exited and begin < (life.exited_latest or 0) < over.ns:
                return life.exit_evidence(), f"{app.name} ended when the sidecar alone was made to."
    for life in its.get("", ()):
        if life.exited and (life.exited_latest or 0) < over.ns:
            return (
                life.exit_evidence(),
                "The whole pod's sandbox ended when the sidecar was made to.",
            )
    main = bundle.index.app
    if not its[main] or its[main][0].created is None:
        raise Unjudgeable(f"no /tasks/create of {main} is in runtime.log")
    started = stamp_events(bundle, main, Stamp.APP_STARTED)
    if len(its[main]) > 1 or len(started) > 1:
        file = stamps_file(SUBJECT_ROLE, main)
        return started[-1].evidence[0] if started else Evidence(file), "The app started anew."
    before: dict[str, int] = {}  # one that was tried again at the pod's start is no crash's doing
    for line, status in versions(bundle):
        for one in container_statuses(status):
            if one["name"] in bundle.index.sidecars:
                continue
            count = one.get("restartCount", 0)
            if line.ns < begin:
                before[one["name"]] = count
            elif count > before.get(one["name"], 0):
                text = f"{one['name']} was restarted {count} times"
                return in_watch(line, text), f"{text}."
    return None


def _never_back(bundle: Bundle, one: Crash) -> Finding:
    over = bundle.step(Step.END)
    assert over is not None
    watched = over.ns - one.died.latest
    if watched < NEVER_NS:
        raise Unjudgeable(
            f"the sidecar did not come back within {watched / NS:.1f} s of the {one.name}, and "
            f"{NEVER_NS / NS:.0f} s are needed to call it never",
            evidence=one.died.evidence,
        )
    return broken(
        "not-restarted",
        f"No other sidecar was ready within {watched / NS:.1f} s of the {one.name}.",
        evidence=one.died.evidence,
    )


def _require_sign_of_life(bundle: Bundle, last: Crash) -> None:
    """The app itself wrote something after the last return: "it did not end" is not all."""
    app = bundle.index.app
    back = last.window.end
    if not any(line.ns > back for line in bundle.stamps(SUBJECT_ROLE, app)):
        raise Unjudgeable(
            f"the app gave no sign of life after the {last.name}",
            evidence=(Evidence(stamps_file(SUBJECT_ROLE, app)),),
        )


def _probes(bundle: Bundle) -> Sequence[Event]:
    """The sidecar's answers to the kubelet's probes; none without a capture, which only adds."""
    try:
        return successes(bundle)[0]
    except Unjudgeable:
        return ()


def _away_seconds(one: Crash, probes: Sequence[Event]) -> float:
    """Between the sidecar's noticed end and its next readiness, by its own word or by a probe's."""
    ready = one.ready or _probed(one, probes)
    if ready is None:
        raise Unjudgeable(f"nothing but its status says that the sidecar was ready ({one.name})")
    return round((ready.latest - one.died.latest) / NS, 3)


def _probed(one: Crash, probes: Sequence[Event]) -> Event | None:
    """The first 200 that the new sidecar gave to a probe of the kubelet's."""
    created = one.new.created.ns if one.new and one.new.created else NEVER
    later = [each for each in probes if each.earliest > created]
    return min(later, key=lambda each: each.earliest, default=None)


def measure(bundle: Bundle, found: Sequence[Crash]) -> dict[str, Any]:
    """What is known of each crash by its name, in figures. The sidecar came back after them all.

    Raises Unjudgeable when nothing but its status says that it was ready.
    """
    probes = _probes(bundle)
    return {
        "crashes": len(found),
        "away_seconds": {one.name: _away_seconds(one, probes) for one in found},
        "restarted_after_seconds": {one.name: round(one.gone.seconds, 3) for one in found},
        "probe_passed_after_seconds": {
            one.name: _after(one, _probed(one, probes)) for one in found
        },
        "status_ahead_seconds": {one.name: _ahead(one) for one in found},
        "pod_unready_seconds": {one.name: _unready_seconds(bundle, one) for one in found},
        "startup_probe_anew": {one.name: _gated_anew(bundle, one) for one in found},
        "waited_for": {one.name: ", ".join(waiting(bundle, one)) for one in found},
        "exit_status": {one.name: one.old.exited.status for one in found if one.old.exited},
        "end_known_to_ms": {
            one.name: round((one.died.latest - one.died.earliest) / 1e6, 1) for one in found
        },
        "sources": _SOURCES,
    }


def _ahead(one: Crash) -> float | None:
    """How long before the sidecar's own word its status said that it was ready; None for after.

    Seen from 1.35 on, after a liveness probe's restart: kubernetes#141155.
    """
    if one.ready is None or one.back is None or one.back.ns >= one.ready.earliest:
        return None
    return round((one.ready.earliest - one.back.ns) / NS, 3)


def _after(one: Crash, event: Event | None) -> float | None:
    return round((event.latest - one.died.latest) / NS, 3) if event else None


def _between(bundle: Bundle, one: Crash) -> list[tuple[Line, Json]]:
    """The versions of the pod that were received from the crash on until it was ready again."""
    return [(line, status) for line, status in versions(bundle) if line.ns in one.window]


def _unready_seconds(bundle: Bundle, one: Crash) -> float | None:
    """For how long the pod's Ready condition was seen to be false; None when it never was."""
    for line, status in _between(bundle, one):
        for each in status.get("conditions") or ():
            if each["type"] == "Ready" and each["status"] != "True":
                return round((one.window.end - line.ns) / NS, 3)
    return None


def _gated_anew(bundle: Bundle, one: Crash) -> bool:
    """Whether the new container was seen to run before its startup probe had passed."""
    assert one.new is not None
    return any(
        each.get("containerID", "").endswith(one.new.container_id) and not each.get("started")
        for _, status in _between(bundle, one)
        for each in container_statuses(status)
    )


def waiting(bundle: Bundle, one: Crash) -> dict[str, str]:
    """Reason → message with which the sidecar was seen to wait for its restart."""
    found: dict[str, str] = {}
    for _, status in _between(bundle, one):
        for each in container_statuses(status):
            its = each.get("state", {}).get("waiting")
            if each["name"] == one.old.name and its:
                found[str(its.get("reason"))] = str(its.get("message", ""))
    return found


def course(one: Crash) -> tuple[Evidence, ...]:
    """Where the end and the return of the sidecar are written."""
    assert one.new is not None and one.new.created_event is not None and one.back is not None
    ready = one.ready.evidence if one.ready else ()
    text = f"ready again after the {one.name}"
    back = in_watch(one.back, text)
    return (*one.died.evidence, *one.new.created_event.evidence, *ready, back)

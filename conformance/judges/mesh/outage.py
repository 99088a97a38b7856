"""plane.outage and inject.outage: pods are made while the control plane and its injector are down.

That a pod waits for the control plane, and is not merely slow, shows when the cause is taken away:
its sidecar runs and fails its probes, the app is not created before anybody asked for the control
plane again, and then it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.evidence.timeline import lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Kind, Role, Stamp, Step
from conformance.judges.density import require_density
from conformance.judges.lateness import blamable
from conformance.judges.premise import pattern_of
from conformance.judges.ruling import broken, holds, lines_of, rate_bound, require_number
from conformance.judges.sources import events, in_watch, newest_of_each, step, times
from conformance.model import NEVER, NS, Evidence, Finding, Measured, Value, Window

_RUN = (Role.RUNNING, "peer")
OWNERS = ("ReplicaSet", "Job")
_SHELTERED = "sheltered"  # the name of both
MIN_PROBES = 3
HOOK_FAILED = "FailedPostStartHook"
MIN_REQUESTS = 50
MIN_EACH = 10  # of each pod: one that asks for nothing sees no error
SLOWEST_NS = 12 * NS  # what the fixture waits for at most: a slow answer of 7 s, and 3 s more


def plane(bundle: Bundle) -> Finding:
    """To hold: the pods that run lose nothing through it all, and the new pod's app is created only
    when its sidecar has got what it waited for."""
    _require_own_plane(bundle)
    window = Window(
        "outage", step(bundle, Step.PLANE_DOWN).ns, step(bundle, Step.PLANE_UP_ASKED).ns
    )
    _require_made_in(bundle, window)
    sent = _sent_by_the_running(bundle)
    lost: Sequence[Attempt] = [one for one in sent if one.outcome != OK]
    ready = bundle.step(Step.SUBJECT_READY)
    started = stamp_events(bundle, bundle.index.app, Stamp.APP_STARTED)
    outcomes: dict[str, Value] = dict(by_outcome(sent))
    measured: Measured = {
        "outage_seconds": round(window.seconds, 3),
        "requests_of_the_running": len(sent),
        "requests_of_the_running_by_outcome": outcomes,
        "rate_bound_95": rate_bound(len(sent)),
        "app_started_after_create_seconds": _seconds(
            bundle, Step.SUBJECT_CREATE, started[0].latest if started else None
        ),
        "ready_after_the_plane_seconds": _seconds(
            bundle, Step.PLANE_UP, ready.ns if ready else None
        ),
    }
    lost = blamable(lost, sent, measured)
    if lost:
        return broken(
            "lost-request",
            f"{len(lost)} of {len(sent)} requests between pods that ran were lost.",
            measured,
            lines_of(lost),
        )
    require_number(sent, MIN_REQUESTS, "requests between pods that ran", measured)
    for role in _RUN:
        number = sum(one.file == stamps_file(role, bundle.index.app) for one in sent)
        require_number(number, MIN_EACH, f"requests of {role}, which ran", measured)
        its = attempts(bundle, role, bundle.index.app)
        require_density(its, window, f"the app of {role}, which ran,", measured)
    waited = _failed_probes(bundle, window)
    if sum(number for number, _ in waited) < MIN_PROBES and not _gave_up(bundle, window):
        raise Unjudgeable(
            "the new pod's sidecar was not seen to fail its startup probe during the outage, nor "
            "its hook to give up",
            measured,
        )
    unserved = _unserved(bundle, window)
    if started and started[0].latest < window.end:
        return _unprotected(bundle, window, measured)
    return _came_back(bundle, window, measured, [*waited, (0, unserved)])


def _require_made_in(bundle: Bundle, window: Window) -> None:
    """The new pod was made in the outage, and its sidecar was not ready in it: else it had what it
    is to wait for. Raises Unjudgeable."""
    made = step(bundle, Step.SUBJECT_CREATE)
    if made.ns not in window:
        raise Unjudgeable("the new pod was not made while the control plane was down")
    for sidecar in bundle.index.sidecars:
        for one in stamp_events(bundle, sidecar, Stamp.SIDECAR_READY):
            if one.latest in window:
                raise Unjudgeable(
                    f"{sidecar} of the new pod was ready while the control plane was down: it did "
                    "not wait for it",
                    evidence=one.evidence,
                )


def _unprotected(bundle: Bundle, window: Window, measured: Measured) -> Finding:
    """The app runs while its proxy has no configuration."""
    tried = [
        one
        for one in attempts(bundle, SUBJECT_ROLE, bundle.index.app)
        if one.begin_ns in window and one.end_ns is not None and one.end_ns < window.end
    ]
    if not tried or any(one.outcome == OK for one in tried):
        raise Unjudgeable(
            f"the new pod's app ran in the outage, and {len(tried)} of its requests tell nothing "
            "of its proxy",
            measured,
        )
    refused = all(one.outcome == "refused" for one in tried)
    return broken(
        "refused" if refused else "lost-request",
        f"The new pod's app ran during the outage, and all of its {len(tried)} requests were "
        f"{'refused' if refused else 'lost'}.",
        {**measured, "requests_of_the_new_pod": len(tried)},
        lines_of(tried),
    )


def _came_back(
    bundle: Bundle, window: Window, measured: Measured, waited: Sequence[tuple[int, Evidence]]
) -> Finding:
    app = lives(bundle)[bundle.index.app]
    created = app[0].created_event if app else None
    asked = step(bundle, Step.PLANE_UP_ASKED)
    stuck = bundle.step(Step.STUCK)
    if bundle.step(Step.SUBJECT_READY) is None:
        if bundle.step(Step.PLANE_UP) is None or stuck is None:
            raise Unjudgeable("the control plane did not come back", measured)
        return broken(
            "never-ready",
            f"The new pod did not become ready when the control plane was back: {stuck['why']}.",
            measured,
            (_evidence(stuck, File.STEPS),),
        )
    if created is None:
        raise Unjudgeable("no /tasks/create of the new pod's app is in runtime.log")
    if created.earliest <= window.end:
        raise Unjudgeable(
            "whether the new pod's app was created before the control plane was asked for cannot "
            "be told",
            measured,
            created.evidence,
        )
    first = [
        one for one in attempts(bundle, SUBJECT_ROLE, bundle.index.app) if one.kind == Kind.FIRST
    ]
    if not first:
        raise Unjudgeable("the new pod's app sent no first request", measured)
    if first[0].outcome != OK:
        blamable(first[:1], _sent_by_the_running(bundle), measured)
        return broken(
            "lost-request",
            f"The new pod's first request was {first[0].outcome}.",
            measured,
            (first[0].evidence,),
        )
    probes = sum(number for number, _ in waited)
    return holds(
        f"All {measured['requests_of_the_running']} requests between running pods were answered; "
        f"the new pod's sidecar failed {probes} probes while the control plane was down, and its "
        f"app was created {(created.earliest - asked.ns) / NS:.1f} s after that was asked back.",
        {**measured, "failed_probes": probes},
        [
            *(evidence for _, evidence in waited),
            _evidence(asked, File.STEPS),
            *created.evidence,
        ],
    )


def inject(bundle: Bundle) -> Finding:
    """To hold: no pod that must have a sidecar is made without one, those who want it say why; and
    a pod that is made without one, because failure is ignored, is found and named."""
    _require_own_plane(bundle)
    answers = {line["pod"]: line for line in bundle.steps() if line.event == Step.POD_CREATED}
    if not {"refused", "naked"} <= set(answers):
        raise Unjudgeable("the pods that were to be made are not in steps.jsonl")
    refused, naked = answers["refused"], answers["naked"]
    begin, end = step(bundle, Step.SHELTERED_CREATE).ns, step(bundle, Step.SHELTERED_DELETED).ns
    made = [
        line
        for line in bundle.watch()
        if line.get("kind") == "Pod" and line.ns <= end and _is_sheltered(line)
    ]
    if made:
        sidecars = _sidecars_in(bundle, made[0])
        if sidecars:
            raise Unjudgeable(f"a pod got {sidecars} though its injector was down")
        return broken(
            "naked",
            f"{len(made)} pods were made without a sidecar while the injector must not fail.",
            evidence=[_evidence(one, File.WATCH) for one in made],
        )
    _require_made_while_down(bundle, begin, end, refused, naked)
    injector = _failing_webhook(refused["message"])
    if refused["status"] < 400 or not injector:
        raise Unjudgeable(
            f"a pod was answered with {refused['status']} for another reason than its injector: "
            f"{refused['message'][:200]}"
        )
    there = _pods(bundle, refused["pod"])
    if there:
        raise Unjudgeable(
            f"the pod {refused['pod']} was answered with {refused['status']}, and watch.jsonl "
            "shows it",
            evidence=(_evidence(refused, File.STEPS), _evidence(there[0], File.WATCH)),
        )
    told = _told_why(bundle, Window("sheltered", begin, end), injector)
    silent = [kind for kind in OWNERS if kind not in told]
    if silent:
        raise Unjudgeable(f"no Event says why {' and '.join(silent)} made no pod")
    shown = _pods(bundle, "naked")
    if not shown:
        raise Unjudgeable("the pod naked is not in watch.jsonl")
    seen = shown[0]
    if any(_sidecars_in(bundle, one) for one in shown):
        raise Unjudgeable("a pod got a sidecar though its injector was down")
    named = step(bundle, Step.NAKED_ADMITTED)
    evidence = [
        _evidence(refused, File.STEPS),
        *(_evidence(told[kind], File.WATCH) for kind in OWNERS),
        _evidence(naked, File.STEPS),
        _evidence(seen, File.WATCH),
        _evidence(named, File.STEPS),
    ]
    measured: Measured = {
        "refused_status": refused["status"],
        "refused_message": refused["message"][:300],
        "owners_message": told[OWNERS[0]]["object"]["message"][:300],
        "naked_is": named["pattern"],
        "naked_why": named["why"],
    }
    if named["pattern"] != "none":
        return broken(
            "unnoticed",
            f"A pod without a sidecar was taken for {named['pattern']} ({named['why']}).",
            measured,
            evidence,
        )
    return holds(
        f"With failurePolicy Fail no pod was made ({refused['status']}), and {' and '.join(OWNERS)}"
        f" say why; with Ignore a pod without a sidecar was made, and found: {named['why']}.",
        measured,
        evidence,
    )


def _require_own_plane(bundle: Bundle) -> None:
    """The control plane that went is the one that the pods have."""
    made_by = step(bundle, Step.CONTROL_PLANES)
    for role in ("peer", Role.RUNNING, SUBJECT_ROLE):
        if made_by.get(role) != made_by["wanted"]:
            raise Unjudgeable(
                f"{role} belongs to the control plane {made_by.get(role)}, and "
                f"{made_by['wanted']} was taken down"
            )


def _seconds(bundle: Bundle, since: str, until: int | None) -> float | None:
    begin = bundle.step(since)
    return round((until - begin.ns) / NS, 3) if begin and until else None


def _sent_by_the_running(bundle: Bundle) -> Sequence[Attempt]:
    """What the pods that ran sent each other, from before the outage until after it. What the end
    of the cell cut short tells nothing."""
    begin, end = step(bundle, Step.PLANE_DOWN_ASKED).ns, step(bundle, Step.END).ns
    return [
        one
        for role in _RUN
        for one in attempts(bundle, role, bundle.index.app)
        if begin <= one.begin_ns and (one.end_ns or one.begin_ns + SLOWEST_NS) <= end
    ]


def _failed_probes(bundle: Bundle, window: Window) -> Sequence[tuple[int, Evidence]]:
    """Startup probes of the new pod that failed in the window, by the kubelet's Events: the newest
    count of each, and where it stands."""
    uid = bundle.pod().uid
    found = events(bundle, "Unhealthy", "Startup probe failed", uid)
    newest = newest_of_each(line for line in found if line.ns in window)
    return [(times(line), in_watch(line, line["object"]["message"])) for line in newest.values()]


def _gave_up(bundle: Bundle, window: Window) -> bool:
    """Whether the kubelet said in the window that a hook of the new pod, which was to await its
    sidecar, failed."""
    return any(line.ns in window for line in events(bundle, HOOK_FAILED, uid=bundle.pod().uid))


def _unserved(bundle: Bundle, window: Window) -> Evidence:
    """Where the new pod's sidecar says that its control plane does not answer."""
    for sidecar in bundle.index.sidecars:
        for one in stamp_events(bundle, sidecar, Stamp.SIDECAR_UNSERVED):
            if one.latest in window:
                return one.evidence[0]
    raise Unjudgeable("the new pod's sidecar does not say that it misses its control plane")


def _require_made_while_down(
    bundle: Bundle, begin: int, end: int, refused: Line, naked: Line
) -> None:
    """All pods were asked for while the injector was down. Raises Unjudgeable."""
    asked = bundle.step(Step.PLANE_UP_ASKED)
    down = Window("outage", step(bundle, Step.PLANE_DOWN).ns, asked.ns if asked else NEVER)
    moments = {"sheltered": begin, "its end": end, "refused": refused.ns, "naked": naked.ns}
    outside = [name for name, ns in moments.items() if ns not in down]
    if outside:
        raise Unjudgeable(
            f"the injector was not known to be down when pods were asked for: {', '.join(outside)}"
        )


def _failing_webhook(said: str) -> str:
    """The webhook that could not be asked, by the API server's words; "" for another reason, such
    as one that answered and denied (Kubernetes: apiserver, plugin/webhook, ErrCallingWebhook)."""
    found = re.search(r'failed calling webhook "([^"]+)"', said)
    return found[1] if found else ""


def _told_why(bundle: Bundle, window: Window, injector: str) -> dict[str, Line]:
    """Owner's kind → the Event in which it blames the injector's webhook."""
    return {
        line["object"]["involvedObject"]["kind"]: line
        for line in events(bundle, "FailedCreate")
        if line.ns in window
        and line["object"]["involvedObject"].get("name") == _SHELTERED
        and _failing_webhook(line["object"]["message"]) == injector
    }


def _is_sheltered(line: Line) -> bool:
    owners = line["object"]["metadata"].get("ownerReferences") or ()
    return any(one["name"] == _SHELTERED for one in owners)


def _pods(bundle: Bundle, name: str) -> Sequence[Line]:
    """Every version of the pods of a name."""
    return [
        line
        for line in bundle.watch()
        if line.get("kind") == "Pod" and line["object"]["metadata"]["name"] == name
    ]


def _sidecars_in(bundle: Bundle, line: Line) -> str:
    """The cell's sidecars that a pod has, as words; "" for none."""
    spec = line["object"]["spec"]
    found = [one for one in bundle.index.sidecars if pattern_of(spec, one) != "absent"]
    return " and ".join(found)


def _evidence(line: Line, file: str) -> Evidence:
    return Evidence(file, line=line.number, ns=line.ns, text=line.event)

"""plane.outage and inject.outage: pods are made while the control plane and its injector are down.

That a pod waits for the control plane, and is not merely slow, shows when the cause is taken away:
its sidecar runs and fails its probes, the app is not created before anybody asked for the control
plane again, and then it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.evidence.timeline import lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.lateness import blamable
from conformance.judges.premise import pattern_of, require_premise
from conformance.model import NS, Evidence, Finding, Measured, Value, Window

_PLANE, _INJECT = "plane.outage", "inject.outage"
RUNNING = "running"
_RUN = (RUNNING, "peer")
OWNERS = ("ReplicaSet", "Job")
MIN_PROBES = 3
HOOK_FAILED = "FailedPostStartHook"
MIN_REQUESTS = 50
MIN_EACH = 10  # of each pod: one that asks for nothing sees no error
SLOWEST_NS = 12 * NS  # what the fixture waits for at most: a slow answer of 7 s, and 3 s more
_TOLD = 50


def plane(bundle: Bundle) -> Finding:
    """To hold: the pods that run lose nothing through it all, and the new pod's app is created only
    when its sidecar has got what it waited for."""
    require_premise(bundle)
    _require_own_plane(bundle)
    window = Window("outage", _step(bundle, "plane.down").ns, _step(bundle, "plane.up-asked").ns)
    sent = _sent_by_the_running(bundle)
    lost: Sequence[Attempt] = [one for one in sent if one.outcome != OK]
    ready = bundle.step("subject.ready")
    started = stamp_events(bundle, bundle.index.app, "app.started")
    outcomes: dict[str, Value] = dict(by_outcome(sent))
    measured: Measured = {
        "outage_seconds": round(window.seconds, 3),
        "requests_of_the_running": len(sent),
        "requests_of_the_running_by_outcome": outcomes,
        "rate_bound_95": round(3 / len(sent), 6) if sent else None,
        "app_started_after_create_seconds": _seconds(
            bundle, "subject.create", started[0].latest if started else None
        ),
        "ready_after_the_plane_seconds": _seconds(bundle, "plane.up", ready.ns if ready else None),
    }
    lost = blamable(lost, sent, measured)
    if lost:
        return Finding(
            _PLANE,
            "broken",
            f"{len(lost)} of {len(sent)} requests between pods that ran were lost.",
            hazard="lost-request",
            measured=measured,
            evidence=[one.evidence for one in lost[:_TOLD]],
        )
    if len(sent) < MIN_REQUESTS:
        raise Unjudgeable(
            f"{len(sent)} requests between pods that ran, and {MIN_REQUESTS} are needed",
            measured=measured,
        )
    for role in _RUN:
        number = sum(one.file == stamps_file(role, bundle.index.app) for one in sent)
        if number < MIN_EACH:
            raise Unjudgeable(
                f"{number} requests of {role}, which ran, and {MIN_EACH} are needed",
                measured=measured,
            )
    waited = _failed_probes(bundle, window)
    if sum(number for number, _ in waited) < MIN_PROBES and not _gave_up(bundle, window):
        raise Unjudgeable(
            "the new pod's sidecar was not seen to fail its startup probe during the outage, nor "
            "its hook to give up",
            measured=measured,
        )
    unserved = _unserved(bundle, window)
    if started and started[0].latest < window.end:
        return _unprotected(bundle, window, measured)
    return _came_back(bundle, window, measured, [*waited, (0, unserved)])


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
            measured=measured,
        )
    refused = all(one.outcome == "refused" for one in tried)
    return Finding(
        _PLANE,
        "broken",
        f"The new pod's app ran during the outage, and all of its {len(tried)} requests were "
        f"{'refused' if refused else 'lost'}.",
        hazard="refused" if refused else "lost-request",
        measured={**measured, "requests_of_the_new_pod": len(tried)},
        evidence=[one.evidence for one in tried[:_TOLD]],
    )


def _came_back(
    bundle: Bundle, window: Window, measured: Measured, waited: Sequence[tuple[int, Evidence]]
) -> Finding:
    app = lives(bundle)[bundle.index.app]
    created = app[0].created_event if app else None
    asked = _step(bundle, "plane.up-asked")
    stuck = bundle.step("stuck")
    if bundle.step("subject.ready") is None:
        if bundle.step("plane.up") is None or stuck is None:
            raise Unjudgeable("the control plane did not come back", measured=measured)
        return Finding(
            _PLANE,
            "broken",
            f"The new pod did not become ready when the control plane was back: {stuck['why']}.",
            hazard="never-ready",
            measured=measured,
            evidence=(_evidence(stuck, "steps.jsonl"),),
        )
    if created is None:
        raise Unjudgeable("no /tasks/create of the new pod's app is in runtime.log")
    if created.earliest <= window.end:
        raise Unjudgeable(
            "whether the new pod's app was created before the control plane was asked for cannot "
            "be told",
            evidence=created.evidence,
            measured=measured,
        )
    first = [one for one in attempts(bundle, SUBJECT_ROLE, bundle.index.app) if one.kind == "first"]
    if not first:
        raise Unjudgeable("the new pod's app sent no first request", measured=measured)
    if first[0].outcome != OK:
        blamable(first[:1], _sent_by_the_running(bundle), measured)
        return Finding(
            _PLANE,
            "broken",
            f"The new pod's first request was {first[0].outcome}.",
            hazard="lost-request",
            measured=measured,
            evidence=(first[0].evidence,),
        )
    probes = sum(number for number, _ in waited)
    return Finding(
        _PLANE,
        "holds",
        f"All {measured['requests_of_the_running']} requests between running pods were answered; "
        f"the new pod's sidecar failed {probes} probes while the control plane was down, and its "
        f"app was created {(created.earliest - asked.ns) / NS:.1f} s after that was asked back.",
        measured={**measured, "failed_probes": probes},
        evidence=[
            *(evidence for _, evidence in waited),
            _evidence(asked, "steps.jsonl"),
            *created.evidence,
        ],
    )


def inject(bundle: Bundle) -> Finding:
    """To hold: no pod that must have a sidecar is made without one, those who want it say why; and
    a pod that is made without one, because failure is ignored, is found and named."""
    require_premise(bundle)
    _require_own_plane(bundle)
    answers = {line["pod"]: line for line in bundle.steps() if line.event == "pod.created"}
    if not {"refused", "naked"} <= set(answers):
        raise Unjudgeable("the pods that were to be made are not in steps.jsonl")
    refused, naked = answers["refused"], answers["naked"]
    begin, end = _step(bundle, "sheltered.create").ns, _step(bundle, "sheltered.deleted").ns
    made = [
        line
        for line in bundle.watch()
        if line.get("kind") == "Pod" and line.ns <= end and _is_sheltered(line)
    ]
    if made:
        sidecars = _sidecars_in(bundle, made[0])
        if sidecars:
            raise Unjudgeable(f"a pod got {sidecars} though its injector was down")
        return Finding(
            _INJECT,
            "broken",
            f"{len(made)} pods were made without a sidecar while the injector must not fail.",
            hazard="naked",
            evidence=[_evidence(one, "watch.jsonl") for one in made[:_TOLD]],
        )
    if refused["status"] < 400 or "webhook" not in refused["message"]:
        raise Unjudgeable(
            f"a pod was answered with {refused['status']} for another reason than its injector: "
            f"{refused['message'][:200]}"
        )
    told = _told_why(bundle, Window("sheltered", begin, end))
    silent = [kind for kind in OWNERS if kind not in told]
    if silent:
        raise Unjudgeable(f"no Event says why {' and '.join(silent)} made no pod")
    seen = _pod(bundle, "naked")
    if _sidecars_in(bundle, seen):
        raise Unjudgeable("a pod got a sidecar though its injector was down")
    named = _step(bundle, "naked.admitted")
    evidence = [
        _evidence(refused, "steps.jsonl"),
        *(_evidence(told[kind], "watch.jsonl") for kind in OWNERS),
        _evidence(naked, "steps.jsonl"),
        _evidence(seen, "watch.jsonl"),
        _evidence(named, "steps.jsonl"),
    ]
    measured: Measured = {
        "refused_status": refused["status"],
        "refused_message": refused["message"][:300],
        "owners_message": told[OWNERS[0]]["object"]["message"][:300],
        "naked_is": named["pattern"],
        "naked_why": named["why"],
    }
    if named["pattern"] != "none":
        return Finding(
            _INJECT,
            "broken",
            f"A pod without a sidecar was taken for {named['pattern']} ({named['why']}).",
            hazard="unnoticed",
            measured=measured,
            evidence=evidence,
        )
    return Finding(
        _INJECT,
        "holds",
        f"With failurePolicy Fail no pod was made ({refused['status']}), and {' and '.join(OWNERS)}"
        f" say why; with Ignore a pod without a sidecar was made, and found: {named['why']}.",
        measured=measured,
        evidence=evidence,
    )


def _require_own_plane(bundle: Bundle) -> None:
    """The control plane that went is the one that the pods have."""
    made_by = _step(bundle, "control-planes")
    for role in ("peer", RUNNING, SUBJECT_ROLE):
        if made_by.get(role) != made_by["wanted"]:
            raise Unjudgeable(
                f"{role} belongs to the control plane {made_by.get(role)}, and "
                f"{made_by['wanted']} was taken down"
            )


def _step(bundle: Bundle, name: str) -> Line:
    step = bundle.step(name)
    if step is None:
        raise Unjudgeable(f"the scenario did not come to {name}")
    return step


def _seconds(bundle: Bundle, since: str, until: int | None) -> float | None:
    begin = bundle.step(since)
    return round((until - begin.ns) / NS, 3) if begin and until else None


def _sent_by_the_running(bundle: Bundle) -> Sequence[Attempt]:
    """What the pods that ran sent each other, from before the outage until behind it. What the end
    of the cell cut short tells nothing."""
    begin, end = _step(bundle, "plane.down-asked").ns, _step(bundle, "end").ns
    return [
        one
        for role in _RUN
        for one in attempts(bundle, role, bundle.index.app)
        if begin <= one.begin_ns and (one.end_ns or one.begin_ns + SLOWEST_NS) <= end
    ]


def _failed_probes(bundle: Bundle, window: Window) -> Sequence[tuple[int, Evidence]]:
    """Startup probes of the new pod that failed in the window, by the kubelet's Events: the newest
    count of each, and where it stands."""
    uid = bundle.index.subject_pod.uid
    newest: dict[str, tuple[int, Evidence]] = {}
    for line in _events(bundle, "Unhealthy"):
        event = line["object"]
        if line.ns not in window or event["involvedObject"].get("uid") != uid:
            continue
        if event["message"].startswith("Startup probe failed"):
            found = Evidence("watch.jsonl", line.number, ns=line.ns, text=event["message"][:200])
            newest[event["metadata"]["name"]] = int(event.get("count") or 1), found
    return list(newest.values())


def _gave_up(bundle: Bundle, window: Window) -> bool:
    """Whether the kubelet said in the window that a hook of the new pod, which was to await its
    sidecar, failed."""
    uid = bundle.index.subject_pod.uid
    return any(
        line.ns in window and line["object"]["involvedObject"].get("uid") == uid
        for line in _events(bundle, HOOK_FAILED)
    )


def _unserved(bundle: Bundle, window: Window) -> Evidence:
    """Where the new pod's sidecar says that its control plane does not answer."""
    for sidecar in bundle.index.sidecars:
        for one in stamp_events(bundle, sidecar, "sidecar.unserved"):
            if one.latest in window:
                return one.evidence[0]
    raise Unjudgeable("the new pod's sidecar does not say that it misses its control plane")


def _told_why(bundle: Bundle, window: Window) -> dict[str, Line]:
    """Owner's kind → the Event in which it blames the injector's webhook."""
    return {
        line["object"]["involvedObject"]["kind"]: line
        for line in _events(bundle, "FailedCreate")
        if line.ns in window and "webhook" in line["object"]["message"]
    }


def _events(bundle: Bundle, reason: str) -> Iterator[Line]:
    for line in bundle.watch():
        if line.get("kind") == "Event" and line["object"].get("reason") == reason:
            yield line


def _is_sheltered(line: Line) -> bool:
    owners = line["object"]["metadata"].get("ownerReferences") or ()
    return any(one["name"] == "sheltered" for one in owners)


def _pod(bundle: Bundle, name: str) -> Line:
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["name"] == name:
            return line
    raise Unjudgeable(f"the pod {name} is not in watch.jsonl")


def _sidecars_in(bundle: Bundle, line: Line) -> str:
    """The cell's sidecars that a pod has, as words; "" for none."""
    spec = line["object"]["spec"]
    found = [one for one in bundle.index.sidecars if pattern_of(spec, one) != "absent"]
    return " and ".join(found)


def _evidence(line: Line, file: str) -> Evidence:
    return Evidence(file, line=line.number, ns=line.ns, text=line.event)

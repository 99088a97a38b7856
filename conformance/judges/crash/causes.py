"""crash.liveness, crash.backoff and crash.oom: other ways in which a running sidecar ends alone."""

from __future__ import annotations

import re
from itertools import pairwise

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.crashes import Crash, crashes, only_crash, versions
from conformance.evidence.parse import Line
from conformance.evidence.timeline import stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Stamp, Step
from conformance.evidence.windows import container_statuses
from conformance.judges.crash.window import alone, course, measure, require_killed, waiting
from conformance.judges.ruling import broken, holds, unverified
from conformance.judges.sources import events, in_watch
from conformance.model import NS, Evidence, Finding

# The kubelet's first back-off is 10 s, and doubles (pkg/kubelet/kubelet.go). A wait that does not
# grow by a tenth of that does not grow.
GROWTH_NS = 1 * NS
BACKOFF_NS = 10 * NS  # the first
_SAID = re.compile(r"back-off (\S+) restarting")


def liveness(bundle: Bundle) -> Finding:
    """To hold: the kubelet tells of the sidecar's failed liveness probe, stops that container, and
    starts another, while the app's one container runs on."""
    one, uid = only_crash(bundle), bundle.pod().uid
    found = [one]
    told = events(bundle, "Unhealthy", "Liveness probe failed", uid, one.old.name)
    failed = next((line for line in told if line.ns > one.asked.ns), None)
    if failed is None:
        raise Unjudgeable(
            "the kubelet told of no failed liveness probe of the sidecar since it was made to fail"
        )
    stop = next((each for each in one.old.stops if each.ns > one.asked.ns), None)
    if stop is None or stop.ns > one.died.latest:
        raise Unjudgeable(
            "the sidecar ended before the kubelet stopped it: its liveness probe cannot be blamed",
            evidence=one.died.evidence,
        )
    _require_stopped_for_its_probe(bundle, one)
    otherwise = alone(bundle, found)
    if otherwise:
        return otherwise
    measured = measure(bundle, found)
    measured["signalled_after_seconds"] = round((stop.ns - one.asked.ns) / NS, 3)
    measured["ended_after_seconds"] = round((one.died.latest - stop.ns) / NS, 3)
    ahead = measured["status_ahead_seconds"][one.name]
    early = f" Its status called it ready {ahead:.2f} s too early." if ahead else ""
    text = failed["object"]["message"][:200]
    return holds(
        f"The sidecar alone was restarted: signalled {measured['signalled_after_seconds']:.2f} s "
        "after it was made to fail its liveness probe, ready again "
        f"{measured['away_seconds'][one.name]:.2f} s after its end. The app was not.{early}",
        measured,
        [
            in_watch(failed, text),
            Evidence(File.CONTAINERD, line=stop.number, ns=stop.ns, text="the sidecar's stop"),
            *course(one),
        ],
    )


def _require_stopped_for_its_probe(bundle: Bundle, one: Crash) -> None:
    """Raises Unjudgeable where all that the kubelet says of why it stopped the container is
    something else (Kubernetes: pkg/kubelet/kuberuntime, computePodActions: "failed liveness probe",
    "definition changed" ...). Events are lost at times: where it says nothing, the probe's own
    Event stands for it."""
    until = one.new.created_event if one.new else None
    killing = [
        line
        for line in events(bundle, "Killing", uid=bundle.pod().uid, container=one.old.name)
        if line.ns > one.asked.ns and (until is None or line.ns < until.latest)
    ]
    if killing and not any("liveness" in line["object"]["message"] for line in killing):
        said = str(killing[0]["object"]["message"])[:200]
        raise Unjudgeable(
            f"the kubelet stopped the sidecar, and says of why: {said}",
            evidence=(in_watch(killing[0], said),),
        )


def backoff(bundle: Bundle) -> Finding:
    """To hold: from the second crash on the kubelet says that it backs off, and each restart comes
    later after its crash than the one before."""
    found = crashes(bundle)
    require_killed(found)
    otherwise = alone(bundle, found)
    if otherwise:
        return otherwise
    measured = measure(bundle, found)
    said = {one.name: _SAID.findall(" ".join(waiting(bundle, one).values())) for one in found}
    measured["back_off_said"] = {name: ", ".join(words) for name, words in said.items()}
    gaps = [one.gone.end - one.gone.start for one in found]
    told = ", ".join(f"{gap / NS:.2f} s" for gap in gaps)
    if len(found) < 2:
        raise Unjudgeable("one crash is none that is repeated", measured)
    if gaps[-1] < gaps[0] + GROWTH_NS and min(gaps[1:]) < BACKOFF_NS:
        return broken(
            "no-back-off",
            f"The sidecar was restarted after {told}: repeated crashes do not lengthen the window.",
            measured,
            [each for one in found for each in course(one)],
        )
    if any(later <= earlier for earlier, later in pairwise(gaps)):
        raise Unjudgeable(
            f"the sidecar was restarted after {told}: not each time later than before", measured
        )
    evidence: list[Evidence] = []
    for one in found[1:]:
        line = _backs_off(bundle, one)
        if line is None:
            raise Unjudgeable(
                f"the kubelet did not say that it backs off after the {one.name}: it may have been "
                "late, and not waiting",
                measured,
            )
        evidence.append(in_watch(line, "back-off"))
    return holds(
        f"The sidecar was restarted {told} after its crashes, with the kubelet backing off, while "
        "the app went on without it.",
        measured,
        [*evidence, *(each for one in found for each in course(one))],
    )


def _backs_off(bundle: Bundle, one: Crash) -> Line | None:
    """The kubelet's Event, or the sidecar's status, that says so while it is away."""
    uid = bundle.pod().uid
    for line in events(bundle, "BackOff", "Back-off restarting", uid, one.old.name):
        if line.ns in one.window:
            return line
    for line, status in versions(bundle):
        for each in container_statuses(status):
            its = each.get("state", {}).get("waiting") or {}
            if (
                line.ns in one.window
                and each["name"] == one.old.name
                and its.get("reason") == "CrashLoopBackOff"
            ):
                return line
    return None


def oom(bundle: Bundle) -> Finding:
    """To hold: the sidecar is killed while it takes more memory than its limit allows, its status
    says OOMKilled, and another is started, while the app's one container runs on.

    A node that lets it take the memory enforces no limit: then nothing can be verified on it.
    """
    asked = next((line for line in bundle.steps() if line.event == Step.CRASH_ASKED), None)
    container = str(asked["container"]) if asked else bundle.index.sidecars[0]
    taken = stamp_events(bundle, container, Stamp.SIDECAR_ALLOCATED)
    if taken and asked:
        return unverified(
            f"This node enforces no memory limit: the sidecar holds {asked['mebibytes']} MiB under "
            f"a limit of {asked['limit_mebibytes']} MiB.",
            evidence=taken[0].evidence,
        )
    one = only_crash(bundle)
    found = [one]
    if not stamp_events(bundle, container, Stamp.SIDECAR_ALLOCATE):
        raise Unjudgeable(
            "the sidecar ended before it took any memory",
            evidence=(Evidence(stamps_file(SUBJECT_ROLE, container)), *one.died.evidence),
        )
    _require_killed_by_the_kernel(one)
    otherwise = alone(bundle, found)
    if otherwise:
        return otherwise
    measured = measure(bundle, found)
    line, reason = _ended_for(bundle, one)
    measured["reason"] = reason
    measured["runtime_told"] = any(
        each.topic == "/tasks/oom" and each.container_id == one.old.container_id
        for each in bundle.runtime()
    )
    evidence = [in_watch(line, reason), *course(one)]
    if reason != "OOMKilled":
        return broken(
            "unnamed",
            f"The sidecar was killed for its memory, and its status says {reason}.",
            measured,
            evidence,
        )
    return holds(
        "The sidecar alone was killed, its status says OOMKilled, and it was ready again "
        f"{measured['away_seconds'][one.name]:.2f} s after its end. The app went on.",
        measured,
        evidence,
    )


def _require_killed_by_the_kernel(one: Crash) -> None:
    """Raises Unjudgeable unless it ended by a SIGKILL that nobody asked the runtime for."""
    status = one.old.exited.status if one.old.exited else None
    if status != 137 or any(one.asked.ns < stop.ns < one.died.latest for stop in one.old.stops):
        raise Unjudgeable(
            f"the sidecar ended with {status}, or was stopped by the kubelet: it was not the "
            "kernel that killed it",
            evidence=one.died.evidence,
        )


def _ended_for(bundle: Bundle, one: Crash) -> tuple[Line, str]:
    """The version of the pod that says why the sidecar's container ended, and the reason: the first
    that says OOMKilled, for the runtime may learn of that after the exit; else the first."""
    found: list[tuple[Line, str]] = []
    for line, status in versions(bundle):
        for each in container_statuses(status):
            for state in (each.get("state", {}), each.get("lastState", {})):
                its = state.get("terminated") or {}
                if its.get("containerID", "").endswith(one.old.container_id):
                    found.append((line, str(its.get("reason"))))
    if not found:
        raise Unjudgeable("no version of the pod says why the sidecar's container ended")
    return next((one for one in found if one[1] == "OOMKilled"), found[0])

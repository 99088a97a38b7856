"""What the kubelet does for a sidecar as it does for regular containers: its OOM score, another
image for it, and the limit of its disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.commands import command, quantity
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Step
from conformance.judges.premise import require_admitted
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import (
    at_step,
    events,
    in_watch,
    specified,
    statuses,
    step,
    versions,
)
from conformance.model import NS, Evidence, Finding, Value

Spec = Mapping[str, Any]
BEST_EFFORT = 1000  # the score of who asks for nothing; others have at most one less
# Seconds for which a kubelet that has passed something over goes on doing so. It looks at disks
# every 10 s, and decides on all containers of a pod in one pass (pkg/kubelet: kubelet.go,
# evictionMonitoringPeriod; kuberuntime_manager.go, computePodActions).
DISK_SECONDS, IMAGE_SECONDS = 30.0, 15.0
_DISK = "exceeded its local ephemeral storage limit"


def oom_score(bundle: Bundle) -> Finding:
    """To hold: the sidecar's oom_score_adj is at most the app's, which is what the app's request
    for memory makes it, and another than the sidecar's own request would make it. To be broken: it
    is more."""
    sidecar, app = bundle.index.sidecars[0], bundle.index.app
    spec = _spec(bundle)
    printed = command(bundle, "get node", "capacity.memory")
    capacity = quantity(printed)
    own, asked = (_score(specified(spec)[name], capacity) for name in (sidecar, app))
    lines = [command(bundle, f"-c {name} ", "/proc/1/oom_score_adj") for name in (sidecar, app)]
    seen, of_app = map(quantity, lines)
    measured: dict[str, Value] = {
        "sidecar": seen,
        "app": of_app,
        "by_the_sidecars_own_request": own,
    }
    evidence = [printed_in(one) for one in (printed, *lines)]
    if set(_regular(spec)) - {sidecar} != {app}:
        raise Unjudgeable("other containers than the app and the sidecar are in the pod")
    if of_app != asked:
        raise Unjudgeable(
            f"the app's score is {of_app}, and its request makes it {asked}", measured, evidence
        )
    if own <= asked:
        raise Unjudgeable(
            "the sidecar asks for no less than the app: by its own request its score is no higher",
            measured,
            evidence,
        )
    said = f"{seen}, and the app's is {of_app}; by its own request alone it is {own}"
    if seen > of_app:
        return broken(
            "killed-first",
            f"The sidecar's oom_score_adj is {said}: the kernel takes it before the app.",
            measured,
            evidence,
        )
    return holds(f"The sidecar's oom_score_adj is {said}.", measured, evidence)


def image(bundle: Bundle) -> Finding:
    """To hold: the pod's spec names another image for the sidecar, and the kubelet took it for a
    container that it made anew. To be broken: it did so for the app, which was changed in the same
    moment, and the sidecar ran on unchanged for long enough."""
    sidecar, app = bundle.index.sidecars[0], bundle.index.app
    asked = step(bundle, Step.IMAGE_ASKED)
    wanted = asked["image"]
    changed = next(
        (
            one
            for one in versions(bundle)
            if all(
                specified(one["object"]["spec"])[name]["image"] == wanted for name in (sidecar, app)
            )
        ),
        None,
    )
    first = specified(_spec(bundle))[sidecar]["image"]
    if changed is None or first == wanted:
        raise Unjudgeable("the pod never had another image in its spec")
    again = _again(bundle, app, wanted, asked.ns)
    if again is None:
        raise Unjudgeable(
            "the app was not restarted either: whether the kubelet knew of another image is not "
            "shown",
            evidence=(at_step(asked), in_watch(changed)),
        )
    evidence = [at_step(asked), in_watch(changed, wanted), *again]
    after = {"app_after_seconds": round((again[-1].ns or 0) / NS - asked.ns / NS, 3)}
    if its := _again(bundle, sidecar, wanted, asked.ns):
        took = round((its[-1].ns or 0) / NS - asked.ns / NS, 3)
        return holds(
            f"The sidecar runs in a new container with the other image {took:.1f} s after the pod "
            f"was changed; the app after {after['app_after_seconds']:.1f} s.",
            {**after, "sidecar_after_seconds": took},
            [*evidence, *its],
        )
    bound = step(bundle, Step.IMAGE_BOUND)
    waited = (bound.ns - (again[-1].ns or bound.ns)) / NS
    untouched = _running(_last(bundle, SUBJECT_ROLE, bound.ns), sidecar)
    if waited < IMAGE_SECONDS or untouched != _running(changed, sidecar) or not untouched:
        raise Unjudgeable(
            f"the sidecar was watched for {waited:.0f} s after the app's restart, or did not run "
            "on as it was"
        )
    return broken(
        "old-image",
        f"The app was restarted with the other image {after['app_after_seconds']:.1f} s after the "
        f"pod was changed, and the sidecar ran on in its old container for {waited:.0f} s more.",
        {**after, "watched_seconds": round(waited, 3)},
        [*evidence, at_step(bound)],
    )


def storage(bundle: Bundle) -> Finding:
    """To hold: the pod whose sidecar wrote more than its limit was evicted, and the message names
    the sidecar. To be broken: it was evicted with another word on its disk, or ran on for several
    of the kubelet's rounds while the kubelet's own statistics had the sidecar above its limit, and
    another pod was evicted for a regular container that wrote as much."""
    sidecar = bundle.index.sidecars[0]
    limits = [_limit(_spec(bundle, role), sidecar) for role in (SUBJECT_ROLE, Role.TWIN)]
    filled = [step(bundle, Step.DISK_FILLED, role) for role in (SUBJECT_ROLE, Role.TWIN)]
    written = min(one["mebibytes"] for one in filled) << 20
    spec = _spec(bundle)
    rooms = {name: _limit(spec, name) for name in (sidecar, *_regular(spec))}
    if limits[0] != limits[1] or not 0 < limits[0] < written:
        raise Unjudgeable(f"{written} bytes were written under limits of {limits}")
    if 0 in rooms.values() or sum(rooms.values()) < 2 * written:
        raise Unjudgeable("the pod as a whole has a limit that it may have met")
    control = _evicted(bundle, Role.TWIN)
    named = f"Container {sidecar} {_DISK}"
    if control is None or named not in _message(control[0]):
        raise Unjudgeable(
            "the pod with a regular container that wrote as much was not evicted for it: whether "
            "the kubelet looks at disks is not shown"
        )
    evidence = [
        *(at_step(one) for one in filled),
        *(in_watch(one, _message(control[0])) for one in control),
    ]
    measured: dict[str, Value] = {"limit_bytes": limits[0], "written_bytes": written}
    if its := _evicted(bundle, SUBJECT_ROLE):
        said = _message(its[0])
        evidence += [in_watch(one, said) for one in its]
        measured["phase"] = _phase(its[1])
        if "ephemeral" not in said:
            raise Unjudgeable(f"the pod was evicted for another reason: {said}", measured, evidence)
        measured["evicted_after_seconds"] = round((its[0].ns - filled[0].ns) / NS, 3)
        if named not in said:
            return broken(
                "unnamed",
                f"The pod was evicted, and the message does not name the sidecar: {said}",
                measured,
                evidence,
            )
        return holds(f"The pod was evicted: {said}", measured, evidence)
    bound = step(bundle, Step.DISK_BOUND)
    used = [one for one in bundle.steps() if one.event == Step.DISK_USED and one.ns <= bound.ns]
    over = [one for one in used if one["bytes"] > limits[0]]
    if len(over) < 2 or len(over) != len(used):
        raise Unjudgeable(
            "the kubelet's statistics did not have the sidecar above its limit all the time",
            measured,
            evidence,
        )
    waited = (over[-1].ns - max(over[0].ns, control[1].ns)) / NS
    alive = _running(_last(bundle, SUBJECT_ROLE, bound.ns), sidecar)
    if waited < DISK_SECONDS or not alive:
        raise Unjudgeable(
            f"the pod was watched for {waited:.0f} s only, or its sidecar did not run", measured
        )
    return broken(
        "not-evicted",
        f"The sidecar has {over[-1]['bytes'] >> 20} MiB on its disk by the kubelet's own "
        f"statistics, its limit is {limits[0] >> 20} MiB, and its pod ran on for {waited:.0f} s "
        "after another pod was evicted for as much.",
        {**measured, "used_bytes": over[-1]["bytes"], "watched_seconds": round(waited, 3)},
        [*evidence, *(at_step(one) for one in (over[0], over[-1], bound))],
    )


def _spec(bundle: Bundle, role: str = SUBJECT_ROLE) -> Spec:
    """The spec of a pod as it was admitted first, with its sidecar where it should be."""
    pattern = bundle.index.cell.pattern if role == SUBJECT_ROLE else "classic"
    return require_admitted(bundle, dict.fromkeys(bundle.index.sidecars, pattern), role)


def _regular(spec: Spec) -> Sequence[str]:
    return [one["name"] for one in spec["containers"]]


def _score(container: Mapping[str, Any], capacity: int) -> int:
    """What a container's own request for memory makes its oom_score_adj, in a pod of the class
    Burstable (Kubernetes: pkg/kubelet/qos/policy.go, GetContainerOOMScoreAdjust)."""
    asked = container.get("resources", {}).get("requests", {}).get("memory", "0")
    score = BEST_EFFORT - 1000 * int(parse_quantity(asked)) // capacity
    return min(max(score, 3), BEST_EFFORT - 1)


def _limit(spec: Spec, name: str) -> int:
    """The limit of a container's disk (bytes); 0 for none."""
    limits = specified(spec)[name].get("resources", {}).get("limits", {})
    return int(parse_quantity(limits.get("ephemeral-storage", "0")))


def _again(bundle: Bundle, name: str, wanted: str, since: int) -> Sequence[Evidence] | None:
    """Where it is said that a container was made anew of an image: the kubelet's word on the image,
    and the status of a container with another id that runs, after it; None where it is not."""
    took = next(
        (
            one
            for one in events(bundle, "Pulled", "", bundle.pod().uid, name)
            if one.ns >= since and f'"{wanted}"' in one["object"]["message"]
        ),
        None,
    )
    before = _running(_last(bundle, SUBJECT_ROLE, since), name)
    for version in _since(bundle, since):
        ident = _running(version, name)
        if took and before and ident and ident != before:
            return in_watch(took, str(took["object"]["message"])), in_watch(version, ident[:12])
    return None


def _since(bundle: Bundle, since: int) -> Iterator[Line]:
    return (one for one in versions(bundle) if one.ns >= since)


def _last(bundle: Bundle, role: str, until: int) -> Line:
    """The last version of a pod by then."""
    found = [one for one in versions(bundle, role) if one.ns <= until]
    if not found:
        raise Unjudgeable(f"the pod {role} was not there yet")
    return found[-1]


def _running(version: Line, name: str) -> str:
    """The id of a container that runs by a version of its pod, and is not being deleted; "" where
    it does not."""
    its = statuses(version).get(name) or {}
    if version["object"]["metadata"].get("deletionTimestamp"):
        return ""
    running = "running" in (its.get("state") or {})
    return str(its.get("containerID", "")).partition("://")[2] if running else ""


def _evicted(bundle: Bundle, role: str) -> tuple[Line, Line] | None:
    """The kubelet's Event that tells of a pod's eviction, and the first version of the pod that has
    ended; None where either is not there. The status says less: a pod all of whose containers end
    with 0 may be called Succeeded, without a reason."""
    told = next(events(bundle, "Evicted", "", bundle.pod(role).uid), None)
    ended = ("Failed", "Succeeded")
    over = next((one for one in versions(bundle, role) if _phase(one) in ended), None)
    return (told, over) if told and over else None


def _phase(version: Line) -> str:
    return str((version["object"].get("status") or {}).get("phase", ""))


def _message(event: Line) -> str:
    return str(event["object"].get("message", "")).strip()

"""The windows that judges look at, defined by events and never by sleeping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.timeline import PUBLISH_LAG_NS, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence, Window


def startup(bundle: Bundle) -> Window:
    """From the creation of the pod's first container to the receipt of "app and sidecars ready".

    The receipt comes after the fact, so the window is rather too long than too short.
    """
    created = [
        life.created.ns - PUBLISH_LAG_NS
        for name, its in lives(bundle).items()
        for life in its
        if name and life.created
    ]
    if not created:
        raise Unjudgeable("no /tasks/create of a container of the pod is in runtime.log")
    return Window("startup", min(created), _ready_ns(bundle))


def shutdown(bundle: Bundle) -> Window:
    """From the deletion to the end of the pod's network namespace.

    It begins when the deletion was asked for: it is accepted a little before the observer knows.
    The end is the capture's last beacon, which goes out when CNI DEL arrives; by then every
    container and the sandbox itself must have ended.
    """
    begin = bundle.step("delete.asked") or bundle.step("delete.accepted")
    if begin is None or bundle.step("delete.accepted") is None:
        raise Unjudgeable("no deletion is in steps.jsonl")
    end = _netns_ended_ns(bundle)
    _all_ended(bundle, end)
    return Window("shutdown", begin.ns, end)


def _netns_ended_ns(bundle: Bundle) -> int:
    """When the capture sent its last beacon, at CNI DEL (ns)."""
    diary = {line.event: line for line in bundle.agent()}
    last = diary.get("beacon.last")
    if last is not None and "deleting" in diary:
        return last.ns
    if "beacon.first" not in diary:
        raise Unjudgeable("capture blind: it never sent a beacon", evidence=_diary(bundle))
    ended = diary.get("ended")
    if ended is not None and "deleting" not in diary:
        why = f"tcpdump ended (code {ended.get('code')}) while the pod lived"
    elif "deleting" not in diary:
        why = "no CNI DEL is in its diary"
    else:
        why = "no last beacon is in its diary"
    raise Unjudgeable(
        f"the capture did not last as long as the pod's network namespace: {why}",
        retry=True,
        evidence=_diary(bundle),
    )


def _diary(bundle: Bundle) -> tuple[Evidence]:
    return (Evidence(bundle.agent_file),)


def steady(bundle: Bundle) -> Window:
    """From readiness to the deletion."""
    deletion = bundle.step("delete.asked") or bundle.step("delete.accepted")
    if deletion is None:
        raise Unjudgeable("no deletion is in steps.jsonl")
    ready = _ready_ns(bundle)
    if ready > deletion.ns:
        raise Unjudgeable("the pod was deleted before it was seen to be ready")
    return Window("steady", ready, deletion.ns)


def before_crash(bundle: Bundle) -> Window:
    """From readiness to the first crash that the scenario asked for; empty where either lacks."""
    ready, asked = bundle.step("subject.ready"), bundle.step("crash.asked")
    end = asked.ns if asked else 0
    return Window("steady", ready.ns if ready else end, end)


def _all_ended(bundle: Bundle, end: int) -> None:
    for name, its in lives(bundle).items():
        what = f"container {name}" if name else "the sandbox"
        for life in its:
            if life.created is None and life.exited is None:
                raise Unjudgeable(f"runtime.log knows nothing of {what} {life.container_id}")
            if life.exited is None:
                raise Unjudgeable(f"no exit of {what} is in runtime.log")
            latest = life.exited_latest or life.exited.ns
            if latest > end:
                raise Unjudgeable(
                    f"the capture ended {(latest - end) / 1e6:.1f} ms before {what}",
                    retry=True,
                    evidence=(Evidence("runtime.log", life.exited.number, ns=latest),),
                )


def _ready_ns(bundle: Bundle) -> int:
    index = bundle.index
    wanted = {index.app, *index.sidecars}
    uid = index.subject_pod.uid
    for line in bundle.watch():
        if line.get("kind") != "Pod" or line["object"]["metadata"]["uid"] != uid:
            continue
        if wanted <= _ready_containers(line["object"]):
            return line.ns
    raise Unjudgeable(
        f"the pod was never seen with {' and '.join(sorted(wanted))} ready",
        evidence=(Evidence("watch.jsonl"),),
    )


def _ready_containers(pod: Mapping[str, Any]) -> set[str]:
    status = pod.get("status", {})
    return {one["name"] for one in container_statuses(status) if one.get("ready")}


def container_statuses(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The statuses of all init and regular containers of a pod's status."""
    return (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    )

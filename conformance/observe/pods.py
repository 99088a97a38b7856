"""Pods as the watch brings them: who they are, and how they are."""

from __future__ import annotations

from conformance.observe.watch import STATUSES, Json

ROLE_LABEL = "app"


def role_of(pod: Json) -> str:
    """The role a pod plays: its app label, or its name."""
    return str((pod["metadata"].get("labels") or {}).get(ROLE_LABEL, pod["metadata"]["name"]))


def running_id(pod: Json, container: str) -> str:
    """The id of a container that runs by the pod's status; "" when it does not."""
    for group in ("initContainerStatuses", "containerStatuses"):
        for one in pod.get("status", {}).get(group) or ():
            if one["name"] == container and "running" in one.get("state", {}):
                return str(one.get("containerID", "")).partition("://")[2]
    return ""


def condition(thing: Json, kind: str) -> bool:
    """Whether a condition of an object's status is True."""
    found = thing.get("status", {}).get("conditions") or ()
    return any(one["type"] == kind and one["status"] == "True" for one in found)


def summary(pod: Json) -> str:
    """A pod's phase and its containers' states, in one line."""
    status = pod.get("status", {})
    parts = [str(status.get("phase"))]
    for group in STATUSES:
        for one in status.get(group) or ():
            states: Json = one.get("state") or {"unknown": {}}
            state, detail = next(iter(states.items()))
            why = detail.get("reason") or detail.get("message") or ""
            ready = " ready" if one.get("ready") else ""
            parts.append(f"{one['name']} {state}{' ' + why if why else ''}{ready}")
    return ", ".join(parts)

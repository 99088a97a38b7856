"""The scenario's diary and the API's watch, as judges ask them: steps, Events, versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.lacking import Table
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Step
from conformance.evidence.windows import container_statuses
from conformance.model import Evidence

Object = Mapping[str, Any]


def step(bundle: Bundle, name: str, pod: str = "") -> Line:
    """The first step of that name; of a pod, where the step says which. Raises Unjudgeable."""
    found = bundle.step(name, pod)
    if found is None:
        what = f"{name}{f' of {pod}' if pod else ''}"
        raise Unjudgeable(f"steps.jsonl has no {what}: the scenario did not come to it")
    return found


def deletion_step(bundle: Bundle, *names: Step) -> Line:
    """The deletion of the pod under test: the first of these steps that is there.

    Raises Unjudgeable where none is.
    """
    for name in names:
        if found := bundle.step(name):
            return found
    raise Unjudgeable("no deletion is in steps.jsonl")


def diary_end(bundle: Bundle) -> int:
    """Until when the scenario went on (ns); 0 without any step."""
    return max((line.ns for line in bundle.steps()), default=0)


def at_step(line: Line, text: str = "") -> Evidence:
    """Where a step stands."""
    return Evidence(File.STEPS, line.number, ns=line.ns, text=text or line.event)


def in_watch(line: Line, text: str = "") -> Evidence:
    """Where the watch says it."""
    return Evidence(File.WATCH, line.number, ns=line.ns, text=text[:300])


def versions(bundle: Bundle, role: str = SUBJECT_ROLE) -> Iterator[Line]:
    """Every version of a pod that the watch brought, at least one. Raises Unjudgeable."""
    pod, seen = bundle.pod(role), False
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["uid"] == pod.uid:
            seen = True
            yield line
    if not seen:
        raise Unjudgeable(f"the pod {pod.name} (uid {pod.uid}) is not in watch.jsonl")


def events(
    bundle: Bundle, reason: str, begins: str = "", uid: str | None = None, container: str = ""
) -> Iterator[Line]:
    """Events of a reason, whose message begins so; about one object by its uid, or one container
    of it."""
    for line in bundle.watch():
        event: Object = line["object"]
        if line.get("kind") != "Event" or event.get("reason") != reason:
            continue
        about = event.get("involvedObject") or {}
        if (
            str(event.get("message", "")).startswith(begins)
            and uid in (None, about.get("uid"))
            and (not container or str(about.get("fieldPath", "")).endswith(f"{{{container}}}"))
        ):
            yield line


def newest_of_each(found: Iterator[Line]) -> dict[str, Line]:
    """Event's name → its newest version: the API server counts a repetition in the same Event."""
    return {line["object"]["metadata"]["name"]: line for line in found}


def times(event: Line) -> int:
    """How often an Event says that it happened."""
    return int(event["object"].get("count") or 1)


def conditions(version: Line) -> Mapping[str, Object]:
    """Type → condition of an object's status."""
    status = version["object"].get("status") or {}
    found = {one["type"]: one for one in status.get("conditions") or ()}
    return Table(found, f"{version.file}:{version.number}", "condition", (in_watch(version),))


def statuses(version: Line) -> Mapping[str, Object]:
    """Container's name → its status in a version of a pod."""
    status = version["object"].get("status") or {}
    found = {one["name"]: one for one in container_statuses(status)}
    return Table(found, f"{version.file}:{version.number}", "status of", (in_watch(version),))


def specified(spec: Object) -> Mapping[str, Object]:
    """Container's name → what a pod's spec says of it, init containers included."""
    found = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return Table({one["name"]: one for one in found}, "the pod's spec", "container")

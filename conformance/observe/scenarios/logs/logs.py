"""The logs scenario: an app writes numbered lines to a file, a log shipper sends them to a sink,
and the pod is deleted while it writes.

The sink stands in a pod of its own, is there before the pod under test and outlives it; it is asked
once more when that pod is gone. Its packets are not captured: its own record says what it got.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, delete
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.observe.watch import Json
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.shippers.shipper import set_variable

SINK = "sink"
SINK_STAMPS = "sink.sink"
DOOR = 8081  # the sink's port for the scenario
STEADY_SECONDS = 2.0  # of lines that must be there before the pod is deleted


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    have_sink(stage)
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role=SUBJECT)
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        await_steady(stage, SUBJECT)
    delete(stage)
    settle(stage)
    return SUBJECT


def have_sink(stage: Stage, alter: Callable[[Manifest], None] | None = None) -> None:
    """Create the sink, and await its readiness."""
    (stage.bundle / "capture.off").write_text(f"{SINK}\n")
    stage.create("services")
    stage.create("sink", role=SINK, alter=alter)
    stage.await_ready(SINK)


def tell_sink(stage: Stage, what: str) -> None:
    """Open its door: open, refuse, takes/<seconds>."""
    stage.step(Step.SINK_TOLD, what=what)
    _ask(stage, what)


def settle(stage: Stage) -> None:
    """Wait until the sink is at rest: what was sent before is held or is not. Raises Stuck."""

    def at_rest() -> bool:
        _ask(stage, "state")
        asked = [one for one in stage.stamps(SINK_STAMPS) if one["event"] == Stamp.SINK_ASKED]
        return bool(asked) and asked[-1]["active"] == 0

    stage.wait("the sink to be at rest", at_rest, seconds=30, seen=lambda: "requests under way")
    stage.step(Step.SINK_SETTLED)


def await_steady(stage: Stage, role: str) -> None:
    """Wait until some seconds' worth of a writer's lines have arrived. Raises Stuck."""
    _await_lines(stage, role, "at the sink", arrived)


def await_written(stage: Stage, role: str) -> None:
    """Wait until as many are written, where the shipper holds them back. Raises Stuck."""
    _await_lines(stage, role, "written", written)


def _await_lines(stage: Stage, role: str, where: str, count: Callable[[Stage, str], int]) -> None:
    wanted = STEADY_SECONDS * _rate(stage, role)
    stage.wait(
        f"{wanted:.0f} lines of {role} {where}",
        lambda: count(stage, role) >= wanted,
        seconds=60,
        seen=lambda: f"{count(stage, role)} lines",
    )


def _rate(stage: Stage, role: str) -> float:
    """The lines a second that a writer was told to write. Raises Stuck."""
    started = stage.wait(
        f"the first stamp of {role}",
        lambda: stage.stamps(f"{role}.{APP_CONTAINER}"),
        seconds=30,
        seen=lambda: "none",
    )
    return float(started[0]["rate"])


def arrived(stage: Stage, role: str, event: str = Stamp.SINK_RECEIVED) -> int:
    """How many lines of a writer the sink has received, those sent twice counted twice."""
    return sum(
        last - first + 1
        for one in stage.stamps(SINK_STAMPS)
        if one["event"] == event
        for first, last in one["runs"].get(role, ())
    )


def written(stage: Stage, role: str) -> int:
    """How many lines a writer has written so far."""
    last = [one["last"] for one in stage.stamps(f"{role}.{APP_CONTAINER}") if "last" in one]
    return int(last[-1]) + 1 if last else 0


def with_variables(variables: Mapping[str, str]) -> Callable[[Manifest], None]:
    """Sets variables of the fixture's own program in a pod, the app or the sink."""

    def alter(document: Manifest) -> None:
        pod = manifests.pod_of(document)
        for container in pod["spec"]["containers"]:
            if container["command"][-1].startswith("/app/"):
                for name, value in variables.items():
                    set_variable(container, name, value)

    return alter


def renamed(document: Manifest, role: str) -> None:
    """Make the pod under test another one of the same kind."""
    document["metadata"]["name"] = role
    document["metadata"]["labels"]["app"] = role
    document["spec"] = _renamed(document["spec"], role)


def _renamed(value: Any, role: str) -> Any:
    if isinstance(value, dict):
        if value.get("name") == "SC_ROLE":
            return {**value, "value": role}
        return {key: _renamed(item, role) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, role) for item in value]
    if isinstance(value, str):
        return value.replace(f"/stamps/{SUBJECT}.", f"/stamps/{role}.")
    return value


def container_status(stage: Stage, pod: str, name: str) -> Json:
    """The newest status of a container; {} when there is none."""
    status = (stage.watch.newest("Pod", pod) or {}).get("status", {})
    for group in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(group) or ():
            if one["name"] == name:
                found: Json = one
                return found
    return {}


def _ask(stage: Stage, path: str) -> None:
    stage.core.connect_get_namespaced_pod_proxy_with_path(f"{SINK}:{DOOR}", stage.namespace, path)

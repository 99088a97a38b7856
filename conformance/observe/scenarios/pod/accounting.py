"""The accounting scenario: a pod's way through admission and scheduling, and what it counts for.

Most pods are sent as a dry run: the API server admits or refuses them as it would, and keeps none.
One is real: refused by a quota that is one milli too small, admitted by one that fits, and then
held by the scheduler until the node has one unit more of a resource that nobody else asks for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubernetes import client as k8s

from conformance.evidence.pod_request import pod_request
from conformance.evidence.vocabulary import File, Step
from conformance.observe.pods import condition
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.observe.watch import Json
from conformance.sidecars import dry_run, manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture import driver as fixture

CPU = "cpu"
QUOTA, LIMITS = "quota", "limits"
INIT, OTHER = "init", "other"
# Containers in the order of a native pod, each with its request (milli CPU). What is no sidecar and
# not the app is a regular init container; those that are not named are left out of the pod.
LAYOUTS: Mapping[str, Sequence[tuple[str, int]]] = {
    "no-init": ((fixture.CONTAINER, 100), (APP_CONTAINER, 200)),
    "init-before": ((INIT, 500), (fixture.CONTAINER, 100), (APP_CONTAINER, 200)),
    "init-behind": ((fixture.CONTAINER, 100), (INIT, 500), (APP_CONTAINER, 200)),
    "init-between": ((fixture.CONTAINER, 100), (INIT, 300), (OTHER, 150), (APP_CONTAINER, 200)),
}
REAL = "init-behind"  # the layout of the pod that is really made
DEFAULT_MILLI, MOST_MILLI = 50, 700  # what a LimitRange gives to a container, and allows it


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    _classes(stage)
    _policies(stage)
    _limits(stage)
    try:
        _quota(stage)
        _node(stage)
    finally:
        _offer(stage, None)
    return SUBJECT


def resource_of(stage: Stage) -> str:
    """A resource of the node that this cell alone asks for."""
    return f"sidecar-conformance.io/{stage.namespace}"


def _pod(stage: Stage, layout: str) -> Manifest:
    """The pod of a layout, with its requests; the sidecar stands where the layout says."""
    milli = dict(LAYOUTS[layout])
    (pod,) = stage.documents("subject")
    pod = manifests.with_sidecar(pod, stage.driver, stage.cell, "subject")
    native = stage.cell.pattern == "native"
    if OTHER in milli:
        fixture.add(pod, fixture.container(SUBJECT, OTHER, port=15022), native=native)
    spec = pod["spec"]
    names = list(milli)
    spec["initContainers"] = sorted(
        (one for one in spec["initContainers"] if one["name"] in milli),
        key=lambda one: names.index(one["name"]),
    )
    for name, its in milli.items():
        manifests.container_of(pod, name)["resources"] = {"requests": {CPU: f"{its}m"}}
    return manifests.place_images(pod, stage.images)


def _send(stage: Stage, what: str, pod: Manifest, *, real: bool = False, **asked: Any) -> Json:
    """Send a pod, and write down what was answered: 201 and the pod, or why not."""
    dry = {} if real else {"dry_run": "All"}
    record: Json = {"what": what, "real": real, **asked, "status": 201, "message": ""}
    try:
        answer = stage.core.create_namespaced_pod(
            stage.namespace, pod, _preload_content=False, **dry
        )
        found = json.loads(answer.data)
        record["object"] = {"spec": found["spec"], "status": found.get("status", {})}
    except k8s.ApiException as error:
        record |= {"status": error.status, "message": dry_run.said_by(error)}
    with (stage.bundle / File.ANSWERS).open("a") as sink:
        sink.write(json.dumps({"ns": time.time_ns(), **record}) + "\n")
    return record


def _classes(stage: Stage) -> None:
    """Quality of service: the app alone, the sidecar too, and neither, with limits as requested."""
    amounts = {CPU: "100m", "memory": "64Mi"}
    whole: Json = {"requests": amounts, "limits": amounts}
    for what, app, sidecar in (
        ("both", whole, whole),
        ("app-only", whole, {}),
        ("sidecar-only", {}, whole),
        ("neither", {}, {}),
    ):
        pod = _pod(stage, "no-init")
        manifests.container_of(pod, APP_CONTAINER)["resources"] = app
        manifests.container_of(pod, fixture.CONTAINER)["resources"] = sidecar
        _send(stage, "class", pod, limited=what)


def _policies(stage: Stage) -> None:
    """restartPolicy where only some minors know it."""
    for container, policy in (
        (APP_CONTAINER, "Always"), (APP_CONTAINER, "Never"), (INIT, "OnFailure"),
    ):  # fmt: skip
        pod = _pod(stage, REAL)
        manifests.container_of(pod, container)["restartPolicy"] = policy
        _send(stage, "policy", pod, container=container, policy=policy)


def _limits(stage: Stage) -> None:
    """A LimitRange: what it gives to a sidecar that asks for nothing, and what it allows one."""
    limit = {
        "type": "Container",
        "defaultRequest": {CPU: f"{DEFAULT_MILLI}m"},
        "default": {CPU: f"{MOST_MILLI}m"},
        "max": {CPU: f"{MOST_MILLI}m"},
    }
    body = {"metadata": {"name": LIMITS}, "spec": {"limits": [limit]}}
    stage.core.create_namespaced_limit_range(stage.namespace, body)
    pod = _pod(stage, "no-init")
    manifests.container_of(pod, fixture.CONTAINER)["resources"] = {}

    def given() -> bool:
        answer = _send(stage, "limit", pod, asked_milli=None, default_milli=DEFAULT_MILLI)
        asked = manifests.container_of(answer["object"], fixture.CONTAINER)["resources"]
        return bool(asked)

    _patiently(stage, "a LimitRange in force", given)
    for milli in (MOST_MILLI, MOST_MILLI + 1):
        quantity = {CPU: f"{milli}m"}
        its = {"requests": quantity, "limits": quantity}
        manifests.container_of(pod, fixture.CONTAINER)["resources"] = its
        _send(stage, "limit", pod, asked_milli=milli, most_milli=MOST_MILLI)


def _quota(stage: Stage) -> None:
    """For each layout a quota that is one milli too small, and one that fits; the last is real."""
    hard = {"hard": {"requests.cpu": "1m"}}
    body = {"metadata": {"name": QUOTA}, "spec": hard}
    stage.core.create_namespaced_resource_quota(stage.namespace, body)
    for layout in (*(one for one in LAYOUTS if one != REAL), REAL):
        pod = _pod(stage, layout)
        if layout == REAL:
            _ask_for_units(stage, pod)
            _offer(stage, int(pod_request(pod["spec"], resource_of(stage))) - 1)
        fits = int(pod_request(pod["spec"], CPU) * 1000)
        for milli in (fits - 1, fits):
            _through_quota(stage, layout, pod, milli)

    def used() -> str:
        status = stage.core.read_namespaced_resource_quota(QUOTA, stage.namespace).status
        return str((status.used or {}).get("requests.cpu"))

    _patiently(stage, "a quota that is used up", lambda: used() not in ("None", "0"))
    stage.step(Step.QUOTA_USED, cpu=used())


def _through_quota(stage: Stage, layout: str, pod: Manifest, milli: int) -> None:
    """Send a pod until the answer is this quota's: admission learns of a change some ms late."""
    body = {"spec": {"hard": {"requests.cpu": f"{milli}m"}}}
    stage.core.patch_namespaced_resource_quota(QUOTA, stage.namespace, body)
    fits = int(pod_request(pod["spec"], CPU) * 1000) <= milli
    real = layout == REAL

    def settled() -> bool:
        answer = _send(stage, "quota", pod, real=real, layout=layout, quota_milli=milli)
        if answer["status"] == 201:
            return fits or real
        return f"limited: requests.cpu={milli}m" in answer["message"]

    # One that is admitted although it should not be stays so: then that is what was seen.
    _patiently(stage, "an answer under the new quota", settled)


def _patiently(stage: Stage, what: str, until: Callable[[], bool], seconds: float = 15) -> None:
    with stage.going_on():
        stage.wait(what, until, seconds=seconds, seen=lambda: "")


def _ask_for_units(stage: Stage, pod: Manifest) -> None:
    """Ask for the cell's own resource too: a unit for each 100 milli CPU."""
    for name, milli in LAYOUTS[REAL]:
        units = {resource_of(stage): str(milli // 100)}
        resources = manifests.container_of(pod, name)["resources"]
        resources["requests"] |= units
        resources["limits"] = units


def _offer(stage: Stage, units: int | None) -> None:
    """Have the node offer so many units of the cell's own resource; None takes it away."""
    amount = {resource_of(stage): None if units is None else str(units)}
    body = {"status": {"capacity": amount, "allocatable": amount}}
    told = {"resource": resource_of(stage), "units": units}
    stage.step(Step.NODE_OFFER_ASKED, **told)  # the scheduler may act before the answer is read
    stage.core.patch_node_status(stage.handle.node, body)
    stage.step(Step.NODE_OFFERS, **told)


def _node(stage: Stage) -> None:
    """The real pod waits for one unit more, is given it, and is counted on the node."""
    pod = stage.wait(
        "the scheduler's word on the pod",
        lambda: _judged_by_scheduler(stage),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    units = int(pod_request(pod["spec"], resource_of(stage)))
    _offer(stage, units)
    stage.wait(
        "a scheduled pod",
        lambda: condition(stage.watch.newest("Pod", SUBJECT) or {}, "PodScheduled"),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    stage.step(Step.SCHEDULED)
    stage.kubectl("describe", "node", stage.handle.node)


def _judged_by_scheduler(stage: Stage) -> Json | None:
    pod = stage.watch.newest("Pod", SUBJECT)
    conditions = pod.get("status", {}).get("conditions") or () if pod else ()
    return pod if any(one["type"] == "PodScheduled" for one in conditions) else None

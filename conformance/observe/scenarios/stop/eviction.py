"""The eviction scenario: pods are taken off their node by others than their owner.

    subject    evicted with a shorter grace period than its own, which is still enough
    hurried    evicted with one that is not enough
    preempted  of ordinary priority; its place is given to a pod of a high one

The place is a resource of the node that is made up for this cell, so that nobody else's pod can be
the victim. And no other pod can have this one for its victim, as it could one of low priority,
where a node's processors are all asked for (pkg/scheduler/framework/preemption). What kubectl
drain does is a scenario of its own (drain): other cells feel its cordon.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Role, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

PREEMPTOR = "preemptor"
ENOUGH, TOO_LITTLE = 12, 3  # seconds
DRAINS = {SUBJECT: 4, Role.HURRIED: 20, Role.PREEMPTED: 4}  # seconds that the apps go on
PRIORITY = "sidecar-conformance-high"
# Above whatever class a cluster gives to pods that name none (pkg/apis/scheduling/types.go,
# HighestUserDefinablePriority).
_VALUE = 1_000_000_000


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    departing.surround(stage)
    _ensure_priority(stage)
    with _seat(stage) as seat:
        for role in DRAINS:
            departing.create(stage, role, _drains(role, seat))
        departing.await_ready(stage, *DRAINS)
        _evict(stage, SUBJECT, ENOUGH)
        _evict(stage, Role.HURRIED, TOO_LITTLE)
        stage.step(
            Step.DELETE_ASKED, pod=Role.PREEMPTED, grace=departing.own_grace(stage, Role.PREEMPTED)
        )
        stage.core.create_namespaced_pod(stage.namespace, _preemptor(stage, seat))
        departing.await_gone(stage, *DRAINS)
    return SUBJECT


def _drains(role: str, seat: str) -> Callable[[Manifest], None]:
    def alter(document: Manifest) -> None:
        app = app_in(document)
        manifests.set_variable(app, "SC_DRAIN_SECONDS", str(DRAINS[role]))
        if role == Role.PREEMPTED:
            _take(app, seat)

    return alter


def _take(container: Manifest, seat: str) -> None:
    resources = container.setdefault("resources", {})
    for kind in ("requests", "limits"):
        resources.setdefault(kind, {})[seat] = "1"


def _evict(stage: Stage, role: str, grace: int) -> None:
    stage.step(Step.DELETE_ASKED, pod=role, grace=grace, how="eviction")
    eviction = {
        "metadata": {"name": role, "namespace": stage.namespace},
        "deleteOptions": {"gracePeriodSeconds": grace},
    }
    stage.core.create_namespaced_pod_eviction(role, stage.namespace, eviction)
    stage.step(Step.DELETE_ACCEPTED, pod=role)


def _preemptor(stage: Stage, seat: str) -> Manifest:
    """A pod of high priority that needs the place, and nothing else of the node."""
    container = {
        "name": APP_CONTAINER,
        "image": stage.images["app"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "3600"],
    }
    _take(container, seat)
    return {
        "metadata": {"name": PREEMPTOR, "labels": {"app": PREEMPTOR}},
        "spec": {
            "priorityClassName": PRIORITY,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def _ensure_priority(stage: Stage) -> None:
    """The class is the cluster's, and the same for all cells: it stays."""
    with contextlib.suppress(k8s.ApiException):  # it is there
        k8s.SchedulingV1Api(stage.client).create_priority_class(
            {"metadata": {"name": PRIORITY}, "value": _VALUE}
        )


@contextlib.contextmanager
def _seat(stage: Stage) -> Iterator[str]:
    """A resource of the node of which there is one, inside the block; its name."""
    name = f"sidecar-conformance/{stage.namespace}"

    def set_to(number: str | None) -> None:
        status = {part: {name: number} for part in ("capacity", "allocatable")}
        merge = "application/merge-patch+json"
        stage.core.patch_node_status(stage.handle.node, {"status": status}, _content_type=merge)

    set_to("1")
    try:
        yield name
    finally:
        with contextlib.suppress(k8s.ApiException):
            set_to(None)

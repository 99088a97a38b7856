"""The skew scenario: a native pod meets a node whose kubelet is older than the API server.

classic  its sidecar is an ordinary container, on the old node: proves that the node is well
current  native, on a node that is as new as the API server: proves that the pod is well
subject  native, on the old node
storm    the same, wanted by a ReplicaSet, which makes another one of each that fails
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from kubernetes import client as k8s

from conformance.cluster.state import HOSTNAME
from conformance.evidence.vocabulary import Role, Step
from conformance.model import Pattern
from conformance.observe import workloads
from conformance.observe.pods import running_id
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage, Stuck
from conformance.observe.watch import Json
from conformance.plan.selection import minor_number
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

# A kubelet refuses within a second of the binding, or begins to start a pod: ten times the
# sidecar's own start delay is enough to see the app run, or be kept from it.
BOUND_SECONDS = 30.0
# How long the ReplicaSet is watched, and how many failed pods are enough to know.
STORM_SECONDS, STORM_PODS = 10.0, 100
DETECT = (
    *("get", "pods", "--field-selector", "status.phase=Failed"),
    *("-o", "jsonpath={.items[*].status.reason}"),
)


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    old, new = _nodes(stage)
    _send(stage, Role.CLASSIC, "classic", old)
    _send(stage, Role.CURRENT, "native", new)
    for role in (Role.CLASSIC, Role.CURRENT):
        stage.await_ready(role, seconds=120)
        stage.step(f"{role}.ready")
    _send(stage, SUBJECT, "native", old)
    with stage.going_on(Step.BOUND):
        stage.wait(
            "the pod's end, or its app",
            lambda: _settled(stage.watch.newest("Pod", SUBJECT) or {}),
            seconds=BOUND_SECONDS,
            seen=lambda: stage.describe(SUBJECT),
        )
    stage.kubectl(*DETECT)
    if _phase(stage.watch.newest("Pod", SUBJECT) or {}) == "Failed":
        _storm(stage, old)
    return SUBJECT


def _nodes(stage: Stage) -> tuple[str, str]:
    """A node whose kubelet is older than the API server, and one whose is not. Raises Stuck."""
    server = k8s.VersionApi(stage.client).get_code().git_version
    kubelets = {
        node.metadata.name: node.status.node_info.kubelet_version
        for node in stage.core.list_node().items
    }
    stage.step(Step.NODES, server=server, kubelets=kubelets)
    minor = {name: minor_number(its.removeprefix("v")) for name, its in kubelets.items()}
    ours = minor_number(server.removeprefix("v"))
    old = [name for name in minor if minor[name] < ours]
    new = [name for name in minor if minor[name] == ours]
    if not (old and new):
        raise Stuck(f"no two nodes are of different minors: API server {server}, {kubelets}")
    return old[0], new[0]


def _send(stage: Stage, role: str, pattern: Pattern, node: str) -> None:
    """Create the pod under test, or another like it, with the sidecar in a pattern, on a node."""
    (document,) = stage.documents(SUBJECT)
    if role != SUBJECT or stage.take_away != "sidecar":
        cell = replace(stage.cell, pattern=pattern)
        document = manifests.with_sidecar(document, stage.driver, cell, SUBJECT)
    _pin(node)(document)
    if role != SUBJECT:
        document = workloads.as_role(document, role)
    stage.step(f"{role}.create", node=node)
    stage.create_pod(manifests.place_images(document, stage.images))


def _pin(node: str) -> Callable[[Manifest], None]:
    """By the scheduler, as a pod comes to an old node in real life; past the taints of both."""

    def alter(document: Manifest) -> None:
        spec = manifests.pod_of(document)["spec"]
        spec["nodeSelector"] = {HOSTNAME: node}
        spec["tolerations"] = [{"operator": "Exists"}]

    return alter


def _settled(pod: Json) -> bool:
    return _phase(pod) in ("Failed", "Succeeded") or bool(running_id(pod, APP_CONTAINER))


def _phase(pod: Json) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _storm(stage: Stage, node: str) -> None:
    """Let a ReplicaSet have its way for a while."""

    def cast(document: Manifest) -> None:
        _pin(node)(document)
        document.update(workloads.as_role(document, Role.STORM))

    def failed() -> Sequence[str]:
        return [
            pod["metadata"]["name"]
            for pod in stage.watch.all("Pod")
            if pod["metadata"].get("labels", {}).get("app") == Role.STORM
            and _phase(pod) == "Failed"
        ]

    stage.step(Step.STORM_BEGIN)
    stage.create(Role.STORM, role=SUBJECT, alter=cast)
    with contextlib.suppress(Stuck):  # the time is over, as it mostly is
        stage.wait(
            f"{STORM_PODS} failed pods",
            lambda: len(failed()) >= STORM_PODS,
            seconds=STORM_SECONDS,
            seen=lambda: str(len(failed())),
        )
    stage.step(Step.STORM_END)
    k8s.AppsV1Api(stage.client).delete_namespaced_replica_set(
        Role.STORM, stage.namespace, propagation_policy="Background"
    )

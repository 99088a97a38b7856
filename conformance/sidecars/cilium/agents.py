"""Cilium's agents: killed, taken from a node, and given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.engine import client as docker
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.sidecars.cilium.network import NAMESPACE, PATIENCE, agent_of, agents_on

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

PROGRAM = "cilium-agent"
ABSENT = "sidecar-conformance/no-agent"  # the label of a node that is to have none


def kill(cluster: ClusterHandle, client: Any, node: str) -> Callable[[], bool]:
    """SIGKILL to the agent's process from the node; whether the kubelet has it ready again."""
    before = _restarts(client, node)
    what = f"killing {PROGRAM} on {node}"
    docker.in_node(docker.at(cluster.host), node, "pkill", "-KILL", "-x", PROGRAM, what=what)

    def back() -> bool:
        pod = agent_of(client, node)
        return pod is not None and _ready(pod) and _restarts(client, node) > before

    return back


def take(client: Any, node: str) -> None:
    """Tell the DaemonSet to leave the node out. Raises EnvironmentProblem."""
    expression = {"key": ABSENT, "operator": "DoesNotExist"}
    terms = [{"matchExpressions": [expression]}]
    needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    body = {"spec": {"template": {"spec": {"affinity": {"nodeAffinity": needed}}}}}
    # A label first: the new affinity would make every agent anew, and it has to come back as well.
    k8s.CoreV1Api(client).patch_node(node, {"metadata": {"labels": {ABSENT: "true"}}})
    k8s.AppsV1Api(client).patch_namespaced_daemon_set("cilium", NAMESPACE, body)
    # Until its pod is gone altogether: one that is still ending makes networks all the same.
    _until(f"the end of the agent on {node}", lambda: not agents_on(client, node))


def give(client: Any, node: str) -> None:
    """Take the label away again, and wait for the agent. Raises EnvironmentProblem."""
    k8s.CoreV1Api(client).patch_node(node, {"metadata": {"labels": {ABSENT: None}}})

    def there() -> bool:
        pod = agent_of(client, node)
        return pod is not None and _ready(pod)

    _until(f"the agent on {node}", there)


def _until(what: str, done: Callable[[], bool]) -> None:
    forgive = (EnvironmentProblem, k8s.ApiException)
    waiting.until(what, done, seconds=PATIENCE, every=0.3, forgive=forgive)


def _ready(pod: k8s.V1Pod) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())


def _restarts(client: Any, node: str) -> int:
    pod = agent_of(client, node)
    statuses = (pod.status.container_statuses if pod else None) or ()
    return sum(int(one.restart_count) for one in statuses if one.name == PROGRAM)

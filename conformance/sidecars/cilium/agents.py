"""Cilium's agents: killed, taken from a node, and given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.engine import client as docker
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.sidecars.agents import AgentSeen
from conformance.sidecars.cilium.network import (
    NAMESPACE,
    PATIENCE,
    agent_of,
    agents_on,
    helm,
    kubectl,
)

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

PROGRAM = "cilium-agent"
ABSENT = "sidecar-conformance/no-agent"  # the label of a node that is to have none
# In a node: the id and the image of each container whose first process is an agent. Init containers
# have the same image, and another process.
_RUNNING = """
ctr -n k8s.io tasks ls | awk '$3 == "RUNNING" { print $1, $2 }' | while read -r id pid; do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] || continue
    ctr -n k8s.io containers ls | awk -v id="$id" '$1 == id { print $1, $2 }'
done
"""


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


def describe(cluster: ClusterHandle, client: Any) -> list[AgentSeen]:
    """Every node's agent, by the API server, by the node's runtime, by itself, and by helm. Raises
    EnvironmentProblem."""
    said = helm(cluster, "list", "--filter", "^cilium$", "--output", "json", what="asking helm")
    (release,) = json.loads(said)
    return [_described(cluster, client, node, str(release["chart"])) for node in cluster.nodes]


def _described(cluster: ClusterHandle, client: Any, node: str, release: str) -> AgentSeen:
    pod = agent_of(client, node)
    if pod is None:
        raise EnvironmentProblem(f"There is no agent on {node}; see the DaemonSet cilium.")
    script, what = ("sh", "-euc", _RUNNING, "running", PROGRAM), f"listing agents on {node}"
    lines = docker.in_node(docker.at(cluster.host), node, *script, what=what).splitlines()
    statuses = pod.status.container_statuses or ()
    (spec,) = (one for one in pod.spec.containers if one.name == PROGRAM)
    ids = [str(one.container_id or "") for one in statuses if one.name == PROGRAM]
    asked = ("exec", pod.metadata.name, "-c", PROGRAM, "--", "cilium-dbg", "version")
    try:
        says = kubectl(cluster, *asked, timeout=30).strip()
    except EnvironmentProblem as problem:
        says = f"no answer: {problem}"
    return AgentSeen(
        node=node,
        pod=str(pod.metadata.uid),
        image=str(spec.image),
        container="".join(ids).rpartition("://")[2],
        running=dict(line.split() for line in lines),
        says=says,
        release=release,
    )


def _until(what: str, done: Callable[[], bool]) -> None:
    forgive = (EnvironmentProblem, k8s.ApiException)
    waiting.until(what, done, seconds=PATIENCE, every=0.3, forgive=forgive)


def _ready(pod: k8s.V1Pod) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())


def _restarts(client: Any, node: str) -> int:
    pod = agent_of(client, node)
    statuses = (pod.status.container_statuses if pod else None) or ()
    return sum(int(one.restart_count) for one in statuses if one.name == PROGRAM)

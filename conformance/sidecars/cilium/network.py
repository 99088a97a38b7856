"""Cilium as the network of a cluster: installed by its chart, and set as a mode wants it."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client as k8s

from conformance.cluster import cni
from conformance.engine import client as docker
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import tools
from conformance.machine import files, process, waiting
from conformance.machine.paths import FIXTURES
from conformance.machine.progress import board
from conformance.sidecars.cilium import images as image_cilium
from conformance.sidecars.cilium.release import PRESENT, Release

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

NAMESPACE = "kube-system"
AGENTS = "k8s-app=cilium"
VALUES = FIXTURES / "cilium" / "values.yaml"
CONFLIST = FIXTURES / "cilium" / "05-cilium.conflist"
PATIENCE = 240.0  # seconds; on a new cluster the agents were ready after some 20
_HELM_SECONDS = 120.0
POD_NETWORK = "10.244.0.0/16"  # kind's default
_WIREGUARD = {"enabled": True, "type": "wireguard", "wireguard": {"userspaceFallback": True}}
# Mode → the chart's ``encryption``.
MODES: Mapping[str, Mapping[str, Any]] = {
    "none": {"enabled": False},
    "wireguard": _WIREGUARD,
    "strict": {
        **_WIREGUARD,
        # In a tunnel what goes to another node's address goes past the check.
        "strictMode": {"enabled": True, "cidr": POD_NETWORK, "allowRemoteNodeIdentities": True},
    },
}


def install(cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
    """Put Cilium in the place of the suite's own network; versions, and what it took.

    Raises EnvironmentProblem with helm's own words, or an agent's.
    """
    began = time.monotonic()
    with board.phase(f"installing Cilium {PRESENT.tag} on Kubernetes {cluster.minor}"):
        _remove_routes(cluster)
        change(cluster, "none", PRESENT)
        _take_over(cluster, client)
    return {
        "cilium": PRESENT.tag,
        "sidecars": "none: it has none",
        "install_seconds": f"{time.monotonic() - began:.1f}",
    }


@contextlib.contextmanager
def tuned(cluster: ClusterHandle, mode: str, release: Release) -> Iterator[None]:
    """Have a release with a mode's encryption in force; the next cell says what it wants itself.
    Raises Unobtainable where this machine, or this release, cannot have it."""
    require_obtainable(mode, kernel_config(cluster))
    change(cluster, mode, release)
    yield


def change(cluster: ClusterHandle, mode: str, release: Release) -> None:
    """helm upgrade with the chart of a release, and wait until every agent runs by it. Raises
    EnvironmentProblem."""
    values = yaml.safe_load(VALUES.read_text())
    values["image"]["override"] = image_cilium.agent(release)
    values["operator"]["image"]["override"] = image_cilium.operator(release)
    values["encryption"] = dict(MODES[mode])
    file = cluster.kubeconfig.with_name(f"cilium-{mode}.yaml")
    file.write_text(yaml.safe_dump(values))
    helm(
        cluster,
        *("upgrade", "--install", "cilium", str(image_cilium.chart(release))),
        *("--values", str(file)),
        what=f"installing Cilium {release.tag} ({mode})",
    )
    await_agents(cluster)


def helm(cluster: ClusterHandle, *arguments: str, what: str) -> str:
    """Run helm in Cilium's namespace; its output. Raises EnvironmentProblem."""
    where = ["--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE]
    helm = image_cilium.helm()
    return process.run([helm, *arguments, *where], what=what, timeout=_HELM_SECONDS)


def await_agents(cluster: ClusterHandle) -> None:
    """Wait until agents and operator run as they were last told to. Raises EnvironmentProblem."""
    for what in ("daemonset/cilium", "deployment/cilium-operator"):
        try:
            kubectl(cluster, "rollout", "status", what, f"--timeout={PATIENCE:.0f}s")
        except EnvironmentProblem as problem:
            said = kubectl(cluster, "logs", "-l", AGENTS, "--tail=3", "-c", "cilium-agent")
            raise EnvironmentProblem(f"{problem} The agents said: {said[-600:]}") from problem


def require_obtainable(mode: str, config: str) -> None:
    """Raises Unobtainable for a mode that cannot be here. config: the kernel's, or "" where it is
    not to be seen."""
    if mode == "ztunnel":
        raise Unobtainable(
            f"Cilium {PRESENT.version} has no ztunnel: encryption.type is ipsec or wireguard in "
            "its chart. 1.20.2's chart has it, but that release has no WireGuard in user space for "
            "a kernel without CONFIG_WIREGUARD, and its ztunnel is a program of its own, which is "
            "in no Go module and no package of Debian's."
        )
    if mode == "ipsec":
        if not _has(config, "CONFIG_INET_ESP"):
            raise Unobtainable("This kernel has no ESP (CONFIG_INET_ESP), without which no IPsec.")
        raise Unobtainable(
            "This kernel has ESP (CONFIG_INET_ESP), but the suite has not been tried with Cilium's "
            "IPsec: it reads no ESP yet."
        )
    able = _has(config, "CONFIG_WIREGUARD") or _has(config, "CONFIG_TUN")
    if mode in ("wireguard", "strict") and config and not able:
        raise Unobtainable(
            "This kernel has neither WireGuard (CONFIG_WIREGUARD) nor what the one in user "
            "space needs (CONFIG_TUN)."
        )


def _has(config: str, option: str) -> bool:
    return bool(re.search(rf"^{option}=[ym]$", config, re.MULTILINE))


def kernel_config(cluster: ClusterHandle) -> str:
    """The config of the nodes' kernel; "" where it is not to be seen."""
    read = "zcat /proc/config.gz 2>/dev/null || cat /boot/config-$(uname -r) 2>/dev/null || true"
    return docker.in_node(docker.at(cluster.host), cluster.node, "sh", "-c", read)


def kubectl(cluster: ClusterHandle, *arguments: str, timeout: float = PATIENCE + 30) -> str:
    """Run kubectl in Cilium's namespace; its output. Raises EnvironmentProblem."""
    where = ["--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE]
    what = f"kubectl {' '.join(arguments[:3])}"
    return process.run([tools.kubectl(), *where, *arguments], what=what, timeout=timeout)


def agents_on(client: Any, node: str) -> list[k8s.V1Pod]:
    """The agents' pods on a node, those that are being deleted too."""
    where = f"spec.nodeName={node}"
    core = k8s.CoreV1Api(client)
    found = core.list_namespaced_pod(NAMESPACE, label_selector=AGENTS, field_selector=where)
    return list(found.items)


def agent_of(client: Any, node: str) -> k8s.V1Pod | None:
    """The agent's pod on a node, if there is one that is not being deleted."""
    alive = [pod for pod in agents_on(client, node) if not pod.metadata.deletion_timestamp]
    return alive[0] if alive else None


def _remove_routes(cluster: ClusterHandle) -> None:
    """Those from node to node, which the suite's own network needs: Cilium has its own way."""
    engine = docker.at(cluster.host)
    for node in cluster.nodes:
        for place, other in enumerate(cluster.nodes):
            for subnet in cni.subnets("ipv4", place) if other != node else ():
                gone = f"ip route del {subnet} 2>/dev/null || true"  # there is none the second time
                docker.in_node(engine, node, "sh", "-c", gone)


def _take_over(cluster: ClusterHandle, client: Any) -> None:
    """Have the nodes make new pods' networks by Cilium, and make CoreDNS's anew."""
    for place in range(len(cluster.nodes)):
        folder = cni.folder_of(cluster.kubeconfig, place)
        files.write_text(folder / CONFLIST.name, CONFLIST.read_text())
    core = k8s.CoreV1Api(client)
    label = "k8s-app=kube-dns"

    def moved() -> bool:
        """Whether every pod of CoreDNS is an endpoint of Cilium's; those that are not are made
        anew, for the node may not have read the new file yet."""
        known = json.loads(kubectl(cluster, "get", "ciliumendpoints", "-o", "json"))["items"]
        endpoints = {one["metadata"]["name"] for one in known}
        pods = core.list_namespaced_pod(NAMESPACE, label_selector=label).items
        alive = [pod for pod in pods if not pod.metadata.deletion_timestamp]
        others = [pod for pod in alive if pod.metadata.name not in endpoints]
        for pod in others:
            if pod.status.pod_ip:  # else its network is still in the making
                core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=1)
        return bool(alive) and not others

    waiting.until(
        "CoreDNS in Cilium's network",
        moved,
        seconds=PATIENCE,
        every=2,
        forgive=(EnvironmentProblem, k8s.ApiException),
    )
    kubectl(cluster, "rollout", "status", "deployment/coredns", f"--timeout={PATIENCE:.0f}s")

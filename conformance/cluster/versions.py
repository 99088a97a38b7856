"""What a cluster says of itself: its versions, and whether it has the gate of native sidecars."""

from __future__ import annotations

import json
import re
from typing import Any

from conformance.cluster.state import ClusterHandle
from conformance.engine import client
from conformance.images import tools
from conformance.machine import process

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def versions(handle: ClusterHandle) -> dict[str, Any]:
    """What the cluster says of itself: kubernetes (the API server), cgroup (v1, v2), the stage of
    the feature gate of native sidecars, and by node role, kubelet, runtime, kernel, os,
    architecture."""
    kubectl = [str(tools.kubectl()), "--kubeconfig", str(handle.kubeconfig), "get"]
    what = f"asking {handle.name} for its versions"
    server = json.loads(process.run([*kubectl, "--raw", "/version"], what=what, timeout=60))
    nodes = json.loads(process.run([*kubectl, "nodes", "-o", "json"], what=what, timeout=60))
    metrics = process.run([*kubectl, "--raw", "/metrics"], what=what, timeout=60)
    asked = ("stat", "-fc", "%T", "/sys/fs/cgroup")
    kind = client.in_node(client.at(handle.host), handle.node, *asked, what=what)
    return {
        "kubernetes": server["gitVersion"],
        "sidecar_gate": gate_stage(metrics, "SidecarContainers"),
        "cgroup": "v2" if kind.strip() == "cgroup2fs" else "v1",
        "nodes": {
            node["metadata"]["name"]: {
                "role": "control-plane"
                if _CONTROL_PLANE in node["metadata"]["labels"]
                else "worker",
                "kubelet": node["status"]["nodeInfo"]["kubeletVersion"],
                "runtime": node["status"]["nodeInfo"]["containerRuntimeVersion"],
                "kernel": node["status"]["nodeInfo"]["kernelVersion"],
                "os": node["status"]["nodeInfo"]["osImage"],
                "architecture": node["status"]["nodeInfo"]["architecture"],
            }
            for node in nodes["items"]
        },
    }


def gate_stage(metrics: str, gate: str) -> str:
    """ "beta, on" for a feature gate in an API server's metrics; "gone" when there is none.

    A gate without a stage is GA (k8s.io/component-base/metrics/prometheus/feature).
    """
    form = rf'^kubernetes_feature_enabled{{name="{gate}",stage="(\w*)"}} ([01])$'
    found = re.search(form, metrics, re.MULTILINE)
    return f"{found[1].lower() or 'ga'}, {'on' if found[2] == '1' else 'off'}" if found else "gone"

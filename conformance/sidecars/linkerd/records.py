"""What Linkerd's control plane says of a cell: the logs of its containers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from conformance.model import NS
from conformance.sidecars.linkerd.control_plane import pods
from conformance.sidecars.linkerd.driver import NAMESPACE


def keep(client: Any, since_ns: int, bundle: Path) -> None:
    """Write mesh/<pod>.<container>.log, from when the cell began."""
    folder = bundle / "mesh"
    folder.mkdir(exist_ok=True)
    core = k8s.CoreV1Api(client)
    seconds = int((time.time_ns() - since_ns) / NS) + 2
    for name in pods(client):
        for container in _containers(core, name):
            try:
                log = core.read_namespaced_pod_log(
                    name, NAMESPACE, container=container, since_seconds=seconds
                )
            except k8s.ApiException as error:  # a pod that comes or goes just now
                log = f"no log: {error.status} {error.reason}\n"
            (folder / f"{name}.{container}.log").write_text(log)


def _containers(core: Any, pod: str) -> list[str]:
    try:
        spec = core.read_namespaced_pod(pod, NAMESPACE).spec
    except k8s.ApiException:  # gone since it was listed
        return []
    every = [*(spec.init_containers or ()), *spec.containers]
    return [container.name for container in every if container.name != "linkerd-init"]

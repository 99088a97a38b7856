"""What Linkerd says of a cell: the logs of its control plane, and which proxies missed it.

A proxy's own stamps count from its start. So what it says is asked for once more with the kubelet's
stamps, of the pods that are still there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from conformance.model import NS
from conformance.sidecars.linkerd.control_plane import pods
from conformance.sidecars.linkerd.names import CONTAINER, NAMESPACE, UNSERVED


def keep(client: Any, namespace: str, since_ns: int, bundle: Path) -> None:
    """Write mesh/<pod>.<container>.log of the control plane, from when the cell began, and stamps
    of proxies that did not reach it (sidecar.unserved)."""
    folder = bundle / "mesh"
    folder.mkdir(exist_ok=True)
    core = k8s.CoreV1Api(client)
    seconds = int((time.time_ns() - since_ns) / NS) + 2
    for name in pods(client):
        for container in _containers(core, name):
            log = _log(core, name, NAMESPACE, container, since_seconds=seconds)
            (folder / f"{name}.{container}.log").write_text(log)
    for pod in core.list_namespaced_pod(namespace).items:
        if CONTAINER not in _names(pod.spec):
            continue
        role = (pod.metadata.labels or {}).get("app", pod.metadata.name)
        file = folder / f"{role}.{CONTAINER}.log"
        where = (core, pod.metadata.name, namespace, CONTAINER)
        lives = [_log(*where, timestamps=True, previous=before) for before in (True, False)]
        file.write_text("".join(lives))
        stamps = list(unserved(file.read_text(), str(file.relative_to(bundle))))
        if stamps:
            with (bundle / "stamps" / f"{role}.{CONTAINER}.jsonl").open("w") as sink:
                sink.writelines(json.dumps(stamp) + "\n" for stamp in stamps)


def unserved(log: str, file: str) -> Iterator[dict[str, str | int]]:
    """Where a proxy's output, with the kubelet's stamps, says that its control plane does not
    answer. file: where the output is kept."""
    for number, line in enumerate(log.splitlines(), 1):
        stamp, _, said = line.partition(" ")
        if UNSERVED.search(said):
            source = f"{file}:{number}"
            yield {"ns": _ns(stamp), "event": "sidecar.unserved", "source": source}


def _ns(stamp: str) -> int:
    """Nanoseconds since the epoch of the kubelet's stamp (RFC 3339, UTC, up to nine digits)."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * NS + int((fraction or "0").ljust(9, "0")[:9])


def _log(core: Any, pod: str, namespace: str, container: str, **how: Any) -> str:
    try:
        return str(core.read_namespaced_pod_log(pod, namespace, container=container, **how))
    except k8s.ApiException as error:  # a pod that comes or goes just now, or has one life only
        return "" if how.get("previous") else f"no log: {error.status} {error.reason}\n"


def _containers(core: Any, pod: str) -> list[str]:
    try:
        spec = core.read_namespaced_pod(pod, NAMESPACE).spec
    except k8s.ApiException:  # gone since it was listed
        return []
    return [name for name in _names(spec) if name != "linkerd-init"]


def _names(spec: Any) -> list[str]:
    return [container.name for container in [*(spec.init_containers or ()), *spec.containers]]

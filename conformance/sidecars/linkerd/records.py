"""What Linkerd says of a cell: its control plane's logs, and what its proxies say of themselves.

logs/ has what a proxy said while it was followed. While a postStart hook runs the kubelet gives no
output to be followed, so pods that are still there are asked once more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from conformance.model import NS
from conformance.sidecars.linkerd.control_plane import pods
from conformance.sidecars.linkerd.names import CONTAINER, NAMESPACE, TOLD, UNSERVED
from conformance.sidecars.linkerd.output import lines

SAID = {"sidecar.unserved": UNSERVED, "sidecar.sigterm": TOLD}
"""A stamp's name → what a proxy says then."""


def keep(client: Any, namespace: str, since_ns: int, bundle: Path) -> None:
    """Write mesh/<pod>.<container>.log of the control plane, from when the cell began, and stamps
    of what the proxies say of themselves (SAID)."""
    folder = bundle / "mesh"
    folder.mkdir(exist_ok=True)
    core = k8s.CoreV1Api(client)
    seconds = int((time.time_ns() - since_ns) / NS) + 2
    for name in pods(client):
        for container in _containers(core, name):
            log = _log(core, name, NAMESPACE, container, since_seconds=seconds)
            (folder / f"{name}.{container}.log").write_text(log)
    for role, output in _outputs(core, namespace, bundle).items():
        found = list(stamps(output, str(output.relative_to(bundle))))
        if found:
            with (bundle / "stamps" / f"{role}.{CONTAINER}.jsonl").open("w") as sink:
                sink.writelines(json.dumps(stamp) + "\n" for stamp in found)


def stamps(log: Path, source: str) -> Iterator[Mapping[str, str | int]]:
    """What a proxy's output says of the proxy. source: how the bundle calls the file."""
    for line in lines(log):
        for event, words in SAID.items():
            if words.search(line.text):
                yield {"ns": line.ns, "event": event, "source": f"{source}:{line.number}"}


def _outputs(core: Any, namespace: str, bundle: Path) -> Mapping[str, Path]:
    """Role → the proxy's output: as it was followed, or anew from pods that are still there."""
    suffix = f".{CONTAINER}.log"
    found = {
        log.name.removesuffix(suffix): log for log in sorted((bundle / "logs").glob(f"*{suffix}"))
    }
    for pod in core.list_namespaced_pod(namespace).items:
        if CONTAINER in _names(pod.spec):
            role = (pod.metadata.labels or {}).get("app", pod.metadata.name)
            where = (core, pod.metadata.name, namespace, CONTAINER)
            lives = [_log(*where, timestamps=True, previous=before) for before in (True, False)]
            found[role] = bundle / "mesh" / f"{role}{suffix}"
            found[role].write_text("".join(lives))
    return found


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

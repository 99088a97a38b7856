"""What Istio's control plane says of a cell: its log, its proxies' state, what they refused."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.errors import EnvironmentProblem
from conformance.machine import process
from conformance.model import NS
from conformance.sidecars.istio import agent
from conformance.sidecars.istio import images as image_istio
from conformance.sidecars.istio.control_plane import NAMESPACE, istiods
from conformance.sidecars.istio.release import Release

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

# istiod, pkg/xds/server.go and pilot/pkg/xds/delta.go: the proxy's name holds its namespace.
_NACK_BY_ISTIOD = re.compile(r"ADS:\w+: ACK ERROR (\S+)")
# Envoy, source/extensions/config_subscription/grpc: what it says when it refuses an update.
_NACK_BY_PROXY = re.compile(r"gRPC config for \S+ rejected|DeltaAggregatedResources.*rejected")

_WITHIN_A_MICROSECOND = 999  # ns that the log cuts off: a line may be this much later


def keep(cluster: ClusterHandle, client: Any, namespace: str, since_ns: int, bundle: Path) -> None:
    """Write mesh/istiod*.log, mesh/proxy-status.txt, mesh/nacks.jsonl, and the stamps of sidecars.

    The proxies' own output is expected in logs/ already.
    """
    folder = bundle / "mesh"
    folder.mkdir(exist_ok=True)
    core = k8s.CoreV1Api(client)
    seconds = int((time.time_ns() - since_ns) / NS) + 2
    tag = ""
    for name in istiods(client):
        try:
            log = core.read_namespaced_pod_log(name, NAMESPACE, since_seconds=seconds)
            pod = core.read_namespaced_pod(name, NAMESPACE)
        except k8s.ApiException as error:  # another cell's own, which comes or goes just now
            log = f"no log: {error.status} {error.reason}\n"
        else:
            tag = pod.spec.containers[0].image.rpartition(":")[2]
        (folder / f"{name}.log").write_text(log)
    (folder / "proxy-status.txt").write_text(_proxy_status(cluster, Release(tag)))
    with (folder / "nacks.jsonl").open("w") as sink:
        for nack in nacks(bundle, namespace):
            sink.write(json.dumps(nack) + "\n")
    for path in _proxy_logs(bundle):
        name = path.name.removesuffix(".log")
        with (bundle / "stamps" / f"{name}.jsonl").open("w") as sink:
            for stamp in stamps(bundle, path):
                sink.write(json.dumps(stamp) + "\n")


def stamps(bundle: Path, log: Path) -> Iterator[dict[str, str | int]]:
    """What the agent said in its log, as stamps; ``source`` tells where."""
    for number, line in _lines(log):
        said = agent.SAID.match(line)
        event = next(
            (name for words, name in agent.STAMPS if said and said[2].startswith(words)), ""
        )
        if said and event:
            moment = datetime.fromisoformat(f"{said[1]}+00:00")
            ns = int(moment.timestamp()) * NS + moment.microsecond * 1000
            file = log.relative_to(bundle)
            yield {"ns": ns + _WITHIN_A_MICROSECOND, "event": event, "source": f"{file}:{number}"}


def nacks(bundle: Path, namespace: str) -> Iterator[dict[str, str | int]]:
    """Every line in which a proxy of the namespace refuses configuration."""
    ours = re.compile(rf"\S+\.{re.escape(namespace)}-\d+")  # pod.namespace-connection
    for path in sorted((bundle / "mesh").glob("istiod*.log")):
        for number, line in _lines(path):
            found = _NACK_BY_ISTIOD.search(line)
            if found and ours.fullmatch(found[1]):
                yield _nack(bundle, path, number, line, "istiod")
    for path in _proxy_logs(bundle):
        for number, line in _lines(path):
            if _NACK_BY_PROXY.search(line):
                yield _nack(bundle, path, number, line, "proxy")


def _proxy_logs(bundle: Path) -> list[Path]:
    return sorted((bundle / "logs").glob("*.istio-proxy.log"))


def _nack(bundle: Path, path: Path, number: int, line: str, by: str) -> dict[str, str | int]:
    file = str(path.relative_to(bundle))
    return {"by": by, "file": file, "line": number, "text": line.strip()[:1000]}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(errors="replace") as lines:
        yield from enumerate(lines, start=1)


def _proxy_status(cluster: ClusterHandle, release: Release) -> str:
    try:
        istioctl = image_istio.istioctl(release.tag)
        return process.run(
            [istioctl, "proxy-status", "--kubeconfig", str(cluster.kubeconfig)],
            what="istioctl proxy-status",
            timeout=30,
        )
    except EnvironmentProblem as problem:  # a diagnosis that fails is no reason to stop
        return f"{problem}\n"

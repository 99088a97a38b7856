"""The one control plane of a cluster, set otherwise for a cell, or taken down under it.

No other cell of the cluster is observed meanwhile (registration.toml, alone).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client as k8s

from conformance.machine import process
from conformance.model import Cell
from conformance.sidecars.driver import Manifest
from conformance.sidecars.linkerd import images as image_linkerd
from conformance.sidecars.linkerd.control_plane import (
    DEPLOYMENTS,
    await_injector,
    change,
    loaded_release,
    wait,
)
from conformance.sidecars.linkerd.names import CERTIFICATE, NAMESPACE
from conformance.sidecars.linkerd.release import Release

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

WEBHOOK = "linkerd-proxy-injector-webhook-config"
NATIVE = "proxy.nativeSidecar=true"


def settings(cell: Cell, release: Release) -> tuple[str, str]:
    """What a cell needs to be set (as for --set), and what it is otherwise; "" for nothing."""
    known: Mapping[str, tuple[str, str]] = {
        "transparent": (
            "proxy.outboundTransportMode=transparent",
            "proxy.outboundTransportMode=transport-header",
        ),
        "keepalive": (
            f"identity.issuer.issuanceLifetime={CERTIFICATE}s",
            "identity.issuer.issuanceLifetime=24h0m0s",
        ),
        "ipv6": ("disableIPv6=false", "disableIPv6=true"),
        # As Linkerd's own values for high availability have it (values-ha.yaml).
        "outage": ("webhookFailurePolicy=Fail", "webhookFailurePolicy=Ignore"),
        "flip": (
            "proxy.nativeSidecar=false",
            f"proxy.nativeSidecar={str(release.native_by_default).lower()}",
        ),
    }
    return known.get(cell.scenario) or known.get(cell.mode) or ("", "")


@contextlib.contextmanager
def tuned(cluster: ClusterHandle, client: Any, cell: Cell) -> Iterator[None]:
    """The control plane is as the cell needs it inside the block."""
    during, otherwise = settings(cell, loaded_release(cluster))
    try:
        if during:
            change(cluster, client, during)
        yield
    finally:
        if otherwise:
            change(cluster, client, otherwise)


def take_down(client: Any) -> None:
    """Scale all of it to 0, and wait until nobody answers in its name."""
    _scale(client, 0)
    core = k8s.CoreV1Api(client)
    labels = "linkerd.io/control-plane-component"

    def gone() -> bool:
        return not core.list_namespaced_pod(NAMESPACE, label_selector=labels).items

    wait(gone, "Linkerd's control plane did not go")


def bring_back(client: Any) -> None:
    """Scale it to 1, and wait until it is ready."""
    _scale(client, 1)
    apps = k8s.AppsV1Api(client)

    def ready() -> bool:
        found = [apps.read_namespaced_deployment(name, NAMESPACE) for name in DEPLOYMENTS]
        return all(deployment.status.ready_replicas for deployment in found)

    wait(ready, "Linkerd's control plane did not become ready again")
    await_injector(client)


def on_failure(client: Any, policy: str) -> None:
    """Set the failurePolicy of the injection webhook: Fail, or Ignore (Linkerd's own)."""
    k8s.AdmissionregistrationV1Api(client).patch_mutating_webhook_configuration(
        WEBHOOK, [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": policy}]
    )


def foretell(cluster: ClusterHandle, pod: Manifest) -> Manifest:
    """The pod as the CLI injects it when native is the default: what the injector will do after an
    upgrade to that default, without one."""
    tag = loaded_release(cluster).tag
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pod.yaml")
        file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod"} | pod))
        said = process.run(
            [
                image_linkerd.cli(tag),
                *("inject", "--manual", "--native-sidecar", str(file)),
                *("--kubeconfig", str(cluster.kubeconfig)),
            ],
            what="asking the CLI how it would inject a pod",
            timeout=60,
        )
    documents = [document for document in yaml.safe_load_all(said) if document]
    found: Manifest
    (found,) = documents  # the CLI ends every document with a mark, the last one too
    return found


def _scale(client: Any, replicas: int) -> None:
    apps = k8s.AppsV1Api(client)
    for name in DEPLOYMENTS:
        apps.patch_namespaced_deployment_scale(name, NAMESPACE, {"spec": {"replicas": replicas}})

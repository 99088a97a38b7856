"""A control plane of a cell's own, which can be taken down without a word to any other cell.

A revision beside the default one has its own istiod and its own injection webhook; it touches
nothing but the pods that ask for it by label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.errors import EnvironmentProblem
from conformance.sidecars.istio.control_plane import (
    NAMESPACE,
    await_webhooks,
    install_revision,
    loaded_release,
    wait,
)

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle


def bring(cluster: ClusterHandle, client: Any, revision: str) -> None:
    """Install the revision. Raises EnvironmentProblem."""
    release = loaded_release(cluster)
    if not release.pattern_by_pod:
        raise EnvironmentProblem(
            f"Istio {release.tag} has a control plane for each pattern, and no annotation: its "
            "outage is not played; choose 1.24 or newer."
        )
    install_revision(cluster, release, revision)
    await_webhooks(client, revision)


def take_down(client: Any, revision: str) -> None:
    """Scale its istiod to 0, and wait until nobody answers in its name."""
    _scale(client, revision, 0)
    core = k8s.CoreV1Api(client)

    def gone() -> bool:
        pods = core.list_namespaced_pod(NAMESPACE, label_selector=_pods(revision)).items
        return not pods

    wait(gone, f"istiod of revision {revision} did not go")


def bring_back(client: Any, revision: str) -> None:
    """Scale its istiod to 1, and wait until it is ready."""
    _scale(client, revision, 1)
    apps = k8s.AppsV1Api(client)

    def ready() -> bool:
        found = apps.read_namespaced_deployment(f"istiod-{revision}", NAMESPACE)
        return bool(found.status.ready_replicas)

    wait(ready, f"istiod of revision {revision} did not become ready again")


def on_failure(client: Any, revision: str, policy: str) -> None:
    """Set the failurePolicy of its injection webhook: Fail (Istio's own) or Ignore."""
    api = k8s.AdmissionregistrationV1Api(client)
    name = _injector(revision)
    number = len(api.read_mutating_webhook_configuration(name).webhooks)
    patch = [
        {"op": "replace", "path": f"/webhooks/{place}/failurePolicy", "value": policy}
        for place in range(number)
    ]
    api.patch_mutating_webhook_configuration(name, patch)


def remove(client: Any, revision: str) -> None:
    """Its istiod and its webhook are needed no more; the rest of it takes no memory."""
    _scale(client, revision, 0)
    k8s.AdmissionregistrationV1Api(client).delete_mutating_webhook_configuration(
        _injector(revision)
    )


def _scale(client: Any, revision: str, replicas: int) -> None:
    k8s.AppsV1Api(client).patch_namespaced_deployment_scale(
        f"istiod-{revision}", NAMESPACE, {"spec": {"replicas": replicas}}
    )


def _pods(revision: str) -> str:
    return f"app=istiod,istio.io/rev={revision}"


def _injector(revision: str) -> str:
    return f"istio-sidecar-injector-{revision}"

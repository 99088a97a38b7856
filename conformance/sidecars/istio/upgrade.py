"""An upgrade of Istio as its documentation has it: a second revision, a revision tag that moves.

Release tags cannot be built here, so both revisions are of one version; the second differs in a
setting that can be read from its pods (the proxy's log level), and in the default that an upgrade
to 1.27 changes (ENABLE_NATIVE_SIDECARS). The way is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.errors import EnvironmentProblem
from conformance.machine import locks, process
from conformance.plan.selection import minor_number
from conformance.sidecars.istio import images as image_istio
from conformance.sidecars.istio.control_plane import (
    NAMESPACE,
    await_webhooks,
    install_revision,
    loaded_release,
)
from conformance.sidecars.istio.release import Release

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

PRESENT, NEXT = "default", "next"
SETTING = "values.global.proxy.logLevel=info"  # Istio's default is warning


def prepare(cluster: ClusterHandle, client: Any, tag: str) -> None:
    """Have the next revision (once for all cells of a cluster), and the tag lead to the present."""
    release = loaded_release(cluster)
    if not release.pattern_by_pod:
        raise EnvironmentProblem(
            f"Istio {release.tag} has a control plane for each pattern, and no annotation: its "
            "upgrade is not played; choose 1.24 or newer."
        )
    with locks.exclusive(cluster.kubeconfig.with_name("istio-next.lock")):
        names = [
            one.metadata.name
            for one in k8s.AppsV1Api(client).list_namespaced_deployment(NAMESPACE).items
        ]
        if f"istiod-{NEXT}" not in names:
            install_revision(cluster, release, NEXT, [SETTING, _other_default(cluster, release)])
            await_webhooks(client, NEXT)
        point(cluster, tag, PRESENT)
    await_webhooks(client, tag)


def _other_default(cluster: ClusterHandle, release: Release) -> str:
    """The setting that turns round what pods get that do not say their pattern themselves."""
    native = release.native_by_default(minor_number(cluster.minor))
    return f"values.pilot.env.ENABLE_NATIVE_SIDECARS={'false' if native else 'true'}"


def point(cluster: ClusterHandle, tag: str, revision: str) -> None:
    """Make the tag lead to a revision. It is a webhook of its own, changed in one step."""
    istioctl = image_istio.istioctl(loaded_release(cluster).tag)
    where = ["--overwrite", "--kubeconfig", str(cluster.kubeconfig), "-y"]
    process.run(
        [istioctl, "tag", "set", tag, "--revision", revision, *where],
        what=f"pointing the revision tag {tag} to {revision}",
        log=cluster.kubeconfig.with_name("istio.log"),
        timeout=60,
    )

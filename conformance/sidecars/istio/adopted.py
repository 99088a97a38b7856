"""An Istio that others installed: used as it is, and nothing of it changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client as k8s

from conformance.errors import EnvironmentProblem
from conformance.plan.selection import minor_number
from conformance.sidecars.istio.control_plane import NAMESPACE
from conformance.sidecars.istio.release import OLDEST, Release

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

_MESH = "istio"  # the ConfigMap
_LONGEST = 1000  # characters of it in a report
TRUST_DOMAIN = "cluster.local"  # meshConfig.trustDomain's default, and the driver's
# What the injector of the default revision is called, and that of a tag that stands for it.
_DEFAULT = ("istio-sidecar-injector", "istio-revision-tag-default")


def adopt(cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
    """The release that is installed. Raises EnvironmentProblem where pods of a new namespace would
    not be injected by a label of their own (sidecar.istio.io/inject)."""
    core = k8s.CoreV1Api(client)
    try:
        pods = core.list_namespaced_pod(NAMESPACE, label_selector="app=istiod").items
    except k8s.ApiException as error:
        raise EnvironmentProblem(
            f"namespace {NAMESPACE} cannot be looked at: {error.reason} ({error.status})"
        ) from error
    if not pods:
        raise EnvironmentProblem(f"no istiod runs in namespace {NAMESPACE}")
    tags = {pod.spec.containers[0].image.partition("@")[0].rpartition(":")[2] for pod in pods}
    if len(tags) > 1:
        raise EnvironmentProblem(
            f"{' and '.join(sorted(tags))} are installed side by side; the suite's pods could be "
            "either's"
        )
    release = Release(tags.pop())
    if release.minor < OLDEST:
        raise EnvironmentProblem(
            f"istiod is {release.tag}, and native sidecars need 1.{OLDEST} or newer"
        )
    if not release.pattern_by_pod:
        raise EnvironmentProblem(
            f"istiod is {release.tag}: before 1.24 no pod can choose its pattern, and the suite "
            "changes no setting of a control plane that is not its own"
        )
    api = k8s.AdmissionregistrationV1Api(client)
    names = [one.metadata.name for one in api.list_mutating_webhook_configuration().items]
    if not any(name.startswith(_DEFAULT) for name in names):
        revisions = ", ".join(name for name in names if "istio" in name) or "none"
        raise EnvironmentProblem(
            f"no injector of the default revision is there ({revisions}): make one the default "
            "with istioctl tag set default"
        )
    native = release.native_by_default(minor_number(cluster.minor))
    mesh = _mesh_config(core)
    if (trusted := mesh.get("trustDomain", TRUST_DOMAIN)) != TRUST_DOMAIN:
        raise EnvironmentProblem(
            f"its trust domain is {trusted}, and identities are judged in {TRUST_DOMAIN} only"
        )
    return {
        "istio": release.tag,
        "release": release.tag,
        "pattern_without_annotation": "native" if native else "classic",
        "default_config": json.dumps(mesh.get("defaultConfig") or {}, sort_keys=True)[:_LONGEST],
    }


def _mesh_config(core: k8s.CoreV1Api) -> Mapping[str, Any]:
    """What the whole mesh is told (the ConfigMap that the default revision reads)."""
    selector = f"metadata.name={_MESH}"
    found = core.list_namespaced_config_map(NAMESPACE, field_selector=selector).items
    told = yaml.safe_load((found[0].data or {}).get("mesh", "")) if found else None
    return told if isinstance(told, dict) else {}

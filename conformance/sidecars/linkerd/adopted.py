"""A Linkerd that others installed: used as it is, and nothing of it changed.

What it is, is read from pods as its injector would make them: dry runs, in the run's own namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.cluster.state import base_namespace
from conformance.errors import EnvironmentProblem
from conformance.sidecars import dry_run
from conformance.sidecars.driver import Manifest, read_pattern
from conformance.sidecars.linkerd.names import (
    ADMIN_PORT,
    CONTAINER,
    CREATED_BY,
    INJECTOR,
    identity,
)
from conformance.sidecars.linkerd.release import OLDEST, Release
from conformance.sidecars.manifests import containers

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

_INJECT = {"linkerd.io/inject": "enabled"}
_PROXY_VERSION = "linkerd.io/proxy-version"  # written by the injector
# How the injector says the proxy's own identity, with the kubelet's variables in it.
_NAME = "LINKERD2_PROXY_IDENTITY_LOCAL_NAME"
_OWN_NAME = identity("$(_pod_ns)", "$(_pod_sa)")
_REDIRECTION = "linkerd-init"
_LONGEST = 300  # characters of the API server's words


def adopt(cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
    """The release that is installed, by what its injector makes of a pod.

    Raises EnvironmentProblem where pods of the run's namespaces would not be injected, where the
    release is not known or has no native pattern, or where identities have other names.
    """
    namespace = base_namespace(cluster.label)
    plain = _admitted(client, namespace, _INJECT)
    said = (plain["metadata"].get("annotations") or {}).get(CREATED_BY, "")
    if not said.startswith(INJECTOR):
        raise EnvironmentProblem(
            f"no injector of Linkerd's answered for a pod of namespace {namespace} that asks for a "
            "proxy (linkerd.io/inject: enabled)"
        )
    release = Release(said.removeprefix(INJECTOR).strip())
    if release.edge < OLDEST:
        raise EnvironmentProblem(
            f"its injector is {release.tag or 'of no version'}; the suite knows edge and stable "
            "releases from 2.15 on, the first with native sidecars"
        )
    _require_known(plain)
    asked = _admitted(client, namespace, {**_INJECT, release.annotation: "true"})
    if (pattern := read_pattern(asked, CONTAINER)).pattern != "native":
        raise EnvironmentProblem(
            f"its injector {release.tag} made no native sidecar of a pod with {release.annotation} "
            f"({pattern.why})"
        )
    inits = [one["name"] for one in plain["spec"].get("initContainers") or ()]
    return {
        "linkerd": release.tag,
        "release": release.tag,
        "proxy": plain["metadata"]["annotations"].get(_PROXY_VERSION, ""),
        "proxy_image": str(_proxy(plain).get("image", "")),
        "pattern_without_annotation": read_pattern(plain, CONTAINER).pattern,
        "redirection": _REDIRECTION if _REDIRECTION in inits else "a CNI plugin's",
    }


def _admitted(client: Any, namespace: str, annotations: Mapping[str, str]) -> Manifest:
    """A pod as it would be made: a dry run. Raises EnvironmentProblem for one that is refused."""
    pod = dry_run.bare_pod(annotations=dict(annotations))
    try:
        return dry_run.admitted(client, namespace, pod)
    except k8s.ApiException as error:
        said = dry_run.said_by(error)[:_LONGEST]
        raise EnvironmentProblem(
            f"a pod that asks for Linkerd's proxy is refused ({said})"
        ) from error


def _require_known(pod: Manifest) -> None:
    """Raises EnvironmentProblem where names and ports are others than the driver's."""
    proxy = _proxy(pod)
    variables = {one["name"]: one.get("value", "") for one in proxy.get("env") or ()}
    if (name := variables.get(_NAME, "")) != _OWN_NAME:
        raise EnvironmentProblem(
            f"its proxies are called {name or 'by no name'}, and identities are judged as "
            f"{_OWN_NAME} only"
        )
    ports = {one.get("name"): one["containerPort"] for one in proxy.get("ports") or ()}
    if (port := ports.get("linkerd-admin", ADMIN_PORT)) != ADMIN_PORT:
        raise EnvironmentProblem(
            f"its proxies tell of themselves at port {port}, and are asked at {ADMIN_PORT} only"
        )


def _proxy(pod: Manifest) -> Manifest:
    return next((one for one in containers(pod) if one["name"] == CONTAINER), {})

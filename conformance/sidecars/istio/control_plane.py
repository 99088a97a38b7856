"""Istio's control plane on a cluster: installed once, and what each cell's namespace asks of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s
from kubernetes.utils import create_from_dict

from conformance.engine import client as docker
from conformance.errors import EnvironmentProblem
from conformance.machine import locks, process, waiting
from conformance.machine.paths import FIXTURES
from conformance.machine.progress import board
from conformance.plan.selection import minor_number
from conformance.sidecars import dry_run, manifests
from conformance.sidecars.driver import Manifest, read_pattern
from conformance.sidecars.istio import images as image_istio
from conformance.sidecars.istio.release import Release
from conformance.sidecars.istio.values import overlay, suites
from conformance.sidecars.settings import files as settings_files

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

NAMESPACE = "istio-system"
ROOT_CERTIFICATE = "istio-ca-root-cert"  # put into every namespace by istiod; the proxies mount it
MANIFESTS = FIXTURES / "istio"
PATIENCE = 120.0  # seconds for anything that istiod does by itself; it takes one or two
INSTALL_WITHIN = 300  # seconds; measured: 6 to 16

PLURALS = {
    "DestinationRule": "destinationrules",
    "PeerAuthentication": "peerauthentications",
    "Telemetry": "telemetries",
}

# What Envoy without Istio's extensions must not be told: it would refuse whole listeners.
WITHOUT_EXTENSIONS = (
    "values.pilot.env.PILOT_ENABLE_ALPN_FILTER=false",
    "values.pilot.env.PILOT_ENABLE_METADATA_EXCHANGE=false",
    "values.telemetry.enabled=false",
)


def install(cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
    """Install the release whose images the node has; returns versions and costs for the report.

    Raises EnvironmentProblem with istioctl's own words.
    """
    release = loaded_release(cluster)
    log = cluster.kubeconfig.with_name("istio.log")
    began = time.monotonic()
    with board.phase(f"installing Istio {release.tag} on Kubernetes {cluster.minor}"):
        for revision in _revisions(release):
            install_revision(cluster, release, revision)
        for document in manifests.read(MANIFESTS / "telemetry.yaml", {}):
            create(client, document)
        for revision in _revisions(release):
            await_webhooks(client, revision)
    took = time.monotonic() - began
    memory = _memory_mib(client)
    warning = _warning(log.read_text())
    if warning:
        board.say(f"istioctl warned: {warning}")
    return {
        "istio": release.tag,
        "envoy": image_istio.envoy_wheel() if release.built else "Istio's own",
        "switched_off": ", ".join(WITHOUT_EXTENSIONS) if release.built else "nothing",
        "pattern_without_annotation": "native"
        if release.native_by_default(minor_number(cluster.minor))
        else "classic",
        **_own_settings(cluster, client, release),
        "install_seconds": f"{took:.1f}",
        "istiod_memory_mib": f"{memory:.0f}",
        "warning": warning,
    }


def _own_settings(cluster: ClusterHandle, client: Any, release: Release) -> Mapping[str, str]:
    """What became of the user's settings, by a pod as the injector would make it, without a word of
    its own about its pattern; nothing where the user has none."""
    found = settings_files.of(cluster, "istio")
    if found is None:
        return {}
    revision = _revisions(release)[0]
    pod = try_pod(client, revision)
    cluster.kubeconfig.with_name("istio-admitted.json").write_text(json.dumps(pod, indent=1))
    values = [word for word in _settings(release, revision) if word != "--set"]
    its = read_pattern(pod, "istio-proxy")
    return {
        **settings_files.told(found, suites(values), pod),
        "pattern_without_annotation": its.pattern,
    }


def install_revision(
    cluster: ClusterHandle, release: Release, revision: str, extra: Sequence[str] = ()
) -> None:
    """istioctl install. revision: "" for the default one. extra: settings as for --set.

    One at a time on each cluster: every revision brings the same cluster-wide objects.
    """
    settings = ["-f", str(overlay(cluster, "istio")), *_settings(release, revision)]
    settings += [word for one in extra for word in ("--set", one)]
    istioctl = image_istio.istioctl(release.tag)
    with locks.exclusive(cluster.kubeconfig.with_name("istio-install.lock")):
        process.run(
            [istioctl, "install", "--kubeconfig", str(cluster.kubeconfig), "-y", *settings],
            what=f"installing Istio {release.tag}",
            log=cluster.kubeconfig.with_name("istio.log"),
            timeout=INSTALL_WITHIN,
        )


def prepare(namespace: str, client: Any) -> None:
    """Create what a cell's namespace needs, and wait until its pods could start."""
    for document in manifests.read(MANIFESTS / "namespace.yaml", {"NAMESPACE": namespace}):
        create(client, document)
    core = k8s.CoreV1Api(client)

    def there() -> bool:
        names = core.list_namespaced_config_map(namespace).items
        return any(one.metadata.name == ROOT_CERTIFICATE for one in names)

    wait(there, f"istiod did not put its root certificate into namespace {namespace}")


def create(client: Any, document: Manifest) -> None:
    """Create any object, of Istio's kinds too."""
    group, slash, version = document["apiVersion"].rpartition("/")
    if not slash or not group.endswith("istio.io"):
        create_from_dict(client, document)
        return
    k8s.CustomObjectsApi(client).create_namespaced_custom_object(
        group, version, document["metadata"]["namespace"], PLURALS[document["kind"]], document
    )


def istiods(client: Any) -> Sequence[str]:
    """The names of the control plane's pods."""
    pods = k8s.CoreV1Api(client).list_namespaced_pod(NAMESPACE, label_selector="app=istiod").items
    return [pod.metadata.name for pod in pods]


def _revisions(release: Release) -> Sequence[str]:
    """One for each pattern where pods cannot choose by annotation, else the default one."""
    return ("",) if release.pattern_by_pod else ("classic", "native")


def _settings(release: Release, revision: str) -> list[str]:
    values = [f"hub={image_istio.HUB}", f"tag={release.tag}"]
    if release.built:
        values += WITHOUT_EXTENSIONS
    if revision:
        values.append(f"revision={revision}")
    if not release.pattern_by_pod:
        native = "true" if revision == "native" else "false"
        values.append(f"values.pilot.env.ENABLE_NATIVE_SIDECARS={native}")
    return [word for value in values for word in ("--set", value)]


def loaded_release(cluster: ClusterHandle) -> Release:
    """The release of the control plane's image that the cluster's nodes were given."""
    listing = ("ctr", "-n", "k8s.io", "images", "ls", "-q")
    what = "asking the node for its images"
    said = docker.in_node(docker.at(cluster.host), cluster.node, *listing, what=what, timeout=60)
    found = re.search(rf"^{re.escape(image_istio.HUB)}/pilot:(\S+)$", said, re.MULTILINE)
    if found is None:
        raise EnvironmentProblem(f"The node {cluster.node} was not given {image_istio.HUB}/pilot.")
    return Release(found[1])


def await_webhooks(client: Any, revision: str = "") -> None:
    """Until istiod has signed its webhooks, and the node knows the way to it, pods are refused.

    revision: the one (or the tag) that a pod is sent to as a dry run; "" for the default one.
    """
    api = k8s.AdmissionregistrationV1Api(client)

    def signed() -> bool:
        found = [
            hook
            for one in api.list_mutating_webhook_configuration().items
            if one.metadata.name.startswith(("istio-sidecar-injector", "istio-revision-tag"))
            for hook in one.webhooks
        ]
        return bool(found) and all(hook.client_config.ca_bundle for hook in found)

    wait(signed, "istiod did not sign its injection webhooks")
    wait(lambda: _injects(client, revision), "the injection webhook did not answer")


def _injects(client: Any, revision: str) -> bool:
    """Whether a pod that asks for a sidecar would be made: its webhook fails it otherwise."""
    try:
        try_pod(client, revision)
    except k8s.ApiException as error:
        if error.status != 500:  # "failed calling webhook" is an internal error
            raise
        return False
    return True


def try_pod(client: Any, revision: str = "") -> Manifest:
    """A pod that asks for a sidecar and says nothing else, as it would be made: a dry run."""
    labels = {"sidecar.istio.io/inject": "true"} | ({"istio.io/rev": revision} if revision else {})
    return dry_run.admitted(client, "default", dry_run.bare_pod(labels=labels))


def _memory_mib(client: Any) -> float:
    """Resident memory of all istiods, by their own metrics."""
    core = k8s.CoreV1Api(client)
    total = 0.0
    for name in istiods(client):
        said = core.connect_get_namespaced_pod_proxy_with_path(
            f"{name}:15014", NAMESPACE, "metrics"
        )
        found = re.search(r"^process_resident_memory_bytes (\S+)$", said, re.MULTILINE)
        total += float(found[1]) if found else 0.0
    return total / 2**20


def _warning(log: str) -> str:
    """What istioctl says about a Kubernetes that is too old for it; it only warns."""
    found = re.search(r"The Kubernetes version \S+ is not supported.*(?:\n.*minimum.*)?", log)
    return re.sub(r"\s+", " ", found[0]).strip() if found else ""


def wait(done: Callable[[], bool], failed: str) -> None:
    """Wait until istiod has done it. Raises EnvironmentProblem."""
    if not waiting.within(PATIENCE, done):
        raise EnvironmentProblem(
            f"{failed} within {PATIENCE:.0f} s; see its log in namespace {NAMESPACE}."
        )

"""Linkerd's control plane on a cluster: installed once by its CLI, and changed by its CLI.

There is one to a cluster: its webhook's name is fixed, and it knows no revisions.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client as k8s
from kubernetes.utils import create_from_dict

from conformance.engine import client as docker
from conformance.errors import EnvironmentProblem
from conformance.images import tools
from conformance.machine import locks, process, waiting
from conformance.machine.paths import FIXTURES
from conformance.machine.progress import board
from conformance.plan.selection import minor_number
from conformance.sidecars import dry_run
from conformance.sidecars.driver import Manifest, read_pattern
from conformance.sidecars.linkerd import images as image_linkerd
from conformance.sidecars.linkerd import values
from conformance.sidecars.linkerd.names import CREATED_BY, NAMESPACE
from conformance.sidecars.linkerd.release import Release
from conformance.sidecars.manifests import read
from conformance.sidecars.settings import files as settings_files
from conformance.sidecars.settings import tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.cluster.state import ClusterHandle

MANIFESTS = FIXTURES / "linkerd"
# As openssl prints it: small ones as "7 (0x7)", others as "0a:1b:…".
_SERIAL = re.compile(r"Serial Number:\s*(?:\d+ \(0x([0-9a-f]+)\)|((?:[0-9a-f]{2}:)+[0-9a-f]{2}))")
INSTALL_WITHIN = 300  # seconds; measured: 48
PATIENCE = 180.0  # seconds for anything that the control plane does by itself
DEPLOYMENTS = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")


def install(cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
    """Install the release whose images the node has, and check it; versions and costs.

    Raises EnvironmentProblem with the CLI's own words.
    """
    release = loaded_release(cluster)
    minor = minor_number(cluster.minor)
    if minor < release.oldest_kubernetes:
        raise EnvironmentProblem(
            f"Linkerd {release.tag} needs Kubernetes 1.{release.oldest_kubernetes}; choose an "
            "older release (LINKERD_VERSION), or a newer Kubernetes (K8S)."
        )
    began = time.monotonic()
    with board.phase(f"installing Linkerd {release.tag} on Kubernetes {cluster.minor}"):
        # Without the Gateway API's own kinds the control plane refuses to be installed.
        _apply(cluster, release, "crds", "install", "--crds", "--set", "installGatewayAPI=true")
        _apply(cluster, release, "control-plane", "install", *_values(cluster))
        checked = check(cluster, release)
        await_injector(client)
    return {
        "linkerd": release.tag,
        "pattern_without_annotation": "native" if release.native_by_default else "classic",
        **_own_settings(cluster, client),
        "check": checked,
        "install_seconds": f"{time.monotonic() - began:.1f}",
    }


def _values(cluster: ClusterHandle) -> Sequence[str]:
    """The user's settings, and the suite's own above them."""
    found = settings_files.of(cluster, "linkerd")
    if found is None:
        return ("--values", str(MANIFESTS / "install.yaml"))
    file = cluster.kubeconfig.with_name("linkerd-values.yaml")
    file.write_text(yaml.safe_dump(tree.merged(found.settings, values.suites()), sort_keys=False))
    return ("--values", str(file))


def _own_settings(cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
    """What became of the user's settings, by a pod as the injector would make it, without a word of
    its own about its pattern; nothing where the user has none."""
    found = settings_files.of(cluster, "linkerd")
    if found is None:
        return {}
    pod = try_pod(client)
    cluster.kubeconfig.with_name("linkerd-admitted.json").write_text(json.dumps(pod, indent=1))
    return {
        **settings_files.told(found, values.suites(), pod),
        "pattern_without_annotation": read_pattern(pod, "linkerd-proxy").pattern,
    }


def change(cluster: ClusterHandle, client: Any, *settings: str) -> None:
    """linkerd upgrade with other settings (as for --set); waits until they are in force."""
    release = loaded_release(cluster)
    with locks.exclusive(cluster.kubeconfig.with_name("linkerd-change.lock")):
        chosen = [word for setting in settings for word in ("--set", setting)]
        _apply(cluster, release, "change", "upgrade", *chosen)
        await_deployments(cluster)
        await_injector(client)


def check(cluster: ClusterHandle, release: Release) -> str:
    """linkerd check; how many of its checks passed. Raises EnvironmentProblem with its words.

    The release is named as the one that is expected: it would ask the internet otherwise.
    """
    said = _linkerd(
        cluster,
        release,
        *("check", "--wait", f"{INSTALL_WITHIN}s", "--expected-version", release.tag),
        what=f"linkerd check of {release.tag}",
    )
    cluster.kubeconfig.with_name("linkerd-check.txt").write_text(said)
    passed = len(re.findall(r"^√ ", said, re.MULTILINE))
    warned = re.findall(r"^‼ (.*)", said, re.MULTILINE)
    return f"{passed} passed" + (f"; warned: {'; '.join(warned)}" if warned else "")


def serial_of(cluster: ClusterHandle, namespace: str, pod: str) -> str:
    """The serial number (hex) of the certificate that a pod's proxy shows. Raises
    EnvironmentProblem."""
    said = _linkerd(
        cluster,
        loaded_release(cluster),
        *("identity", "--namespace", namespace, pod),
        what=f"linkerd identity of {pod}",
    )
    found = _SERIAL.search(said)
    if found is None:
        raise EnvironmentProblem(f"linkerd identity shows no certificate of {pod}: {said[:200]}")
    return (found[1] or found[2]).replace(":", "")


def prepare(namespace: str, client: Any) -> None:
    """Create what a cell's namespace needs."""
    for document in read(MANIFESTS / "namespace.yaml", {"NAMESPACE": namespace}):
        create_from_dict(client, document)


def await_deployments(cluster: ClusterHandle) -> None:
    """Wait until the control plane runs as it was last told to. Raises EnvironmentProblem."""
    for name in DEPLOYMENTS:
        kubectl(
            cluster,
            *("-n", NAMESPACE, "rollout", "status", f"deployment/{name}"),
            f"--timeout={PATIENCE:.0f}s",
            what=f"waiting for {name}",
        )


def await_injector(client: Any) -> None:
    """Wait until a pod that asks for it would get a proxy: while the injector cannot be reached,
    its webhook's failurePolicy (Ignore) lets pods in without one."""
    wait(lambda: injected(client), "the proxy injector did not answer")


def injected(client: Any) -> bool:
    """Whether a pod would be injected now; it is only tried."""
    try:
        found = try_pod(client)
    except k8s.ApiException as error:
        if error.status != 500:  # "failed calling webhook" is an internal error
            raise
        return False
    return CREATED_BY in (found["metadata"].get("annotations") or {})


def try_pod(client: Any) -> Manifest:
    """A pod that asks for a proxy and says nothing else, as it would be made: a dry run."""
    pod = dry_run.bare_pod(annotations={"linkerd.io/inject": "enabled"})
    return dry_run.admitted(client, "default", pod)


def pods(client: Any) -> Sequence[str]:
    """The names of the control plane's pods."""
    found = k8s.CoreV1Api(client).list_namespaced_pod(NAMESPACE).items
    return [pod.metadata.name for pod in found]


def loaded_release(cluster: ClusterHandle) -> Release:
    """The release of the control plane's image that the cluster's nodes were given."""
    listing = ("ctr", "-n", "k8s.io", "images", "ls", "-q")
    what = "asking the node for its images"
    said = docker.in_node(docker.at(cluster.host), cluster.node, *listing, what=what, timeout=60)
    reference = f"{image_linkerd.HUB}/controller"
    found = re.search(rf"^{re.escape(reference)}:(\S+)$", said, re.MULTILINE)
    if found is None:
        raise EnvironmentProblem(f"The node {cluster.node} was not given {reference}.")
    return Release(found[1])


def kubectl(cluster: ClusterHandle, *arguments: str, what: str) -> str:
    """Run kubectl on the cluster; its output. Raises EnvironmentProblem."""
    where = ["--kubeconfig", str(cluster.kubeconfig)]
    return process.run([tools.kubectl(), *where, *arguments], what=what, timeout=PATIENCE + 30)


def wait(done: Callable[[], bool], failed: str) -> None:
    """Wait until the control plane has done it. Raises EnvironmentProblem."""
    if not waiting.within(PATIENCE, done, every=0.2):
        raise EnvironmentProblem(
            f"{failed} within {PATIENCE:.0f} s; see the logs in namespace {NAMESPACE}."
        )


def create(client: Any, group: str, plural: str, document: Manifest) -> None:
    """Create an object of one of Linkerd's kinds."""
    version = document["apiVersion"].rpartition("/")[2]
    namespace = document["metadata"]["namespace"]
    k8s.CustomObjectsApi(client).create_namespaced_custom_object(
        group, version, namespace, plural, document
    )


def _apply(cluster: ClusterHandle, release: Release, name: str, *arguments: str) -> None:
    """Apply what the CLI prints, as its documentation has it."""
    manifests = _linkerd(cluster, release, *arguments, what=f"linkerd {arguments[0]} ({name})")
    file = cluster.kubeconfig.with_name(f"linkerd-{name}.yaml")
    file.touch(mode=0o600)  # the issuer's key is in it
    file.write_text(manifests)
    try:
        kubectl(cluster, "apply", "-f", str(file), what=f"applying Linkerd's {name}")
    finally:
        file.unlink()


def _linkerd(cluster: ClusterHandle, release: Release, *arguments: str, what: str) -> str:
    return process.run(
        [image_linkerd.cli(release.tag), *arguments, "--kubeconfig", str(cluster.kubeconfig)],
        what=what,
        timeout=INSTALL_WITHIN + 60,
    )

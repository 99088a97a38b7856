"""The driver of a sidecar of the user's own: it places what the file says, and knows no more.

The peer of a mesh gets the same sidecar, always native. A log shipper's sink is the suite's; the
Service to which the file says that it delivers leads there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s
from kubernetes.utils import create_from_dict

from conformance.model import Cell
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import manifests
from conformance.sidecars.driver import Admitted, Facts, Manifest, place, read_pattern
from conformance.sidecars.envoy.certificates import identity
from conformance.sidecars.envoy.driver import secret_name, secrets
from conformance.sidecars.own import file as own_file
from conformance.sidecars.own.images import obtain
from conformance.sidecars.own.redirection import rules_container
from conformance.sidecars.own.trial import require_taken, trial_namespace
from conformance.sidecars.shippers.shipper import LOGS

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage

PORTS = {"app": 8080, "probe": 8081, "witness_mesh": 9000, "control": 9001}
SINK_PORTS = {"sink": 8080, "probe": 8081}
_CERTIFICATES = "sidecar-conformance-certificates"  # the volume


class Driver:
    """A sidecar that a file describes. name: in the registry, which knows the file."""

    def __init__(self, name: str) -> None:
        source = REGISTRY[name].file
        assert source is not None
        self.name = name
        self._own = own_file.read(source)

    def fixture_images(self) -> Sequence[str]:
        """The reference mesh's, where the suite is to set the redirection by its program."""
        wanted = ["envoy"] if self._own.redirection else []
        named = [one for one in self._own.images if one in FIXTURES]
        return tuple(dict.fromkeys([*wanted, *named]))

    def official_images(self) -> Sequence[str]:
        """What the file names."""
        return [one for one in self._own.images if one not in FIXTURES]

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """What the file names, from the engine or by pulling. Raises Unobtainable."""
        return {one: obtain(engine, one, self.name) for one in self.official_images()}

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """Nothing to install. The API server is asked whether it would take the pods."""
        told = {"kind": self._own.kind, "images": ", ".join(self._own.images)}
        for pattern in REGISTRY[self.name].patterns:
            cell = Cell(cluster.minor, self.name, pattern, "default", "lifecycle")  # type: ignore[arg-type]
            self._try(client, cell, trial_namespace(cluster))
        return told

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """It comes with its pod, on any cluster, whose nodes pull its images."""
        return self.install(cluster, client)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """Its set-up, its certificates, and the Service to which it delivers."""
        if self._own.certificates:
            core = k8s.CoreV1Api(client)
            for secret in secrets(cell, namespace):
                core.create_namespaced_secret(namespace, secret)
        for thing in self._setup(namespace):
            create_from_dict(client, thing, namespace=namespace)

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """The container in its place, with its init containers before it, and its volumes."""
        meshed = self._own.kind == "mesh"
        if role != "subject" and not (meshed and role == "peer"):
            return pod
        native = role != "subject" or cell.pattern == "native"
        namespace = str((pod.get("metadata") or {}).get("namespace") or cell.slug)
        own = self._own
        sidecar = self._container(own.container)
        before = [self._container(one) for one in own.init_containers]
        if own.redirection:
            before.append(rules_container(own.redirection, self._spared()))
        pod = place(pod, sidecar, native=native)
        spec = pod["spec"]
        if native:
            spec["initContainers"] = [*before, *spec["initContainers"]]
        elif before:
            spec["initContainers"] = [*(spec.get("initContainers") or ()), *before]
        spec["volumes"] = [*(spec.get("volumes") or ()), *self._volumes(role)]
        filled: Manifest = own.filled(pod, namespace, role)
        return filled

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """Read from the pod's spec."""
        return read_pattern(pod, self._own.container["name"])

    def facts(self, cell: Cell, namespace: str) -> Facts:
        own = self._own
        ports = dict(SINK_PORTS if own.kind == "log-shipper" else PORTS)
        if own.health:
            ports["health"] = own.health[0]
        http = own.quit.http
        return Facts(
            ports=ports,
            identities={role: identity(namespace, role) for role in ("subject", "peer")}
            if own.certificates
            else {},
            sidecar_drain_seconds=own.drain_seconds,
            quit_url=f"http://127.0.0.1:{http.port}{http.path}" if http else "",
            ready_path=own.health[1] if own.health else "/",
            gate=own.gate or "http",
            quit_signal=own.quit.signal or "TERM",
        )

    def quit_command(self) -> Sequence[str]:
        """What the file says (quit.exec); none where it quits otherwise."""
        return tuple(self._own.quit.exec or ())

    def _container(self, container: Manifest) -> Manifest:
        """As it is written. Its image is loaded into the node, where nothing is pulled."""
        made = {**copy.deepcopy(container), "imagePullPolicy": "IfNotPresent"}
        mounts = list(made.get("volumeMounts") or ())
        if self._own.logs and container is self._own.container:
            mounts.append({"name": LOGS, "mountPath": self._own.logs.mountPath, "readOnly": True})
        if self._own.certificates and container is self._own.container:
            mounts.append(
                {"name": _CERTIFICATES, "mountPath": self._own.certificates, "readOnly": True}
            )
        return {**made, "volumeMounts": mounts} if mounts else made

    def _volumes(self, role: str) -> list[Manifest]:
        volumes = copy.deepcopy(list(self._own.volumes))
        if self._own.certificates:
            secret = {"secretName": secret_name(role), "defaultMode": 0o444}
            volumes.append({"name": _CERTIFICATES, "secret": secret})
        return volumes

    def _setup(self, namespace: str) -> list[Manifest]:
        """What the file asks for; in a mesh, what names a role is there for both."""
        made: list[Manifest] = []
        for thing in self._own.setup:
            roles = ("subject", "peer") if self._own.kind == "mesh" else ("subject",)
            for role in roles:
                filled = self._own.filled(copy.deepcopy(thing), namespace, role)
                if filled not in made:
                    made.append(filled)
        logs = self._own.logs
        if logs and logs.deliversTo.service != "sink":
            made.append(_leads_to_the_sink(logs.deliversTo))
        return made

    def _spared(self) -> Sequence[int]:
        """Ports by which the kubelet comes, and which no mesh carries."""
        health = [self._own.health[0]] if self._own.health else []
        return [*health, PORTS["probe"]]

    def _try(self, client: Any, cell: Cell, namespace: str) -> None:
        """A dry run of a pod with the sidecar: what the API server refuses is said once, in its
        own words. Raises EnvironmentProblem."""
        app: Manifest = {
            "metadata": {"name": "tried", "namespace": namespace},
            "spec": {
                "containers": [{"name": "app", "image": "app"}],
                "volumes": [{"name": "evidence", "emptyDir": {}}, {"name": LOGS, "emptyDir": {}}],
            },
        }
        pod = manifests.place_images(self.inject(app, cell, "subject"), {})
        require_taken(client, pod, cell)


# Names of fixture images: a file may name one in place of an image ("app", "envoy").
FIXTURES = ("app", "envoy")


def _leads_to_the_sink(sink: own_file.Sink) -> Manifest:
    """The Service that the shipper knows, with the suite's sink behind it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": sink.service},
        "spec": {
            "publishNotReadyAddresses": True,
            "selector": {"app": "sink"},
            "ports": [{"name": "logs", "port": sink.port, "targetPort": SINK_PORTS["sink"]}],
        },
    }

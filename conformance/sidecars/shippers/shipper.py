"""What all log shippers have in common: a sidecar that reads a file of the app's and sends it on.

The app writes into a volume that both mount, the shipper read-only, as the source article has it.
Where it was in the file, and in some modes what it has not delivered yet, it keeps in a volume of
its own, which outlives a crash and dies with the pod. Its configuration is a ConfigMap.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client as k8s

from conformance.machine.paths import FIXTURES
from conformance.model import Cell
from conformance.sidecars.driver import Admitted, Facts, Manifest, place, read_pattern

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

CONFIG = "log-shipper"  # the ConfigMap, and its volume
CONFIG_FOLDER = "/etc/log-shipper"
LOGS, LOGS_FOLDER = "app-logs", "/var/log/app"
STATE, STATE_FOLDER = "shipper-state", "/var/lib/shipper"
BUSY = 10_000  # lines a second
# In mode lazy, in seconds: the app's postStart hook, and its drain.
HOOK = "2"
LAZY_DRAIN = "2"
ROLES_WITHOUT = ("peer", "sink")


class Shipper:
    """A driver of a log shipper, but for what tells one from the other.

    image: its official name. command: its program in the image. config: a file below fixtures/.
    health_port, health_path: of its health endpoint. more: variables of its own. deaf: those with
    which the health endpoint is as it comes: a probe does not reach it.
    """

    name: str
    image: str
    command: Sequence[str]
    config: str
    health_port: int
    health_path: str
    more: Mapping[str, str] = {}
    deaf: Mapping[str, str]

    def fixture_images(self) -> Sequence[str]:
        """The reference mesh, for the scenarios in which the sink is behind one."""
        return ("envoy",)

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:  # noqa: ARG002
        return {self.name: self.image.rpartition(":")[2]}

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """It comes with its pod, on any cluster."""
        return self.install(cluster, client)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """Its configuration."""
        text = yaml.safe_dump(self.settings(cell.mode), sort_keys=False)
        k8s.CoreV1Api(client).create_namespaced_config_map(
            namespace, {"metadata": {"name": CONFIG}, "data": {"config.yaml": text}}
        )

    def settings(self, mode: str) -> Manifest:
        """The configuration of a mode."""
        found: Manifest = yaml.safe_load((FIXTURES / self.config).read_text())
        self.adjust(found, mode)
        return found

    def adjust(self, settings: Manifest, mode: str) -> None:
        """Change the configuration as the mode asks for."""
        raise NotImplementedError

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """The shipper beside the app, with its volumes."""
        if role in ROLES_WITHOUT:
            return pod
        pod = place(pod, self.container(cell.mode), native=cell.pattern == "native")
        pod["spec"]["volumes"] += [
            {"name": CONFIG, "configMap": {"name": CONFIG}},
            {"name": STATE, "emptyDir": {}},
        ]
        for container in pod["spec"]["containers"]:
            if container["name"] == self.name:
                continue
            if cell.mode == "busy":
                set_variable(container, "SC_RATE", str(BUSY))
            if cell.mode == "lazy":
                # The kubelet starts the next container, a classic shipper, after the hook: so the
                # file is there when the shipper comes, whoever was quicker.
                container["lifecycle"] = {"postStart": {"exec": {"command": ["sleep", HOOK]}}}
                # All of the app's end fits between two looks at the file, on a busy machine too.
                set_variable(container, "SC_DRAIN_SECONDS", LAZY_DRAIN)
        return pod

    def arguments(self, mode: str) -> Sequence[str]:  # noqa: ARG002
        """Further arguments of its program, in a mode."""
        return ()

    def container(self, mode: str) -> Manifest:
        """The shipper's container, the same for both patterns."""
        environment = {
            "SC_HEALTH_HOST": "0.0.0.0",
            "SC_HEALTH_PORT": str(self.health_port),
            "SC_FLUSH_SECONDS": "0.2",
            **self.more,
        }
        return {
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": [*self.command, *self.arguments(mode)],
            "env": [{"name": key, "value": value} for key, value in environment.items()],
            "startupProbe": {
                "httpGet": {"path": self.health_path, "port": self.health_port},
                "periodSeconds": 1,
                "failureThreshold": 60,
            },
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
            "volumeMounts": [
                {"name": LOGS, "mountPath": LOGS_FOLDER, "readOnly": True},
                {"name": STATE, "mountPath": STATE_FOLDER},
                {"name": CONFIG, "mountPath": CONFIG_FOLDER, "readOnly": True},
            ],
        }

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:  # noqa: ARG002
        """Read from the pod's spec."""
        return read_pattern(pod, self.name)

    def facts(self, cell: Cell, namespace: str) -> Facts:  # noqa: ARG002
        return Facts(ports={"sink": 8080, "probe": 8081, "health": self.health_port})

    def quit_command(self) -> Sequence[str]:
        """None: the image holds the shipper and nothing else."""
        return ()


def set_variable(container: Manifest, name: str, value: str) -> None:
    """Set a variable of a container's environment, whatever it was before."""
    kept = [one for one in container.get("env") or () if one["name"] != name]
    container["env"] = [*kept, {"name": name, "value": value}]


def unheard(shipper: Shipper, pod: Manifest) -> Manifest:
    """A copy of the pod whose shipper's health endpoint is as it comes."""
    pod = copy.deepcopy(pod)
    for group in ("initContainers", "containers"):
        for container in pod["spec"].get(group) or ():
            if container["name"] == shipper.name:
                for name, value in shipper.deaf.items():
                    set_variable(container, name, value)
    return pod

"""A plain program as a sidecar: it has a life and a health endpoint, and carries nothing.

Where only the lifecycle matters it stands for every sidecar: the same start delay and drain as the
reference mesh, in both patterns, without packets to explain. What else it can do, a scenario asks
of it by its environment or its port (fixtures/app/sidecar.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from conformance.model import Cell
from conformance.sidecars.driver import Admitted, Facts, Manifest, place, read_pattern

if TYPE_CHECKING:
    from conformance.cluster.lifecycle import ClusterHandle

CONTAINER = "sidecar"
IMAGE = "app"  # a folder below fixtures/: the program is one of the app's
START_DELAY = 3.0  # seconds, as the reference mesh
DRAIN = 1.5  # seconds, as the reference mesh
HEALTH_PORT = 15021
PORTS = {"app": 8080, "probe": 8081, "health": HEALTH_PORT, "witness_mesh": 9000, "control": 9001}

_PYTHON = ("python3", "-I", "-S")


class Driver:
    """The plain sidecar. Only the pod under test gets one."""

    name = "fixture"
    live_path = "/healthz/live"

    def fixture_images(self) -> Sequence[str]:
        return (IMAGE,)

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:  # noqa: ARG002
        """Nothing to install, and no version but the suite's own."""
        return {}

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """It needs nothing in its namespace."""

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """The sidecar first among the init containers (native), or last of the containers."""
        if role != "subject":
            return pod
        return place(pod, container(role), native=cell.pattern == "native")

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:  # noqa: ARG002
        """Read from the pod's spec: where the container stands, and its restartPolicy."""
        return read_pattern(pod, CONTAINER)

    def facts(self, cell: Cell, namespace: str) -> Facts:  # noqa: ARG002
        return Facts(
            ports=PORTS,
            start_delay_seconds=START_DELAY,
            sidecar_drain_seconds=DRAIN,
            quit_url=f"http://127.0.0.1:{HEALTH_PORT}/quit",
        )

    def quit_command(self) -> Sequence[str]:
        """POST /quit to its port; the sidecar then ends with exit code 0."""
        return quit_command(HEALTH_PORT)

    def ail_command(self) -> Sequence[str]:
        """POST /unlive to its port."""
        return ask_command(HEALTH_PORT, "/unlive")


def quit_command(port: int) -> Sequence[str]:
    """A command that asks a plain sidecar to end at once, with exit code 0."""
    return ask_command(port, "/quit")


def ask_command(port: int, path: str) -> Sequence[str]:
    """A command that asks a plain sidecar for anything it can do (fixtures/app/sidecar.py)."""
    return (*_PYTHON, "/app/ask.py", str(port), path)


def container(
    role: str,
    name: str = CONTAINER,
    *,
    port: int = HEALTH_PORT,
    start_delay: float = START_DELAY,
    drain: float = DRAIN,
    **more: str,
) -> Manifest:
    """A plain sidecar's container, the same for both patterns.

    start_delay, drain: seconds. more: further variables of its environment. It wants the volume
    "evidence" in its pod.
    """
    environment = {
        "SC_STAMPS": f"/evidence/stamps/{role}.{name}.jsonl",
        "SC_HEALTH_PORT": str(port),
        "SC_START_DELAY": f"{start_delay:g}",
        "SC_DRAIN": f"{drain:g}",
        **more,
    }
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [*_PYTHON, "/app/sidecar.py"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "startupProbe": {
            "httpGet": {"path": "/healthz/ready", "port": port},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "evidence", "mountPath": "/evidence"}],
    }


def add(pod: Manifest, sidecar: Manifest, *, native: bool, at: int = 0) -> None:
    """Put one more plain sidecar into a pod, in place: at this place of its init containers
    (native), or last of its containers."""
    if native:
        pod["spec"].setdefault("initContainers", []).insert(
            at, {**sidecar, "restartPolicy": "Always"}
        )
    else:
        pod["spec"]["containers"].append(sidecar)

"""A toy: a sidecar that takes 3 s to be ready, with or without a startup probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.cluster.state import ClusterHandle
from conformance.model import Cell
from conformance.sidecars.driver import Admitted, Facts, Manifest, place, read_pattern

CONTAINER = "toy"
PORT = 15021
DELAY, DRAIN = 3.0, 1.5  # seconds


class Driver:
    """The toy. Its program and its image are those of the suite's plain sidecar."""

    name = "toy"

    def fixture_images(self) -> Sequence[str]:
        return ("app",)

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """Nothing to install; the version is for the report."""
        return {"toy": "1.0"}

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """It needs nothing in its namespace."""

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """Only the pod under test gets one."""
        if role != "subject":
            return pod
        return place(pod, container(role, cell.mode), native=cell.pattern == "native")

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        return read_pattern(pod, CONTAINER)

    def facts(self, cell: Cell, namespace: str) -> Facts:
        ports = {"app": 8080, "probe": 8081, "health": PORT, "witness_mesh": 9000, "control": 9001}
        return Facts(ports=ports, start_delay_seconds=DELAY, sidecar_drain_seconds=DRAIN)

    def quit_command(self) -> Sequence[str]:
        return ("python3", "-I", "-S", "/app/ask.py", str(PORT), "/quit")


def container(role: str, mode: str) -> Manifest:
    """The toy's container, the same for both patterns."""
    environment = {
        "SC_STAMPS": f"/evidence/stamps/{role}.{CONTAINER}.jsonl",
        "SC_HEALTH_PORT": str(PORT),
        "SC_START_DELAY": str(DELAY),
        "SC_DRAIN": str(DRAIN),
    }
    made: Manifest = {
        "name": CONTAINER,
        "image": "app",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-I", "-S", "/app/sidecar.py"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "startupProbe": {
            "httpGet": {"path": "/healthz/ready", "port": PORT},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "volumeMounts": [{"name": "evidence", "mountPath": "/evidence"}],
    }
    if mode == "unprobed":
        del made["startupProbe"]
    return made

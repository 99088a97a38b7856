"""The reference mesh: a vanilla Envoy beside the app, mutual TLS, redirection by iptables.

Three modes, after what people really run (fixtures/envoy): ``init-rules`` (transparent, rules set
by an init container), ``sidecar-rules`` (transparent, rules set by the sidecar when it starts and
removed when it goes), ``fallback`` (explicit proxy, and an app that falls back to plaintext).

The two patterns differ only in the container's place and its restartPolicy: the same image,
probe, start delay and drain, so the pattern makes the difference in the evidence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.evidence.envoy_log import LATE
from conformance.machine.paths import FIXTURES
from conformance.model import Cell
from conformance.sidecars import manifests
from conformance.sidecars.driver import Admitted, Facts, Manifest, place, read_pattern
from conformance.sidecars.envoy import requests
from conformance.sidecars.envoy.certificates import Authority, identity

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

CONTAINER = "envoy"
RULES_CONTAINER = "rules"
VALIDATION_CONTAINER = "validation"
IMAGE = "envoy"  # a folder below fixtures/
ROLES = ("subject", "peer")

PEER_MODE = "init-rules"
START_DELAY = 3.0  # seconds; longer than anything that could close the classic gap by chance
DRAIN = 1.5  # seconds; shorter than the app's drain (5) and than a slow request (3)
PEER_DRAIN = 5.0  # seconds; the peer's proxy outlives its app's last answer

ADMIN_PORT = 15000
HEALTH_PORT = 15021
PORTS = {"app": 8080, "probe": 8081, "health": HEALTH_PORT, "witness_mesh": 9000, "control": 9001}

_CERTIFICATES = "/etc/mesh"
_PYTHON = ("python3", "-I", "-S")


class Driver:
    """The reference mesh. It has no control plane: certificates and config come with the pod."""

    name = "envoy"
    live_path = "/healthz/ready"

    def fixture_images(self) -> Sequence[str]:
        return (IMAGE,)

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """Nothing to install; the version is the pinned one."""
        return {"envoy": envoy_version()}

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """It comes with its pod, on any cluster."""
        return self.install(cluster, client)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """An authority for this cell alone, and a secret with a certificate for each role."""
        core = k8s.CoreV1Api(client)
        for secret in secrets(cell, namespace):
            core.create_namespaced_secret(namespace, secret)

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """Place Envoy into a pod or pod template; see place."""
        peer = role != "subject"
        mode = PEER_MODE if peer else cell.mode
        sidecar = envoy_container(
            role,
            mode,
            start_delay=0 if peer else START_DELAY,
            drain=PEER_DRAIN if peer else DRAIN,
        )
        rules = rules_container(role, mode) if mode != "sidecar-rules" else None
        pod = place(pod, sidecar, rules, native=peer or cell.pattern == "native")
        spec = pod["spec"]
        spec.setdefault("volumes", []).append(
            {
                "name": "mesh",
                # Envoy reads the key as a user of its own.
                "secret": {"secretName": secret_name(role), "defaultMode": 0o444},
            }
        )
        if mode == "fallback":
            for container in spec["containers"]:
                if container["name"] != CONTAINER:
                    variable = {"name": "SC_EGRESS", "value": "proxy-fallback"}
                    container.setdefault("env", []).append(variable)
        return pod

    def for_ipv4_alone(self, pod: Manifest) -> None:
        """The container that sets the rules is told of one family."""
        rules = manifests.container_of(pod, RULES_CONTAINER)
        manifests.set_variable(rules, "SC_FAMILIES", "iptables")

    def by_cni(self, pod: Manifest, role: str, *, validated: bool) -> Manifest:
        """The same pod with what stands in the place of its rules: nothing, or the validation."""
        instead = [validation_container(role)] if validated else []
        spec = pod["spec"]
        found = [
            container
            for one in spec["initContainers"]
            for container in (instead if one["name"] == RULES_CONTAINER else [one])
        ]
        return {**pod, "spec": {**spec, "initContainers": found}}

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """Read from the pod's spec."""
        return read_pattern(pod, CONTAINER)

    def facts(self, cell: Cell, namespace: str) -> Facts:
        return Facts(
            ports=PORTS,
            identities={role: identity(namespace, role) for role in ROLES},
            start_delay_seconds=START_DELAY,
            sidecar_drain_seconds=DRAIN,
            proxy="envoy",
            proxy_answers={"late": LATE},
            quit_url=f"http://127.0.0.1:{ADMIN_PORT}/quitquitquit",
        )

    def quit_command(self) -> Sequence[str]:
        """POST /quitquitquit to the admin port; the sidecar then ends with exit code 0."""
        return _admin("/quitquitquit")

    def ail_command(self) -> Sequence[str]:
        """Close the gate of its health endpoint (fixtures/envoy/config.py, GATE)."""
        return _admin("/runtime_modify?sidecar.ready=0")

    def write_requests(self, bundle: Path) -> None:
        """From Envoy's access log, which is in the container's output."""
        requests.write(bundle, CONTAINER)


def _admin(path: str) -> Sequence[str]:
    """A command that POSTs to Envoy's admin port."""
    code = (
        "import http.client, sys; "
        f"admin = http.client.HTTPConnection('127.0.0.1', {ADMIN_PORT}, timeout=5); "
        f"admin.request('POST', '{path}'); "
        "answer = admin.getresponse(); "
        "print(answer.status); "
        "sys.exit(answer.status != 200)"
    )
    return (*_PYTHON, "-c", code)


def envoy_version() -> str:
    """The version that fixtures/envoy/fetch.toml pins."""
    wheels = tomllib.loads((FIXTURES / "envoy" / "fetch.toml").read_text())["wheel"]
    version: str = wheels[0]["requirement"].partition("==")[2]
    return version


def secret_name(role: str) -> str:
    """The secret with the role's certificate, in the cell's namespace."""
    return f"mesh-{role}"


def secrets(cell: Cell, namespace: str) -> Sequence[Manifest]:
    """A secret for each role, all certificates from one new authority."""
    authority = Authority(f"sidecar-conformance {cell.id}")
    made = []
    for role in ROLES:
        leaf = authority.issue(identity(namespace, role))
        content = {
            "ca.crt": authority.certificate,
            "tls.crt": leaf.certificate,
            "tls.key": leaf.key,
        }
        made.append(
            {
                "metadata": {"name": secret_name(role)},
                "stringData": {name: pem.decode() for name, pem in content.items()},
            }
        )
    return made


def envoy_container(role: str, mode: str, *, start_delay: float, drain: float) -> Manifest:
    """The sidecar's container, the same for both patterns. Delay and drain: seconds."""
    environment = {
        "SC_ROLE": role,
        "SC_MODE": mode,
        "SC_STAMPS": f"/evidence/stamps/{role}.{CONTAINER}.jsonl",
        "SC_START_DELAY": f"{start_delay:g}",
        "SC_DRAIN": f"{drain:g}",
    }
    container: Manifest = {
        "name": CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [*_PYTHON, "/sidecar/sidecar.py"],
        "env": _variables(environment),
        "startupProbe": {
            "httpGet": {"path": "/healthz/ready", "port": HEALTH_PORT},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "resources": {"requests": {"cpu": "40m", "memory": "64Mi"}},
        "volumeMounts": [
            {"name": "mesh", "mountPath": _CERTIFICATES, "readOnly": True},
            {"name": "evidence", "mountPath": "/evidence"},
        ],
    }
    if mode == "sidecar-rules":
        container["securityContext"] = _may_set_rules()
    return container


def rules_container(role: str, mode: str) -> Manifest:
    """The init container that sets the redirection, and ends."""
    made = _init_container(role, RULES_CONTAINER, "rules.py", "set")
    made["env"] += _variables({"SC_MODE": mode})
    return {**made, "securityContext": _may_set_rules()}


def validation_container(role: str) -> Manifest:
    """The init container that ends well only where the pod is redirected; it needs no rights."""
    made = _init_container(role, VALIDATION_CONTAINER, "validate.py")
    return {**made, "securityContext": {"capabilities": {"drop": ["ALL"]}}}


def _init_container(role: str, name: str, *program: str) -> Manifest:
    """An init container that runs one of the mesh's programs."""
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [*_PYTHON, f"/sidecar/{program[0]}", *program[1:]],
        "env": _variables({"SC_STAMPS": f"/evidence/stamps/{role}.{name}.jsonl"}),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "evidence", "mountPath": "/evidence"}],
    }


def _may_set_rules() -> Manifest:
    # NET_RAW as well: legacy iptables talks to the kernel through a raw socket.
    return {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}


def _variables(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in values.items()]

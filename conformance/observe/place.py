"""Where a cell is played: what a cluster of the run's own and one of others do not have in common.

On the suite's own clusters the node is a container of this machine's engine, and pods write their
stamps into a folder that it shares with the run. A cluster of others shares nothing: stamps come in
the containers' output, times are held to the node's clock, and the pods stand on one node.
"""

from __future__ import annotations

import copy
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol

from kubernetes import client as k8s
from kubernetes.utils import FailToCreateError, create_from_dict

from conformance.cluster.context import Context
from conformance.cluster.state import HOSTNAME, RUN_LABEL, ClusterHandle
from conformance.engine import client
from conformance.errors import Unobtainable
from conformance.machine import archives, process
from conformance.observe.node.agent import HOST, exec_command
from conformance.sidecars import dry_run, manifests
from conformance.sidecars.driver import Manifest

CELL_LABEL = {"sidecar-conformance": "cell"}
IN_OUTPUT = {"name": "SC_STAMPS_IN_OUTPUT", "value": "1"}
GATE = "capture-gate"
FAILED_CREATE = "FailedCreate"
"""A controller's event for a pod that it could not make; the API server's words are in it."""
_SHARED = "/evidence"
_FORBIDDEN = 403
# A controller's event (FailedCreate) of a pod that a policy keeps out: admission of the API server
# itself, and webhooks.
_KEPT_OUT = re.compile(r" is forbidden: |denied the request")
# What is forbidden as well, and is no policy: a quota of the scenario's own, an account that comes
# in a moment (Kubernetes: plugin/pkg/admission/serviceaccount).
_NO_POLICY = re.compile(r"exceeded quota|error looking up service account")
_BRING_WITHIN = 300  # seconds, for the captures of one cell
# A line of a hook's shell that writes a stamp (scenarios/stop/departing.py), and what it is where
# stamps go to the output: a hook has none, but the container's first process has.
_TO_FILE = '>>"$SC_STAMPS"'
_TO_OUTPUT = '| sed "s|^|SC-STAMP ${SC_STAMPS##*/} |" >/proc/1/fd/1'

Look = Callable[[], Any]
"""What a wait asks again and again."""


class Place(Protocol):
    """A cluster, as a stage uses it."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of every namespace."""
        ...

    @property
    def stamps_in_output(self) -> bool:
        """Whether programs write their stamps to their containers' output."""
        ...

    def fitted(self, document: Manifest) -> Manifest:
        """A document as it is sent to this cluster."""
        ...

    def send(self, client: Any, document: Manifest, namespace: str) -> None:
        """Create the object of a fitted document."""
        ...

    def refusing(self) -> AbstractContextManager[None]:
        """What the cluster's own rules refuse inside is nobody's failure: raises Unobtainable."""
        ...

    def minding(self, look: Look, events: Callable[[], Iterable[Manifest]]) -> Look:
        """A look that raises Unobtainable once the cluster's own rules have refused a controller
        a pod: what is waited for will not come."""
        ...

    def on_node(self, *command: str, what: str, node: str = "") -> str:
        """Run a command in a node, the first unless another is named; its output. Raises
        EnvironmentProblem."""
        ...

    def now_ns(self) -> int:
        """The time on the node's clock."""
        ...

    def outputs_of(self, node: str) -> Path | None:
        """The folder of what containers of a node write (its /var/log/pods), where it is seen."""
        ...

    def capture_ended(self, bundle: Path, pod: str) -> bool:
        """Whether the capture agent of a pod has written its last line, or never was there."""
        ...

    def collect(self, namespace: str, bundle: Path) -> None:
        """Bring into the bundle what was collected elsewhere, when all of its pods have gone."""
        ...

    def clear(self, client: Any, namespace: str) -> None:
        """Take a cell's namespace away, or what of it could still do something."""
        ...


class OwnCluster:
    """A cluster of the run's own."""

    labels: Mapping[str, str] = CELL_LABEL
    stamps_in_output = False

    def __init__(self, handle: ClusterHandle, context: Context) -> None:
        self._handle = handle
        self._context = context

    def fitted(self, document: Manifest) -> Manifest:
        return document

    def send(self, client: Any, document: Manifest, namespace: str) -> None:
        create_from_dict(client, document, namespace=namespace)

    def refusing(self) -> AbstractContextManager[None]:
        """It has no rules but those of the suite."""
        return nullcontext()

    def minding(self, look: Look, events: Callable[[], Iterable[Manifest]]) -> Look:  # noqa: ARG002
        return look

    def on_node(self, *command: str, what: str, node: str = "") -> str:
        engine = self._context.engine
        where = node or self._handle.node
        return client.in_node(engine, where, *command, what=what, timeout=60)

    def now_ns(self) -> int:
        return time.time_ns()

    def outputs_of(self, node: str) -> Path | None:
        folder = self._handle.outputs_of(node) if node in self._handle.nodes else None
        return folder if folder and folder.is_dir() else None

    def capture_ended(self, bundle: Path, pod: str) -> bool:
        diary = bundle / "capture" / pod / "agent.jsonl"
        return not diary.exists() or '"ended"' in diary.read_text()

    def collect(self, namespace: str, bundle: Path) -> None:
        """It is there: the node writes into the same folder."""

    def clear(self, client: Any, namespace: str) -> None:
        """A namespace whose pods nobody makes anew loses its pods and Services, and stays until
        the cluster goes: to take it away the controller manager asks some 80 times, of each kind of
        object twice, which costs more than what is left."""
        with suppress(k8s.ApiException):
            if not any(_holds_any(listing, namespace) for listing in _makers_of_pods(client)):
                core = k8s.CoreV1Api(client)
                core.delete_collection_namespaced_pod(namespace, grace_period_seconds=0)
                core.delete_collection_namespaced_service(namespace)
                return
        _delete(client, namespace)


class Elsewhere:
    """A cluster that the suite did not make, without anything of the suite's on its node."""

    stamps_in_output = True

    def __init__(self, handle: ClusterHandle) -> None:
        self._handle = handle
        self._ahead_ns = int(handle.clock_ns)
        self.labels: Mapping[str, str] = {**CELL_LABEL, RUN_LABEL: handle.label}

    def fitted(self, document: Manifest) -> Manifest:
        """No folder of the node's, stamps to the output, and every pod on the one node."""
        document = copy.deepcopy(document)
        spec = manifests.pod_of(document).get("spec") if "kind" in document else document["spec"]
        if not isinstance(spec, dict) or not _holds_containers(spec):
            return document
        for volume in spec.get("volumes") or ():
            if str(volume.get("hostPath", {}).get("path", "")).startswith(_SHARED):
                del volume["hostPath"]
                volume["emptyDir"] = {}
        for container in _containers(spec):
            environment = container.get("env") or []
            if any(one["name"] == "SC_STAMPS" for one in environment):
                container["env"] = [*environment, dict(IN_OUTPUT)]
            hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {})
            if "command" in hook:
                hook["command"] = [word.replace(_TO_FILE, _TO_OUTPUT) for word in hook["command"]]
        if "ephemeralContainers" not in spec:  # which are put into a pod that has its place
            spec.setdefault("nodeSelector", {})[HOSTNAME] = self._handle.hostname
        return document

    def send(self, client: Any, document: Manifest, namespace: str) -> None:
        with self.refusing():
            create_from_dict(client, document, namespace=namespace)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        try:
            yield
        except (FailToCreateError, k8s.ApiException) as failed:
            several = isinstance(failed, FailToCreateError)
            for error in failed.api_exceptions if several else [failed]:
                if error.status == _FORBIDDEN:
                    raise _kept_out(dry_run.said_by(error)) from failed
            raise

    def minding(self, look: Look, events: Callable[[], Iterable[Manifest]]) -> Look:
        def minded() -> Any:
            if said := next(filter(None, map(_policy_in, events())), ""):
                raise _kept_out(said)
            return look()

        return minded

    def on_node(self, *command: str, what: str, node: str = "") -> str:  # noqa: ARG002
        why = self._handle.lacking.get("node") or "nothing can be done on its node"
        raise Unobtainable(f"{what} needs the node: {why}.")

    def now_ns(self) -> int:
        return time.time_ns() + self._ahead_ns

    def outputs_of(self, node: str) -> Path | None:  # noqa: ARG002
        return None

    def capture_ended(self, bundle: Path, pod: str) -> bool:  # noqa: ARG002
        return True

    def collect(self, namespace: str, bundle: Path) -> None:
        """Nothing was collected."""

    def clear(self, client: Any, namespace: str) -> None:
        """Nothing stays on a cluster of others."""
        _delete(client, namespace)


class BesideAgent(Elsewhere):
    """The same, with the node agent of the suite's on its node."""

    def fitted(self, document: Manifest) -> Manifest:
        """With an init container before all others, where the runtime waits for no capture."""
        document = super().fitted(document)
        spec = manifests.pod_of(document).get("spec") if "kind" in document else document["spec"]
        if self._handle.gate and isinstance(spec, dict) and "containers" in spec:
            gate = {
                "name": GATE,
                "image": self._handle.gate,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-I", "-S", "/app/gate.py"],
                "securityContext": {"allowPrivilegeEscalation": False},
            }
            spec["initContainers"] = [gate, *(spec.get("initContainers") or ())]
        return document

    def on_node(self, *command: str, what: str, node: str = "") -> str:  # noqa: ARG002 - there is one
        return self._run(*HOST, *command, what=what)

    def capture_ended(self, bundle: Path, pod: str) -> bool:
        diary = f"{self._handle.namespace(bundle.name)}/capture/{pod}/agent.jsonl"
        asked = '[ ! -e "$1" ] || ! grep -q \'"added"\' "$1" || grep -c \'"ended"\' "$1"'
        said = self._run(
            "sh", "-c", f"cd /evidence; {asked} || true", "sh", diary, what="asking for a capture"
        )
        return said.strip() != "0"

    def collect(self, namespace: str, bundle: Path) -> None:
        """The captures of the cell's pods come as an archive, and are removed there."""
        script = 'cd "/evidence/$1" 2>/dev/null || exit 0; tar -cf - capture; rm -rf "/evidence/$1"'
        with tempfile.TemporaryFile() as archive:
            child = process.start(
                [*self._exec, "sh", "-c", script, "sh", namespace], stdout=archive
            )
            process.finish(child, timeout=_BRING_WITHIN)
            if not os.fstat(archive.fileno()).st_size:
                return  # no pod of it was captured
            archive.seek(0)
            with tarfile.open(fileobj=archive) as captures:
                archives.unpack(captures, bundle)

    @property
    def _exec(self) -> list[str | Path]:
        return exec_command(self._handle, self._handle.agent)

    def _run(self, *command: str, what: str) -> str:
        return process.run([*self._exec, *command], what=what, timeout=60)


def place_of(handle: ClusterHandle, context: Context) -> Place:
    """The place that a handle leads to."""
    if handle.agent:
        return BesideAgent(handle)
    return Elsewhere(handle) if handle.label else OwnCluster(handle, context)


def _policy_in(event: Manifest) -> str:
    """What a controller says of a pod that a policy keeps out; "" for any other event."""
    said = str(event.get("message"))
    kept_out = event.get("reason") == FAILED_CREATE and _KEPT_OUT.search(said)
    return said if kept_out and not _NO_POLICY.search(said) else ""


def _kept_out(said: str) -> Unobtainable:
    return Unobtainable(
        f"not verified on this cluster: it refuses a pod of the cell ({said[:300]})"
    )


def _makers_of_pods(client: Any) -> Iterator[Callable[..., Any]]:
    """Lists what would make pods anew."""
    apps, batch = k8s.AppsV1Api(client), k8s.BatchV1Api(client)
    yield apps.list_namespaced_replica_set
    yield apps.list_namespaced_deployment
    yield apps.list_namespaced_daemon_set
    yield apps.list_namespaced_stateful_set
    yield batch.list_namespaced_job
    yield batch.list_namespaced_cron_job
    yield k8s.CoreV1Api(client).list_namespaced_replication_controller


def _holds_any(listing: Callable[..., Any], namespace: str) -> bool:
    return bool(listing(namespace, resource_version="0").items)


def _delete(client: Any, namespace: str) -> None:
    with suppress(k8s.ApiException):
        k8s.CoreV1Api(client).delete_namespace(namespace, grace_period_seconds=0)


def _containers(spec: Manifest) -> Iterator[dict[str, Any]]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(group) or ()


def _holds_containers(spec: Manifest) -> bool:
    return "containers" in spec or "ephemeralContainers" in spec

"""One cell's stage: its namespace, its objects, its diary, and waiting with a reason.

Scenarios are written in terms of a stage. A stage records; it never judges.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client as k8s
from kubernetes.stream import stream

from conformance.cluster.context import Context
from conformance.cluster.kind import FAR
from conformance.cluster.state import HOSTNAME, ClusterHandle
from conformance.evidence.vocabulary import File, Step
from conformance.images import tools
from conformance.machine import process, waiting
from conformance.model import Cell
from conformance.observe import note, workloads
from conformance.observe.node import signals, wires
from conformance.observe.place import Place, place_of
from conformance.observe.pods import condition, role_of, running_id, summary
from conformance.observe.watch import Json, NamespaceWatch
from conformance.sidecars import manifests
from conformance.sidecars.driver import Driver, Facts, IntroducesWitness, Manifest, TunesPlane

_POLL = 0.05  # seconds between looks at what the watch has brought; no API call is made
APP_CONTAINER = "app"
WITNESS, DIALER = "witness", "dialer"  # pods outside the mesh


class Stuck(Exception):
    """A step did not come about within its deadline; the text says what was last seen."""


@dataclass
class Stage:
    """A namespace on a cluster, and everything that happens in it."""

    cell: Cell
    handle: ClusterHandle
    client: k8s.ApiClient
    driver: Driver
    facts: Facts
    namespace: str
    nonce: str
    bundle: Path
    images: Mapping[str, str]
    context: Context
    place: Place = field(init=False)
    watch: NamespaceWatch = field(init=False)
    afterwards: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    # Ids of containers outside of the namespace whose runtime events are wanted, too.
    outside: set[str] = field(default_factory=set)
    # What was read of a file of stamps: the bytes, and the lines.
    _read: dict[str, tuple[int, list[Json]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.core = k8s.CoreV1Api(self.client)
        self.batch = k8s.BatchV1Api(self.client)
        self.place = place_of(self.handle, self.context)
        self.watch = NamespaceWatch(
            self.client, self.namespace, self.bundle, role_of, self.facts.undated, self.place
        )

    @property
    def take_away(self) -> str:
        """What the user took away to see the judges notice ("" for nothing)."""
        return self.context.take_away

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """The namespace exists inside the block, is watched, and is cleared after it, when what a
        scenario left to be done afterwards is done, too."""
        for folder in ("stamps", "capture"):
            path = self.bundle / folder
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)  # hostPath folders: the writers run as other users
        if self.take_away == "beacon":
            (self.bundle / "beacon.off").write_text("*\n")
        if self.handle.workers:
            wires.start(self.context.engine, self.handle.nodes, self.namespace)
            self.afterwards.callback(self._unwatch_wires)
        self.core.create_namespace(
            {"metadata": {"name": self.namespace, "labels": dict(self.place.labels)}}
        )
        plane = contextlib.ExitStack()
        try:
            self._await_service_account()
            self.watch.start()
            if isinstance(self.driver, TunesPlane) and not self.handle.label:  # plan/elsewhere.py
                plane.enter_context(self.driver.tuned(self.handle, self.client, self.cell))
            self.driver.prepare(self.cell, self.namespace, self.client)
            yield
        finally:
            self.watch.stop()
            self.place.clear(self.client, self.namespace)
            with contextlib.suppress(k8s.ApiException):
                self.afterwards.close()
            plane.close()

    def strike(self) -> None:
        """End every pod and wait for its network namespace to go: nobody writes to the bundle
        from here on. Raises Stuck."""
        self.core.delete_collection_namespaced_pod(self.namespace, grace_period_seconds=0)
        names = [pod["metadata"]["name"] for pod in self.watch.all("Pod")]
        self.wait(
            "the end of the cell's other pods",
            lambda: all(self.capture_ended(name) for name in names),
            seconds=60,
            seen=lambda: ", ".join(name for name in names if not self.capture_ended(name)),
        )
        self._unwatch_wires()

    def _unwatch_wires(self) -> None:
        if self.handle.workers:
            wires.stop(self.context.engine, self.handle.nodes, self.namespace)

    @property
    def far(self) -> str:
        """A node beside the one on which pods are by themselves; "" where there is none."""
        return next(iter(self.handle.workers), "")

    def go_far(self, document: Manifest) -> None:
        """Have a pod be on the far node, where there is one."""
        if self.far:
            spec = manifests.pod_of(document)["spec"]
            spec["nodeSelector"] = {HOSTNAME: self.far}
            spec["tolerations"] = [*spec.get("tolerations", ()), {"key": FAR, "operator": "Exists"}]

    def node_of(self, pod: str) -> str:
        """The node of a pod; the first one while it has none."""
        found = (self.watch.newest("Pod", pod) or {}).get("spec", {}).get("nodeName")
        return str(found or self.handle.node)

    def step(self, name: str, **more: Any) -> int:
        """Write a line into the diary; returns its time in ns."""
        now = self.place.now_ns()
        with (self.bundle / File.STEPS).open("a") as diary:
            diary.write(json.dumps({"ns": now, "step": name, **more}) + "\n")
        return now

    @contextlib.contextmanager
    def going_on(self, told: Step = Step.STUCK) -> Iterator[None]:
        """What gets stuck inside the block is told in the diary, and ends the block alone: what was
        seen until then may still be judged, and what follows is done all the same. told: the step
        that says so, where waiting in vain is what the scenario is about."""
        try:
            yield
        except Stuck as stuck:
            self.step(told, why=str(stuck))

    def diary(self) -> list[Json]:
        """The steps so far."""
        return [json.loads(line) for line in (self.bundle / File.STEPS).open()]

    def without_capture(self, *pods: str) -> None:
        """No pod from now on is captured, or none of these: for what is judged without packets."""
        with (self.bundle / "capture.off").open("a") as names:
            names.write("".join(f"{one}\n" for one in pods or "*"))

    def documents(self, name: str) -> Sequence[Manifest]:
        """The documents of one manifest of this cell's scenario, without a sidecar."""
        return workloads.load(
            self.cell.scenario,
            name,
            namespace=self.namespace,
            nonce=self.nonce,
            images=self.images,
        )

    def create(
        self, name: str, role: str = "", *, alter: Callable[[Manifest], None] | None = None
    ) -> None:
        """Create the objects of a manifest; with a role, the sidecar is placed into them.

        alter: changes a document at the last moment, sidecar included (see sidecar_in).
        """
        naked = self.take_away == "sidecar" and role == "subject"
        for document in self.documents(name):
            if role and not naked:
                document = manifests.with_sidecar(document, self.driver, self.cell, role)
            if alter and not naked:
                alter(document)
            self.place.send(self.client, self.fitted(document), self.namespace)
        note.tell(self, DIALER, role)

    def fitted(self, document: Manifest) -> Manifest:
        """A document with its images, as it is sent to this cluster."""
        return self.place.fitted(manifests.place_images(document, self.images))

    def create_pod(self, pod: Manifest, *, dry_run: bool = False) -> Json:
        """Create a pod, or ask what would become of it; the pod as it was admitted. Not through the
        client's own types: they would drop a field that they do not know."""
        how = {"dry_run": "All"} if dry_run else {}
        pod = self.place.fitted(pod)
        answer = self.core.create_namespaced_pod(self.namespace, pod, **how, _preload_content=False)
        found: Json = json.loads(answer.data)
        return found

    def sidecar_in(self, document: Manifest) -> Manifest:
        """The sidecar's container in a document that is not sent yet (what gives "spec" only)."""
        pod = manifests.pod_of(document)
        (name,) = self.driver.admitted(pod, self.cell).sidecars
        return manifests.container_of(pod, name)

    def surround(self, *pods: str) -> None:
        """Create the Services and the pods around the pod under test, and await them all. They are
        on another node than that, where there is another one. Nobody captures those outside the
        mesh: they are believed by what they write down."""
        self.create("services")
        if outside := {WITNESS, DIALER} & set(pods):
            self.without_capture(*outside)
        for pod in pods:
            self.create(pod, role=pod if pod == "peer" else "", alter=self._told)
        for pod in pods:
            self.await_ready(pod)
        if WITNESS in pods and isinstance(self.driver, IntroducesWitness):
            ips = (self.watch.newest("Pod", WITNESS) or {})["status"]["podIPs"]
            self.driver.introduce_witness(self.namespace, self.client, [one["ip"] for one in ips])

    def _told(self, document: Manifest) -> None:
        """Say where a pod around the pod under test is to be, and tell the dialer which name a TLS
        hello must have, where the sidecar wants one."""
        self.go_far(document)
        if document["metadata"]["name"] == DIALER and self.facts.server_name:
            (container,) = document["spec"]["containers"]
            manifests.set_variable(container, "SC_SERVER_NAME", self.facts.server_name)

    def wait(
        self,
        what: str,
        until: Callable[[], Any],
        *,
        seconds: float,
        seen: Callable[[], str],
        every: float = _POLL,
    ) -> Any:
        """Wait until ``until``, asked ``every`` so many seconds, returns something true; return it.

        Raises Stuck: "<what> did not come within … s; last seen: <seen()>", Unobtainable (minding).
        """
        look = self.place.minding(until, lambda: self.watch.all("Event"))
        try:
            return waiting.until(what, look, seconds=seconds, every=every, seen=seen)
        except waiting.NotInTime as late:
            raise Stuck(str(late)) from None

    def await_ready(self, pod: str, *, seconds: float = 90) -> Json:
        """Wait for a pod's Ready condition."""

        def ready() -> Json | None:
            found = self.watch.newest("Pod", pod)
            return found if found and condition(found, "Ready") else None

        found: Json = self.wait(
            f"pod {pod} Ready", ready, seconds=seconds, seen=lambda: self.describe(pod)
        )
        return found

    def describe(self, pod: str) -> str:
        """A pod's state in a few words."""
        found = self.watch.newest("Pod", pod)
        return summary(found) if found else f"no pod {pod}"

    def stamps(self, name: str) -> list[Json]:
        """The lines that a fixture program has written so far (a half line at the end is left).

        Each is read once: who waits for something asks many times a second.
        """
        path = self.bundle / "stamps" / f"{name}.jsonl"
        done, known = self._read.get(name, (0, []))
        if path.exists():
            with path.open("rb") as source:
                source.seek(done)
                *whole, half = source.read().split(b"\n")
                done = source.tell() - len(half)
            known += [json.loads(line) for line in whole]
            self._read[name] = done, known
        return list(known)

    def give(self, name: str) -> None:
        """Put a file into the bundle that a fixture waits for (SC_WAITS_FOR, SC_NEEDS)."""
        (self.bundle / name).touch()

    def containers(self, pod: str) -> Mapping[str, Json]:
        """The newest status of each container of a pod, init containers included, by name."""
        status = (self.watch.newest("Pod", pod) or {}).get("status", {})
        groups = ("initContainerStatuses", "containerStatuses")
        return {one["name"]: one for group in groups for one in status.get(group) or ()}

    def kubectl(self, *arguments: str, seconds: float = 60) -> str:
        """Run kubectl in the cell's namespace; its output, which commands.jsonl keeps too."""
        began = self.place.now_ns()
        child = process.start(
            self.kubectl_command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = (text.decode(errors="replace") for text in child.communicate(timeout=seconds))
        record = {
            "ns": self.place.now_ns(),
            "began_ns": began,
            "command": f"kubectl {shlex.join(arguments)}",
            "code": process.finish(child),
            "out": out,
            "err": err,
        }
        with (self.bundle / File.COMMANDS).open("a") as sink:
            sink.write(json.dumps(record) + "\n")
        return out

    def kubectl_command(self, *arguments: str) -> Sequence[str]:
        """The command line of a kubectl in the cell's namespace."""
        where = ["--kubeconfig", str(self.handle.kubeconfig), "-n", self.namespace]
        return [str(_kubectl()), *where, *arguments]

    def capture_ended(self, pod: str) -> bool:
        """Whether the capture agent of a pod has written its last line, or never was there."""
        return self.place.capture_ended(self.bundle, pod)

    def on_node(self, *command: str, what: str, node: str = "") -> str:
        """Run a command in a node, the cluster's first unless another one is named; its output.
        Raises EnvironmentProblem."""
        return self.place.on_node(*command, what=what, node=node)

    def signal(self, pod: str, container: str, name: str, program: str = "") -> str:
        """Send a signal ("KILL") to a running container from the node, because its first process
        ignores a SIGKILL from inside; or to that one's child of a name ("envoy").

        Returns the container's id. Raises Stuck.
        """
        ident = running_id(self.watch.newest("Pod", pod) or {}, container)
        if not ident:
            raise Stuck(f"{container} of {pod} does not run: {self.describe(pod)}")
        what = f"sending SIG{name} to {program or container}"
        command = signals.command(ident, name, program)
        self.on_node(*command, what=what, node=self.node_of(pod))
        return ident

    def quit(self, pod: str, container: str) -> str:
        """Tell a sidecar to end by itself; its answer. One whose image has no program to ask it
        with gets a signal from the node, which the kubelet knows nothing of."""
        command = self.driver.quit_command()
        if command:
            return self.execute(pod, container, command)
        return f"{self.facts.quit_signal} to {self.signal(pod, container, self.facts.quit_signal)}"

    def sidecars(self, pod: str) -> tuple[str, ...]:
        """The sidecar's containers in an admitted pod."""
        found = self.watch.newest("Pod", pod)
        return self.driver.admitted(found, self.cell).sidecars if found else ()

    def execute(self, pod: str, container: str, command: Sequence[str]) -> str:
        """Run a command in a container; its output."""
        return str(
            stream(
                # A client of its own: stream() changes the client's request function.
                k8s.CoreV1Api(
                    k8s.ApiClient(self.client.configuration)
                ).connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                container=container,
                command=list(command),
                stderr=True,
                stdout=True,
                stdin=False,
                tty=False,
            )
        )

    def _await_service_account(self) -> None:
        def there() -> bool:
            try:
                self.core.read_namespaced_service_account("default", self.namespace)
            except k8s.ApiException as error:
                if error.status != 404:
                    raise
                return False
            return True

        self.wait(
            f"the service account of namespace {self.namespace}",
            there,
            seconds=60,
            seen=lambda: "no service account named default",
        )


@cache
def _kubectl() -> Path:
    return tools.kubectl()

"""The node agent on a cluster of others, as the run's controlling process sees it.

A DaemonSet of one pod in the run's own namespace (fixtures/own-cluster/agent.yaml). What the node's
runtime, journal and interfaces show comes as the output of commands that are run in it through the
API server, into the same files as from a node of the suite's own (collectors).
"""

from __future__ import annotations

import copy
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client as k8s

from conformance.cluster.state import ClusterHandle, base_namespace, run_name
from conformance.errors import EnvironmentProblem
from conformance.evidence.vocabulary import File
from conformance.images import tools
from conformance.machine import process, waiting
from conformance.machine.paths import FIXTURES
from conformance.machine.progress import board
from conformance.observe.node.extract import NODE_FOLDER, last_words, note_death, size
from conformance.observe.node.journal import FIELDS

MANIFEST = FIXTURES / "own-cluster" / "agent.yaml"
HOST = ("nsenter", "-t", "1", "-m", "-u", "-i", "-n", "-p", "--")
"""Before a command: run it in the node's own namespaces, with the node's programs."""
_COMES_WITHIN = 120.0  # seconds; its image may have to be pulled
_COLLECTS_WITHIN = 30.0


@dataclass(frozen=True)
class _Stream:
    """A command whose output is a file of evidence. sees: whether it is at work by now."""

    name: str
    what: str
    file: str
    command: Sequence[str]
    sees: Callable[[], bool]


class NodeAgent:
    """One run's agent. pod: its name, once it runs. weaker: why no capture is sure to begin before
    its pod's first container; "" where the runtime waits for it."""

    def __init__(self, handle: ClusterHandle, client: Any, subnets: Sequence[str]) -> None:
        self._handle = handle
        self._core = k8s.CoreV1Api(client)
        self._apps = k8s.AppsV1Api(client)
        self._namespace = base_namespace(handle.label)
        self._folder = handle.evidence / NODE_FOLDER
        self._subnets = subnets
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="agent", daemon=True)
        self._trouble: list[str] = []
        self.pod = ""
        self.weaker = ""

    def start(self, image: str, addresses: Sequence[str]) -> str:
        """Bring it up; "" when it collects, else why the cluster does not let it."""
        values = {
            "NODE": self._handle.hostname,
            "PREFIX": run_name(self._handle.label, ""),
            "ADDRESSES": " ".join(addresses),
            "observer": image,
        }
        document = _filled(yaml.safe_load(MANIFEST.read_text()), values)
        if refusal := self._refusal(document):
            return refusal
        try:
            with board.phase(f"bringing the node agent to {self._handle.node}"):
                self._apps.create_namespaced_daemon_set(self._namespace, document)
                self._await_pod()
                self._folder.mkdir(parents=True, exist_ok=True)
                for stream in self._streams():
                    self._begin(stream)
        except (EnvironmentProblem, k8s.ApiException) as problem:
            self.stop()
            return f"the node agent does not collect: {problem}"
        self._watching.start()
        return ""

    def check(self) -> list[str]:
        """One sentence for each stream that has broken so far."""
        return list(self._trouble)

    def stop(self) -> None:
        """End the streams; the pod goes with the run's namespace. Idempotent."""
        self._over.set()
        while self._children:
            _, child = self._children.popitem()
            process.stop(child, sig=signal.SIGINT, grace=1)

    def _refusal(self, document: Mapping[str, Any]) -> str:
        """Why a pod like the agent's is not admitted; asked by a dry run."""
        pod = copy.deepcopy(document["spec"]["template"])
        pod["metadata"]["name"] = "node-agent"
        try:
            self._core.create_namespaced_pod(self._namespace, pod, dry_run="All")
        except k8s.ApiException as error:
            said = json.loads(error.body or "{}").get("message") or str(error.reason)
            return f"a privileged pod is refused ({said[:160]})"
        return ""

    def _await_pod(self) -> None:
        def runs() -> bool:
            pods = self._core.list_namespaced_pod(self._namespace, label_selector="app=node-agent")
            for pod in pods.items:
                if pod.status.phase == "Running":
                    self.pod = pod.metadata.name
            return bool(self.pod)

        waiting.until("the node agent's pod", runs, seconds=_COMES_WITHIN, every=0.5)

        def told() -> bool:
            said = self._core.read_namespaced_pod_log(self.pod, self._namespace)
            events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
            last = next((one for one in reversed(events) if one["event"] in _TOLD), None)
            if last is not None and last["event"] != "registered":
                self.weaker = str(last["why"])
            return last is not None

        waiting.until(
            "the runtime's answer to the node agent", told, seconds=_COLLECTS_WITHIN, every=0.5
        )

    def _streams(self) -> Sequence[_Stream]:
        journal = ("journalctl", "-b", "-f", "-n", "1", "-o", "json", FIELDS)
        found = [
            _Stream(
                "runtime",
                "containerd's event stream",
                File.RUNTIME,
                [*HOST, "ctr", "-n", "k8s.io", "events"],
                self._provoked,
            ),
            _Stream(
                "journal",
                "the journal",
                "journal.log",
                [*HOST, *journal, "-u", "containerd", "-u", "kubelet"],
                lambda: size(self._folder / "journal.log") > 0,
            ),
            _Stream(
                "clock",
                "the clock",
                File.CLOCK,
                ["python3", "-B", "-E", "-s", "-S", "/opt/observer/clock.py"],
                lambda: size(self._folder / File.CLOCK) > 0,
            ),
        ]
        if self._subnets:  # without them it would capture its own way to the run
            nets = [f"net {subnet}" for subnet in self._subnets]
            found.append(
                _Stream(
                    "capture",
                    "the node-wide capture",
                    f"node.{int(time.time())}.pcap",
                    [
                        *("tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-n", "-U", "-Z", "root"),
                        *("-s", "0", "-B", "32768", "--time-stamp-precision=nano", "-w", "-"),
                        " or ".join([*nets, "ether proto 0x88b5"]),
                    ],
                    lambda: "listening on" in last_words(self._folder, "capture"),
                )
            )
        return found

    def _begin(self, stream: _Stream) -> None:
        with (
            (self._folder / stream.file).open("ab") as output,
            (self._folder / f"{stream.name}.err").open("ab") as complaints,
        ):
            child = process.start(
                [*self._exec(), *stream.command], stdout=output, stderr=complaints
            )
        self._children[stream.name] = child

        def settled() -> str:
            if child.poll() is not None:
                return f"ended with {child.returncode}"
            return "collects" if stream.sees() else ""

        how = waiting.until(stream.what, settled, seconds=_COLLECTS_WITHIN, every=0.3)
        if how != "collects":
            raise EnvironmentProblem(
                f"{stream.what} of node {self._handle.node} {how}: it said "
                f"{last_words(self._folder, stream.name) or 'nothing'}"
            )

    def _exec(self) -> list[str | Path]:
        return exec_command(self._handle, f"{self._namespace}/{self.pod}")

    def _provoked(self) -> bool:
        """An exec is an event of containerd's: make one, and look whether any came."""
        process.run([*self._exec(), "true"], what="asking the node agent for nothing", timeout=20)
        return size(self._folder / File.RUNTIME) > 0

    def _watch(self) -> None:
        """A stream that ends is told of once, to the workers by a file."""
        known = dict(self._children)
        while not self._over.wait(1.0):
            for name, child in list(known.items()):
                if child.poll() is None or self._over.is_set():
                    continue
                del known[name]
                words = (
                    f"the node agent's {name} ended: {last_words(self._folder, name) or 'no word'}"
                )
                self._trouble.append(words)
                note_death(self._folder, words)


_TOLD = ("registered", "unregistered", "follows", "unfollowed")


def exec_command(handle: ClusterHandle, agent: str) -> list[str | Path]:
    """The command line before a command that is to run in the agent's container."""
    namespace, _, pod = agent.partition("/")
    where: list[str | Path] = ["--kubeconfig", handle.kubeconfig, "-n", namespace]
    return [tools.kubectl(), *where, "exec", pod, "-c", "agent", "--"]


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return values.get(value, value) if isinstance(value, str) else value

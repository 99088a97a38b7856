"""Follows a namespace: every version of its pods and Jobs (and of what else a scenario names),
every Event, and the output of every container.

What arrives is written down as it arrives, with the time of receipt; the newest version of each
object is kept for those who wait.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from kubernetes import client as k8s
from urllib3.exceptions import HTTPError

from conformance.evidence.vocabulary import File
from conformance.machine import waiting
from conformance.observe.output import Follower, Output, file_of

Json = dict[str, Any]
MARK = b"SC-STAMP "
"""What a stamp in a container's output begins with (fixtures/app/stamps.py)."""
# Where a pod's status tells of its containers.
STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


class Receiving(Protocol):
    """What a watch must know of the cluster (place.Place)."""

    @property
    def stamps_in_output(self) -> bool: ...

    def now_ns(self) -> int: ...

    def outputs_of(self, node: str) -> Path | None: ...


class NamespaceWatch:
    """Watches the Pods, Jobs and Events of one namespace from now on, and follows container output.

    role_of: the role under which a pod's output is filed. undated: the containers whose output
    does not say when; the kubelet does, at the beginning of each line. place: whose clock it is,
    and whether containers write their stamps among their output: they are filed as stamps then.
    """

    def __init__(
        self,
        client: k8s.ApiClient,
        namespace: str,
        bundle: Path,
        role_of: Callable[[Json], str],
        undated: Sequence[str] = (),
        place: Receiving | None = None,
    ) -> None:
        self._place = place
        self._now = place.now_ns if place else time.time_ns
        self._stamps = bundle / "stamps" if place and place.stamps_in_output else None
        self._core = k8s.CoreV1Api(client)
        self._batch = k8s.BatchV1Api(client)
        self._namespace = namespace
        self._logs = bundle / "logs"
        self._role_of = role_of
        self._undated = undated
        self._sink: IO[str] = (bundle / File.WATCH).open("a")
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, str], Json] = {}
        self._gone: set[tuple[str, str]] = set()
        self._followed: set[str] = set()
        self._follower = Follower()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._responses: set[Any] = set()
        self.trouble: list[str] = []

    def start(self) -> None:
        self._logs.mkdir(exist_ok=True)
        self._spawn(self._watch, "Pod", self._core.list_namespaced_pod)
        self._spawn(self._watch, "Job", self._batch.list_namespaced_job)
        self._spawn(self._watch, "Event", self._core.list_namespaced_event)

    def also(self, kind: str, listing: Callable[..., Any]) -> None:
        """Watch another kind of object from now on. listing: the client's list_namespaced_…."""
        self._spawn(self._watch, kind, listing)

    def stop(self) -> None:
        """End all streams. Those of containers that have ended get a second to end by themselves,
        so that their last output is read; those of running containers are cut."""
        self._stopping.set()
        self._follower.stop()
        self.trouble += self._follower.trouble
        patience = time.monotonic() + 1
        for thread in self._threads:
            if thread.name.startswith("logs"):
                thread.join(max(0.0, patience - time.monotonic()))
        with self._lock:
            still_open = list(self._responses)
        for response in still_open:
            with contextlib.suppress(Exception):
                response.shutdown()
        for thread in self._threads:
            thread.join(5)
        self._sink.close()

    def catch_up(self) -> None:
        """Have what containers wrote until now in the bundle, where their nodes' files are seen."""
        self._follower.catch_up()

    def newest(self, kind: str, name: str) -> Json | None:
        """The newest version seen, also of an object that is gone; None when never seen."""
        with self._lock:
            return self._newest.get((kind, name))

    def all(self, kind: str) -> list[Json]:
        """The newest version of every object of a kind, gone ones included."""
        with self._lock:
            return [value for (known, _), value in self._newest.items() if known == kind]

    def gone(self, kind: str, name: str) -> bool:
        """Whether the object was seen and then deleted."""
        with self._lock:
            return (kind, name) in self._gone

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(
            target=target, args=args, name=f"{target.__name__.strip('_')}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _watch(self, kind: str, listing: Callable[..., Any]) -> None:
        version = "0"
        while not self._stopping.is_set():
            try:
                lines = self._lines(listing, self._namespace, watch=True, resource_version=version)
                for line in lines:
                    version = self._received(kind, json.loads(line)) or version
            except (HTTPError, OSError, k8s.ApiException, ValueError) as error:
                if self._stopping.is_set():
                    return
                self.trouble.append(f"the watch of {kind}s broke and was opened anew: {error}")
                version = "0"
                self._stopping.wait(0.2)

    def _received(self, kind: str, event: Json) -> str:
        now = self._now()
        if event["type"] == "ERROR":
            raise ValueError(str(event["object"].get("message")))
        event_object: Json = event["object"]
        event_object.get("metadata", {}).pop("managedFields", None)
        name = event_object["metadata"]["name"]
        record = {"ns": now, "type": event["type"], "kind": kind, "object": event_object}
        with self._lock:
            self._sink.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._sink.flush()
            self._newest[kind, name] = event_object
            if event["type"] == "DELETED":
                self._gone.add((kind, name))
        if kind == "Pod":
            self._follow_output(event_object)
        return str(event_object["metadata"].get("resourceVersion", ""))

    def _follow_output(self, pod: Json) -> None:
        status = pod.get("status", {})
        for group in STATUSES:
            for container in status.get(group) or ():
                state = container.get("state", {})
                ident = container.get("containerID")
                if ident and "waiting" not in state and ident not in self._followed:
                    self._followed.add(ident)
                    if not self._follow_on_node(pod, container):
                        self._spawn(self._logs_of, pod, container["name"])

    def _follow_on_node(self, pod: Json, container: Json) -> bool:
        """Whether the node's own file of the output is seen, and followed."""
        node = pod["spec"].get("nodeName", "")
        folder = self._place.outputs_of(node) if self._place else None
        if folder is None:
            return False
        target = self._target(pod, container["name"])
        dated = container["name"] in self._undated
        try:
            self._follower.follow(Output(file_of(folder, pod, container), target, dated=dated))
        except OSError:  # it has been removed, or is not for this user
            return False
        return True

    def _target(self, pod: Json, container: str) -> Path:
        return self._logs / f"{self._role_of(pod)}.{container}.log"

    def _logs_of(self, pod: Json, container: str) -> None:
        target = self._target(pod, container)

        def opened() -> Iterator[bytes]:
            return self._lines(
                self._core.read_namespaced_pod_log,
                pod["metadata"]["name"],
                self._namespace,
                container=container,
                follow=True,
                timestamps=container in self._undated,
            )

        try:
            with target.open("ab") as sink:
                # The kubelet may not know the container yet for a moment.
                for line in waiting.until(
                    "the stream", opened, seconds=5, every=0.1, forgive=k8s.ApiException
                ):
                    if self._stamps is None or not line.startswith(MARK):
                        sink.write(line)
                        sink.flush()
                    elif line.endswith(b"\n"):
                        self._file_stamp(self._stamps, line)
        except (HTTPError, OSError, waiting.NotInTime, k8s.ApiException) as error:
            if not self._stopping.is_set():
                self.trouble.append(f"the output of {target.stem} could not be followed: {error}")

    @staticmethod
    def _file_stamp(folder: Path, line: bytes) -> None:
        """A stamp goes to the file that it names: one write, so that readers see whole lines."""
        name, _, stamp = line.removeprefix(MARK).partition(b" ")
        with (folder / Path(name.decode()).name).open("ab", buffering=0) as file:
            file.write(stamp)

    def _lines(self, call: Callable[..., Any], *args: Any, **named: Any) -> Iterator[bytes]:
        response = call(*args, **named, _preload_content=False)
        return self._read(response)

    def _read(self, response: Any) -> Iterator[bytes]:
        with self._lock:
            self._responses.add(response)
        try:
            rest = b""
            for chunk in response.stream(65536, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line + b"\n" for line in lines if line)
            if rest:
                yield rest
        finally:
            with self._lock:
                self._responses.discard(response)
            response.close()

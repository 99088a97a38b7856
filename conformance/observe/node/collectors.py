"""The collectors of a whole node: runtime events, the journal, all pods' packets, the clock.

They run from before the first cell until after the last one, belong to the run's controlling
process, and write into `<evidence>/.node/`; each cell's part is taken out by `extract`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.engine import client
from conformance.engine.client import Engine
from conformance.errors import EnvironmentProblem
from conformance.evidence.vocabulary import File
from conformance.machine import process, waiting
from conformance.observe.node.clock import ClockStep, clock_steps, read_clock
from conformance.observe.node.extract import (
    NAME,
    extract,
    folder_of,
    last_words,
    note_death,
    size,
    sizes,
)
from conformance.observe.node.journal import FIELDS

__all__ = ["ClockStep", "NodeCollectors", "clock_steps", "extract", "sizes"]

CHUNK_SECONDS = 60  # the node-wide capture is a row of files, so that a cell reads only its own
TEND_EVERY_SECONDS = 1.0
_START_SECONDS = 20.0
TAKE_UP_SECONDS = 30.0  # patience with a service that a collector listens to, and that restarts
CHUNKS_BYTES = 2 << 30  # what all of them may take; the oldest go first

# In the node. The process that takes the place of this shell keeps the lock on descriptor 9, so
# that the number in the lock file is known to be its own for as long as the lock is held.
_RUN = """
umask 0
cd "/evidence/$1" || exit 1
mkdir -p /run/sidecar-capture && exec 8<"/evidence/$1" 9>>"/run/sidecar-capture/node.$2"
flock -n 9 || { echo "another $2 is running in this node" >&2; exit 1; }
echo $$ >"/run/sidecar-capture/node.$2"
out=$3; shift 3
exec "$@" >>"$out"
"""
_END = """
for name; do
    lock=/run/sidecar-capture/node.$name
    [ -e "$lock" ] && ! flock -n "$lock" true && kill -INT "$(cat "$lock")"
done
true
"""


@dataclass(frozen=True)
class _Collector:
    """name: of its lock and of its file of complaints. attached: whether it collects by now.

    again: taken up again when it ends, as it must when what it listens to is restarted.
    """

    name: str
    what: str
    out: str
    command: Sequence[str]
    attached: Callable[[], bool]
    again: bool = False


class NodeCollectors:
    """Collects on one kind node.

    node: the name of its container. evidence: the host's folder that the node sees as /evidence.
    place: the node's in its cluster; the nodes share that folder.
    pod_subnets: whose packets the node-wide capture keeps (kind's defaults), beside the beacons.
    """

    def __init__(
        self,
        node: str,
        engine: Engine,
        evidence: Path,
        *,
        place: int = 0,
        pod_subnets: Sequence[str] = ("10.244.0.0/16", "fd00:10:244::/56"),
    ) -> None:
        self._node = node
        self._engine = engine
        self._folder = folder_of(evidence, place)
        self._tending = threading.Thread(target=self._tend, name="collectors", daemon=True)
        self._trouble: list[str] = []
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._collectors = [
            _Collector(
                "runtime",
                "containerd's event stream",
                File.RUNTIME,
                ["ctr", "-n", "k8s.io", "events"],
                self._sees_events,
                again=True,
            ),
            _Collector(
                "journal",
                "the journal",
                "journal.log",
                [
                    *("journalctl", "-b", "-f", "--no-tail", "-o", "json", FIELDS),
                    *("-u", "containerd", "-u", "kubelet"),
                ],
                lambda: size(self._folder / "journal.log") > 0,
            ),
            _Collector(
                "capture",
                "the node-wide capture",
                "/dev/null",
                self._tcpdump(pod_subnets),
                lambda: "listening on" in last_words(self._folder, "capture"),
            ),
        ]

    def start(self) -> None:
        """Return when all of them collect. Raises EnvironmentProblem."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / NAME).write_text(self._node)
        try:
            for collector in self._collectors:
                self._launch(collector)
            for collector in self._collectors:
                self._await(collector)
            self._tending.start()
        except BaseException:
            self.stop()
            raise

    def check(self) -> list[str]:
        """One sentence for each collector that has died so far."""
        return list(self._trouble)

    def stop(self) -> None:
        """End all of them, here and in the node. Idempotent; a node that is gone is no error."""
        self._ended.set()
        if self._tending.is_alive():
            self._tending.join()
        if not self._children:
            return
        self._tell_node(*self._children)
        while self._children:
            _, child = self._children.popitem()
            try:
                process.finish(child, timeout=5)
            except subprocess.TimeoutExpired:
                process.stop(child, sig=signal.SIGKILL)

    def discard(self) -> None:
        """Remove what is large, when every cell's part has been taken out of it: the packets of the
        whole node, and its journal."""
        for file in (*self._folder.glob("node.*.pcap"), self._folder / "journal.log"):
            file.unlink(missing_ok=True)

    def _tell_node(self, *names: str) -> None:
        """SIGINT to the collectors' processes in the node: docker exec passes no signal on."""
        ending = client.start(self._engine, "exec", self._node, "sh", "-c", _END, "sh", *names)
        try:
            process.finish(ending, timeout=10)
        except subprocess.TimeoutExpired:
            process.stop(ending)

    def _launch(self, collector: _Collector) -> None:
        with (self._folder / f"{collector.name}.err").open("ab") as complaints:
            self._children[collector.name] = client.start(
                self._engine,
                *("exec", self._node, "sh", "-c", _RUN, "sh"),
                *(self._folder.name, collector.name, collector.out),
                *collector.command,
                stderr=complaints,
            )

    def _await(self, collector: _Collector) -> None:
        child = self._children[collector.name]

        def settled() -> str:
            if child.poll() is not None:
                return f"ended with {child.returncode}"
            return "collects" if collector.attached() else ""

        try:
            how = waiting.until(collector.what, settled, seconds=_START_SECONDS)
        except waiting.NotInTime:
            how = f"does not collect after {_START_SECONDS:.0f} s"
        if how != "collects":
            said = last_words(self._folder, collector.name) or "nothing"
            raise EnvironmentProblem(
                f"{collector.what} of node {self._node} {how}: it said {said}; "
                "look at the node with docker exec."
            )

    def _sees_events(self) -> bool:
        """Make containerd publish an event of its own, and look for it in the stream."""
        name = f"sidecar-conformance-{time.time_ns()}"
        script = 'ctr namespaces create "$1" && ctr namespaces remove "$1"'
        client.in_node(
            self._engine,
            self._node,
            *("sh", "-c", script, "sh", name),
            what=f"provoking an event of containerd in node {self._node}",
            timeout=20,
        )
        log = self._folder / File.RUNTIME  # on a busy machine its writer may not have begun yet
        return log.exists() and name.encode() in log.read_bytes()

    @staticmethod
    def _tcpdump(pod_subnets: Sequence[str]) -> list[str]:
        inside = ["chroot", "/opt/sidecar-conformance", "/usr/bin/python3", "-E", "-s", "-S"]
        return [
            *inside,
            "/opt/observer/in_folder.py",
            *("/usr/bin/tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-n", "-U", "-Z", "root"),
            # No immediate mode: its slots would be 256 KiB each for this link type. The kernel may
            # keep frames back for a second, and `extract` waits for them.
            *("-s", "0", "-B", "32768", "--time-stamp-precision=nano"),
            *("-G", str(CHUNK_SECONDS), "-w", "node.%s.pcap"),
            # A pod has an address of its link, too, which is in no subnet of pods.
            " or ".join(
                [
                    *(f"net {subnet}" for subnet in pod_subnets),
                    "net fe80::/10",
                    "ether proto 0x88b5",
                ]
            ),
        ]

    def _tend(self) -> None:
        """Once a second: read the clock, see who has died, keep the captures in their bounds."""
        alive = list(self._collectors)
        seen_ns = time.time_ns()  # all collectors were last seen alive
        try:
            with (self._folder / File.CLOCK).open("a", buffering=1) as clock:
                while True:
                    clock.write(json.dumps(asdict(read_clock())) + "\n")
                    for collector in [known for known in alive if not self._lives(known)]:
                        if not (collector.again and self._take_up(collector, seen_ns)):
                            alive.remove(collector)
                            self._note_death(collector)
                    seen_ns = time.time_ns()
                    self._prune()
                    if self._ended.wait(TEND_EVERY_SECONDS):
                        return
        except OSError as error:
            self._trouble.append(f"the collectors of node {self._node} are not tended: {error}")

    def _lives(self, collector: _Collector) -> bool:
        return self._children[collector.name].poll() is None

    def _take_up(self, collector: _Collector, seen_ns: int) -> bool:
        """Launch a collector anew and note since when it had not been watching; whether it came."""

        def attached() -> bool:
            if self._ended.is_set():
                return True
            if not self._lives(collector):
                self._launch(collector)
            try:
                return collector.attached()
            except EnvironmentProblem:
                return False

        if not waiting.within(TAKE_UP_SECONDS, attached, every=0.2):
            return False
        gap = {"ns": seen_ns, "until_ns": time.time_ns(), "what": collector.what}
        with (self._folder / File.GAPS).open("a") as gaps:
            gaps.write(json.dumps(gap) + "\n")
        return True

    def _note_death(self, collector: _Collector) -> None:
        """For the workers, in a file: they have no other way to this object."""
        code = self._children[collector.name].poll()
        said = last_words(self._folder, collector.name) or "no word"
        words = f"{collector.what} ended with {code}: {said}"
        self._trouble.append(words)
        note_death(self._folder, words)

    def _prune(self) -> None:
        chunks = sorted(self._folder.glob("node.*.pcap"))
        sizes = [chunk.stat().st_size for chunk in chunks]
        while len(chunks) > 1 and sum(sizes) > CHUNKS_BYTES:
            chunks.pop(0).unlink()
            sizes.pop(0)

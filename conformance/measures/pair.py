"""A pod's network and a client's, without a cluster: two network namespaces and a link between.

Both last as long as the processes that hold them, and leave nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem
from conformance.machine import process
from conformance.machine.paths import FIXTURES

TOOLS = ("ip", "nsenter", "unshare", "tcpdump")
# Documentation addresses (RFC 5737); nothing leaves the two namespaces.
_POD, _CLIENT, _PORT = "192.0.2.1", "192.0.2.2", 8080
RING = ["-m", "conformance.measures.ring", "eth0"]
_HELD = ["sh", "-c", "echo held; exec cat"]
# Each request is a connection; those that ended wait a minute (net/ipv4/tcp_minisocks.c).
_PORTS = "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range; "
_REUSE = "echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse"


@dataclass(frozen=True)
class Captured:
    """What a capture came to: tcpdump's last counters (libpcap's, from the kernel's
    PACKET_STATISTICS), and what its file holds."""

    captured: int
    dropped: int
    file: Path


class Pair:
    """A server of the fixture's in the pod's namespace, and a client in the other."""

    def __init__(self, folder: Path, pod: int, client: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self._pod = pod
        self._client = client
        self._captures = 0

    def ask(self, seconds: float, rate: float = 0) -> dict[str, Any]:
        """Ask for some seconds, so many times a second (0: as fast as it goes): see requests.py."""
        assert self._client.stdin and self._client.stdout
        self._client.stdin.write(f"{seconds} {rate}\n".encode())
        self._client.stdin.flush()
        found: dict[str, Any] = json.loads(_line(self._client, "the client"))
        return found

    @contextmanager
    def captured(self) -> Iterator[list[Captured]]:
        """Capture within, by the suite's own agent; the list then holds what it came to."""
        self._captures += 1
        name = f"pod{self._captures}"
        program = [sys.executable, "-B", f"{FIXTURES}/observer/pod_capture.py"]
        started = _start(
            [*_enter(self._pod), *program, "cell", name, name],
            self._folder,
            {"SC_STATE": str(self._folder)},
        )
        found: list[Captured] = []
        with started as agent:
            said = _line(agent, "the capture")
            if said != "watching":
                raise EnvironmentProblem(f"The capture does not begin: {said}.")
            yield found
            agent.send_signal(signal.SIGTERM)
            agent.wait(30)
            folder = self._folder / "cell/capture" / name
            lines = map(json.loads, (folder / "agent.jsonl").read_text().splitlines())
            counted = [line for line in lines if line["event"] == "counters"][-1]
            found.append(Captured(counted["captured"], counted["dropped"], folder / "eth0.pcap"))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within, the kernel keeps each frame for a packet socket that nobody reads (ring.py).
        Raises EnvironmentProblem where it did not keep them all: then it was spared work."""
        program = [sys.executable, *RING]
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with _start([*_enter(self._pod), *program], self._folder, path) as ring:
            _line(ring, "the packet socket")
            yield
            assert ring.stdin
            ring.stdin.write(b"\n")
            ring.stdin.flush()
            told = json.loads(_line(ring, "the packet socket"))
        if told["dropped"] or not told["frames"]:
            raise EnvironmentProblem(
                f"A packet socket that nobody reads kept {told['frames']} frames and not the "
                f"other {told['dropped']}: nothing is measured by it; look at what else this "
                "machine does."
            )


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Both namespaces, with the server listening. Raises EnvironmentProblem where this machine
    cannot have them."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid():
        lacks = f"no {', '.join(missing)} on PATH" if missing else "no root"
        raise EnvironmentProblem(
            f"What a capture costs cannot be measured, with {lacks}: it needs network namespaces "
            "and tcpdump; run it as root (Debian: iproute2, util-linux, tcpdump)."
        )
    with ExitStack() as stack:
        pod, client = (stack.enter_context(_held(folder)) for _ in range(2))
        _link(pod, client)
        server = stack.enter_context(
            _start(
                [*_enter(pod), sys.executable, "-B", f"{FIXTURES}/app/peer.py"],
                folder,
                {"SC_STAMPS": str(folder / "server.jsonl"), "SC_ROLE": "peer"},
            )
        )
        program = [sys.executable, "-m", "conformance.measures.requests", str(FIXTURES)]
        asking = stack.enter_context(
            _start(
                [*_enter(client), *program, str(folder / "client.jsonl"), _POD, str(_PORT)],
                folder,
                {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        )
        found = Pair(folder, pod, asking)
        while server.poll() is None and found.ask(0.1)["outcomes"].keys() != {"ok"}:
            pass  # each round of requests takes its time, until the server listens
        if server.poll() is not None:
            raise EnvironmentProblem("The fixture's server ended at once; see what it wrote above.")
        yield found


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """A network namespace, by the id of the process that holds it."""
    with _start(["unshare", "--net", *_HELD], folder, {}) as holder:
        _line(holder, "a network namespace")
        yield holder.pid


def _link(pod: int, client: int) -> None:
    peer = ["peer", "name", "eth0", "netns", str(client)]
    _run([*_enter(pod), "ip", "link", "add", "eth0", "type", "veth", *peer])
    for holder, address in ((pod, _POD), (client, _CLIENT)):
        for words in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _run([*_enter(holder), "ip", *words.split()])
    _run([*_enter(client), "sh", "-c", _PORTS + _REUSE])


def _enter(holder: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{holder}/ns/net"]


def _run(command: Sequence[str]) -> None:
    what = f"{' '.join(command[2:])} (network namespaces and veth links are needed)"
    process.run(command, what=what)


@contextmanager
def _start(
    command: Sequence[str], folder: Path, more: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, at the latest."""
    pipe = subprocess.PIPE
    with process.start(
        command, env=more, cwd=folder, stdin=pipe, stdout=pipe, stderr=None
    ) as started:
        try:
            yield started
        finally:
            process.stop(started)


def _line(started: subprocess.Popen[bytes], what: str) -> str:
    assert started.stdout
    said = started.stdout.readline().decode().strip()
    if not said:
        raise EnvironmentProblem(f"{what} ended without a word; see what it wrote above.")
    return said

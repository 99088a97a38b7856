"""The capture plugin and its agent, for real, in network namespaces of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from conformance.paths import FIXTURES

PLUGIN = FIXTURES / "observer" / "sidecar-capture"
BEACON = re.compile(rb"SCB1 ([0-9a-f]{16}) (\d+) (\d+) (first|beat|last)\n")
NEEDED = ["ip", "nsenter", "chroot", "/usr/bin/tcpdump", "/usr/bin/python3"]


def _why_not() -> str:
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    made = subprocess.run(["ip", "netns", "add", f"sc{os.getpid()}"], capture_output=True)
    if made.returncode:
        return f"cannot make a network namespace: {made.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", f"sc{os.getpid()}"], check=True)
    return ""


WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "never")


class Pod:
    """A network namespace with an eth0, and what a container runtime would tell the plugin."""

    def __init__(self, node: Path, name: str, number: int, namespace: str = "cell") -> None:
        self.name, self.namespace, self.node = name, namespace, node
        self.netns = f"sc{os.getpid()}n{number}"
        self.veth = f"sc{os.getpid() % 100000}v{number}"
        self.sandbox = f"sandbox{number:04}{'f' * 52}"
        ip("netns", "add", self.netns)
        ip("link", "add", self.veth, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        ip("link", "set", self.veth, "up")
        ip("-n", self.netns, "link", "set", "eth0", "up")

    def call(self, command: str, **changed: Any) -> subprocess.CompletedProcess[str]:
        """Call the plugin as the runtime does. changed: keys of the configuration."""
        interfaces = [
            {"name": self.veth, "mac": "02:00:00:00:00:01"},
            {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": self.netns_path},
        ]
        ips = [{"address": "10.244.0.9/32", "gateway": "10.244.0.1", "interface": 1}]
        result = {"cniVersion": "1.0.0", "interfaces": interfaces, "ips": ips}
        config = {"cniVersion": "1.0.0", "name": "t", "type": "sidecar-capture"}
        return subprocess.run(
            [PLUGIN],
            input=json.dumps({**config, "prevResult": result, **changed}),
            capture_output=True,
            text=True,
            timeout=30,
            env={
                "PATH": os.environ["PATH"],
                "SIDECAR_CAPTURE_ROOT": "/",
                "SIDECAR_CAPTURE_PROGRAMS": str(PLUGIN.parent),
                "SIDECAR_CAPTURE_EVIDENCE": str(self.node / "evidence"),
                "SIDECAR_CAPTURE_STATE": str(self.node / "state"),
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": self.sandbox,
                "CNI_NETNS": self.netns_path,
                "CNI_IFNAME": "eth0",
                "CNI_PATH": str(PLUGIN.parent),
                "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={self.namespace};"
                f"K8S_POD_NAME={self.name};K8S_POD_INFRA_CONTAINER_ID={self.sandbox}",
            },
        )

    def add(self) -> dict[str, Any]:
        """A successful ADD; its result."""
        done = self.call("ADD")
        assert done.returncode == 0, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def delete(self) -> None:
        """A successful DEL, which says nothing."""
        done = self.call("DEL")
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr

    @property
    def netns_path(self) -> str:
        return f"/run/netns/{self.netns}"

    @property
    def folder(self) -> Path:
        return self.node / "evidence" / self.namespace / "capture" / self.name

    def diary(self, folder: Path | None = None) -> list[dict[str, Any]]:
        text = ((folder or self.folder) / "agent.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def events(self) -> list[str]:
        """What happened, but for the counters."""
        return [line["event"] for line in self.diary() if line["event"] != "counters"]

    def event(self, name: str) -> dict[str, Any]:
        """The last event of a name."""
        return [line for line in self.diary() if line["event"] == name][-1]

    def beacons(self) -> list[tuple[int, str]]:
        """(number, kind) of every beacon in the capture, in order."""
        found = BEACON.findall((self.folder / "eth0.pcap").read_bytes())
        assert {boot.decode() for boot, *_ in found} <= {self.event("added")["boot"]}
        return [(int(seq), kind.decode()) for _, seq, _, kind in found]

    def pid(self, process: str) -> int:
        """Process id of this pod's "agent" or "tcpdump"."""
        return int((self.node / "state" / f"{self.sandbox}.{process}").read_text())

    def remove(self) -> None:
        """DEL, and the namespace with its link."""
        self.call("DEL")
        subprocess.run(["ip", "netns", "del", self.netns], capture_output=True)
        subprocess.run(["ip", "link", "del", self.veth], capture_output=True)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@retry(stop=stop_after_delay(10), wait=wait_fixed(0.02), retry=retry_if_result(lambda x: not x))
def eventually(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, at most 10 s: an agent's next word comes within a second."""
    return condition()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """What a node offers the plugin: a folder for evidence, with one observed namespace."""
    (tmp_path / "evidence" / "cell").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def pod(node: Path) -> Iterator[Callable[..., Pod]]:
    """Makes pods by name; whatever a test leaves of them is removed."""
    made: list[Pod] = []

    def make(name: str = "subject", **more: str) -> Pod:
        made.append(Pod(node, name, len(made), **more))
        return made[-1]

    yield make
    for one in made:
        one.remove()


def test_add_answers_with_the_chain_result_once_a_beacon_is_captured(
    pod: Callable[..., Pod],
) -> None:
    subject = pod()
    result = subject.add()
    assert result["ips"][0]["address"] == "10.244.0.9/32"
    assert subject.events() == ["added", "listening", "beacon.first"]
    assert subject.beacons()[0] == (0, "first")


def test_add_tells_the_address_early(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    net = json.loads((subject.folder / "net.json").read_text())
    assert net["ips"] == ["10.244.0.9"]
    assert net["gateways"] == ["10.244.0.1"]
    assert net["veth"] == subject.veth
    assert net["veth_index"] == socket.if_nametoindex(subject.veth)
    assert net["netns"] == Path(subject.netns_path).stat().st_ino
    assert (net["pod"], net["namespace"], net["sandbox"]) == ("subject", "cell", subject.sandbox)


def test_evidence_can_be_read_and_written_by_anyone(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    assert subject.folder.stat().st_mode & 0o777 == 0o777
    assert {path.stat().st_mode & 0o666 for path in subject.folder.iterdir()} == {0o666}


def test_beacons_are_contiguous_and_del_ends_with_the_last_anchor(
    pod: Callable[..., Pod],
) -> None:
    subject = pod()
    subject.add()
    eventually(lambda: len(subject.beacons()) >= 15)
    subject.delete()
    numbers, kinds = zip(*subject.beacons(), strict=True)
    assert list(numbers) == list(range(len(numbers)))
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("first", "last", {"beat"})
    assert subject.events()[-3:] == ["deleting", "beacon.last", "ended"]
    assert subject.event("beacon.last")["seq"] == numbers[-1]
    assert subject.event("ended")["code"] == 0
    assert not (subject.folder / "agent.log").exists()


def test_counters_are_sampled_and_counted_to_the_end(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    eventually(lambda: len([one for one in subject.diary() if one["event"] == "counters"]) >= 2)
    subject.delete()
    final = subject.diary()[-2]
    assert final["event"] == "counters"
    assert final["dropped"] == 0
    assert final["captured"] == final["received"] == frames(subject.folder / "eth0.pcap")


def test_del_may_come_twice_and_leaves_nothing(pod: Callable[..., Pod], node: Path) -> None:
    subject = pod()
    subject.add()
    processes = [subject.pid("agent"), subject.pid("tcpdump")]
    subject.delete()
    written = subject.diary()
    subject.delete()
    assert subject.diary() == written
    assert not any(alive(pid) for pid in processes)
    assert list((node / "state").iterdir()) == []


def test_del_works_when_the_namespace_is_gone(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    ip("netns", "del", subject.netns)
    subject.delete()
    assert subject.events()[-3:] == ["deleting", "beacon.last", "ended"]


def test_a_killed_tcpdump_gets_no_anchor(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    agent = subject.pid("agent")
    os.kill(subject.pid("tcpdump"), signal.SIGKILL)
    eventually(lambda: not alive(agent))
    subject.delete()
    assert subject.diary()[-1]["event"] == "ended"
    assert subject.diary()[-1]["code"] == -signal.SIGKILL
    assert "deleting" not in subject.events()
    assert "last" not in dict(subject.beacons()).values()


def test_del_ends_the_tcpdump_of_a_killed_agent(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    tcpdump = subject.pid("tcpdump")
    os.kill(subject.pid("agent"), signal.SIGKILL)
    assert alive(tcpdump)
    subject.delete()
    assert not alive(tcpdump)
    assert "ended" not in subject.events()


def test_a_link_that_vanishes_ends_the_capture(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    ip("link", "del", subject.veth)
    eventually(lambda: subject.events()[-1] == "ended")
    assert subject.event("ended")["code"] != 0
    assert "beacon.last" not in subject.events()


def test_a_link_that_is_down_is_said(pod: Callable[..., Pod]) -> None:
    subject = pod()
    subject.add()
    ip("-n", subject.netns, "link", "set", "eth0", "down")
    eventually(lambda: {"beacon.unsent", "ended"} & set(subject.events()))


def test_a_pod_that_cannot_be_observed_is_refused(pod: Callable[..., Pod]) -> None:
    subject = pod()
    ip("-n", subject.netns, "link", "set", "eth0", "down")
    refused = subject.call("ADD")
    assert refused.returncode == 1
    error = json.loads(refused.stdout)
    assert error["cniVersion"] == "1.0.0"
    assert error["msg"].startswith("sidecar-capture: pod cell/subject is not observed: ")
    assert not subject.folder.exists()
    kept = subject.folder.with_name(f"subject.failed-{subject.sandbox[:12]}")
    assert subject.diary(kept)[-1]["event"] in ("failed", "ended")


def test_other_namespaces_pass_untouched(pod: Callable[..., Pod], node: Path) -> None:
    other = pod(namespace="kube-system")
    assert other.add()["ips"]
    other.delete()
    assert [path.name for path in (node / "evidence").iterdir()] == ["cell"]
    assert list((node / "state").iterdir()) == []


def test_a_second_sandbox_of_a_pod_has_a_folder_of_its_own(pod: Callable[..., Pod]) -> None:
    first, second = pod(), pod()
    first.add()
    second.add()
    assert first.event("added")["sandbox"] == first.sandbox
    again = second.diary(second.folder.with_name("subject.1"))
    assert again[0]["sandbox"] == second.sandbox


@pytest.mark.parametrize("names", ["subject\n", "other\n*\n"])
def test_capture_off(pod: Callable[..., Pod], node: Path, names: str) -> None:
    (node / "evidence" / "cell" / "capture.off").write_text(names)
    subject = pod()
    subject.add()
    subject.delete()
    assert [path.name for path in subject.folder.iterdir()] == ["net.json"]


def test_beacon_off(pod: Callable[..., Pod], node: Path) -> None:
    (node / "evidence" / "cell" / "beacon.off").write_text("subject\n")
    subject, peer = pod(), pod("peer")
    subject.add()
    peer.add()
    subject.delete()
    assert subject.events() == ["added", "listening", "deleting", "ended"]
    assert subject.beacons() == []
    assert peer.beacons()


def test_many_pods_at_once(pod: Callable[..., Pod]) -> None:
    pods = [pod(f"pod{number}") for number in range(5)]
    began = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(Pod.add, pods))
    took = time.monotonic() - began
    assert all(one.beacons()[0] == (0, "first") for one in pods)
    # 0.1 s on two idle cores; the bound is the plugin's own patience with a crowded machine.
    assert took < 10
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(Pod.delete, pods))
    assert all(one.events()[-2:] == ["beacon.last", "ended"] for one in pods)


def test_it_must_stand_in_a_chain(pod: Callable[..., Pod]) -> None:
    refused = pod().call("ADD", prevResult=None)
    assert refused.returncode == 1
    assert "last in a chain" in json.loads(refused.stdout)["msg"]


@pytest.mark.parametrize("command", ["CHECK", "STATUS", "GC"])
def test_nothing_to_do(pod: Callable[..., Pod], command: str) -> None:
    done = pod().call(command)
    assert (done.returncode, done.stdout) == (0, "")


def test_version(pod: Callable[..., Pod]) -> None:
    versions = json.loads(pod().call("VERSION").stdout)
    assert set(versions["supportedVersions"]) >= {"0.3.1", "0.4.0", "1.0.0", "1.1.0"}


def frames(pcap: Path) -> int:
    """How many whole frames a little-endian pcap file holds."""
    content = pcap.read_bytes()
    count, at = 0, 24
    while at + 16 <= len(content):
        at += 16 + struct.unpack_from("<I", content, at + 8)[0]
        count += at <= len(content)
    return count

"""One cell's part of a node's evidence, from forged files of the node's collectors."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from conformance.model import NS
from conformance.observe.node import extract as extraction
from conformance.observe.node.clock import ClockStep, clock_steps, read_clock
from conformance.observe.node.collectors import extract, sizes

START = 1_800_000_000 * NS
END = START + 20 * NS
SANDBOX, APP, OTHER = "5" * 64, "a" * 64, "0" * 64
UID = "11111111-2222-3333-4444-555555555555"
BOOT = "0123456789abcdef"


class Node:
    """Forges a cluster's evidence folder."""

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence
        self.folder = evidence / ".node"
        self.folder.mkdir(parents=True)
        self.bundle = evidence / "cell"
        self.event("/containers/create", id=APP)
        self.clock(*(START + second * NS for second in range(-3, 25)))
        self.chunk(START // NS - 5)

    def event(self, topic: str, **fields: object) -> None:
        with (self.folder / "runtime.log").open("a") as out:
            out.write(f"2026-11-22 17:45:01.1 +0000 UTC k8s.io {topic} {json.dumps(fields)}\n")

    def exit(self, container: str, name: str = "") -> None:
        self.event("/tasks/exit", container_id=container, id=name or container, exit_status=0)

    def journal(self, unit: str, ns: int, message: str | list[int]) -> None:
        with (self.folder / "journal.log").open("a") as out:
            line = {"__REALTIME_TIMESTAMP": str(ns // 1000), "MESSAGE": message}
            # journalctl writes no blanks
            out.write(json.dumps({**line, "_SYSTEMD_UNIT": f"{unit}.service"}).replace(": ", ":"))
            out.write("\n")

    def stopped(self, sandbox: str) -> None:
        said = f'level=info msg="StopPodSandbox for \\"{sandbox}\\" returns successfully"'
        self.journal("containerd", END - NS, said)

    def clock(self, *times: int, step: int = 0) -> None:
        with (self.folder / "clock.jsonl").open("a") as out:
            for ns in times:
                mono = ns - START + 500 * NS
                line = {"ns": ns + step, "mono_ns": mono, "offset_ns": ns + step - mono}
                out.write(json.dumps({**line, "uncertainty_ns": 100}) + "\n")

    def chunk(self, seconds: int, *packets: tuple[int, bytes]) -> Path:
        """A file of the node-wide capture; packets are (ns, SLL2 frame)."""
        path = self.folder / f"node.{seconds}.pcap"
        head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 276)
        records = [
            struct.pack("<IIII", ns // NS, ns % NS, len(frame), len(frame)) + frame
            for ns, frame in packets
        ]
        path.write_bytes(head + b"".join(records))
        return path

    def capture(
        self,
        pod: str = "subject",
        index: int = 7,
        events: Iterable[str] = ("added", "deleting", "beacon.last", "ended"),
    ) -> Path:
        folder = self.bundle / "capture" / pod
        folder.mkdir(parents=True)
        net = {"pod": pod, "sandbox": SANDBOX, "veth_index": index}
        (folder / "net.json").write_text(json.dumps(net))
        lines = [{"ns": START, "event": event, "boot": BOOT, "seq": 41} for event in events]
        (folder / "agent.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    def extract(self, **changed: object) -> list[str]:
        self.bundle.mkdir(exist_ok=True)
        arguments = {
            "container_ids": {APP},
            "sandbox_ids": {SANDBOX},
            "pod_uids": {UID},
            "pods": {"subject": ["10.244.0.9"]},
            "started_ns": START,
            "ended_ns": END,
            "begins": {},
            **changed,
        }
        return extract(self.evidence, "cell", **arguments)  # type: ignore[arg-type]


def sll2(index: int, payload: bytes, protocol: int = 0x88B5) -> bytes:
    return struct.pack(">HHIHBB8s", protocol, 0, index, 1, 4, 6, b"\2" * 6) + payload


def ipv4(source: str, target: str) -> bytes:
    ends = bytes(int(part) for part in f"{source}.{target}".split("."))
    return b"\x45" + b"\0" * 11 + ends


LAST = f"SCB1 {BOOT} 41 1 last\n".encode()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(extraction, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(extraction, "SILENCE_SECONDS", 0.1)
    return Node(tmp_path)


def whole(node: Node) -> None:
    """All that a cell whose subject has ended finds."""
    node.capture()
    node.exit(SANDBOX)
    node.stopped(SANDBOX)
    node.chunk(START // NS - 5, (END - NS, sll2(7, LAST)))


def test_what_was_written_before_the_cell_is_not_read(node: Node) -> None:
    """Not even where its last line was half written by then; and nothing behind it is lost."""
    node.journal("kubelet", START, "before")
    with (node.folder / "runtime.log").open("a") as out:
        out.write(f"half a line about {APP}")
        out.flush()
        begins = sizes(node.evidence)
        out.write(" and its rest\n")
    assert set(begins) == {".node/runtime.log", ".node/journal.log"}
    node.journal("kubelet", START, "within")
    whole(node)
    assert node.extract(begins=begins) == []
    kept = (node.bundle / "runtime.log").read_text()
    assert "/tasks/exit" in kept
    assert "create" not in kept
    assert "half" not in kept
    assert "before" not in (node.bundle / "kubelet.log").read_text()
    assert "within" in (node.bundle / "kubelet.log").read_text()


def test_nothing_is_missing(node: Node) -> None:
    whole(node)
    assert node.extract() == []


def test_runtime_lines_are_those_of_the_cell(node: Node) -> None:
    whole(node)
    node.exit(OTHER)
    node.exit(APP, "exec-of-a-probe")
    node.extract()
    lines = (node.bundle / "runtime.log").read_text()
    assert OTHER not in lines
    assert "exec-of-a-probe" in lines
    assert lines.count("\n") == 3


def test_an_exec_is_not_the_end_of_a_sandbox(node: Node) -> None:
    node.capture()
    node.stopped(SANDBOX)
    node.exit(SANDBOX, "exec")
    node.chunk(START // NS - 5, (END, sll2(7, LAST)))
    assert node.extract() == [
        "the runtime's event stream lacks the exit of a sandbox that has ended",
    ]


def test_half_a_line_is_not_taken(node: Node) -> None:
    whole(node)
    with (node.folder / "runtime.log").open("a") as out:
        out.write(f"2026-11-22 17:45:01.1 +0000 UTC k8s.io /tasks/start {APP}")
    node.extract()
    assert (node.bundle / "runtime.log").read_bytes().endswith(b"}\n")


def test_journal_is_split_by_unit(node: Node) -> None:
    whole(node)
    node.journal("containerd", START + 1, f"RunPodSandbox Uid:{UID}")
    node.journal("containerd", START + 1, list(f"\x01 {APP}".encode()))
    node.journal("containerd", START + 1, f"about {OTHER}")
    node.journal("containerd", START - NS, f"too early {APP}")
    node.journal("kubelet", START + 1, "anything")
    node.journal("kubelet", START - NS, "too early")
    node.journal("kubelet", END + NS, "too late")
    node.extract()
    assert (node.bundle / "containerd.log").read_text().count("\n") == 3
    assert [json.loads(line)["MESSAGE"] for line in (node.bundle / "kubelet.log").open()] == [
        "anything"
    ]


def test_lines_that_journald_dropped_are_told(node: Node) -> None:
    """It says so itself, when it hears that unit again: what it dropped came after the last one."""
    node.journal("kubelet", START + NS, "one of ten thousand")
    node.journal("systemd-journald", START + 5 * NS, "Suppressed 47 messages from kubelet.service")
    node.journal("systemd-journald", START + 5 * NS, "Suppressed 3 messages from cron.service")
    node.journal(
        "systemd-journald", START + 6 * NS, "Suppressed 2 messages from containerd.service"
    )
    node.extract()
    told = [json.loads(line) for line in (node.bundle / "suppressed.jsonl").open()]
    assert told == [
        {
            "ns": START + NS,
            "until_ns": START + 5 * NS,
            "unit": "kubelet.service",
            "lines": 47,
        },
        {"ns": START, "until_ns": START + 6 * NS, "unit": "containerd.service", "lines": 2},
    ]


def test_what_was_dropped_at_another_time_is_not_the_cells(node: Node) -> None:
    whole(node)
    node.journal("systemd-journald", START - NS, "Suppressed 47 messages from kubelet.service")
    node.journal("kubelet", END + NS, "later")
    node.journal("systemd-journald", END + 2 * NS, "Suppressed 9 messages from kubelet.service")
    node.journal("kubelet", START + NS, "Suppressed 9 messages from kubelet.service")
    node.extract()
    assert not (node.bundle / "suppressed.jsonl").exists()


def test_packets_are_those_of_the_pods_own_link(node: Node) -> None:
    whole(node)
    mine, late = sll2(7, ipv4("10.244.0.9", "10.96.0.10"), 0x0800), sll2(7, LAST)
    theirs = sll2(8, ipv4("10.244.0.7", "10.244.0.9"), 0x0800)
    node.chunk(START // NS - 5, (START + 1, mine), (START + 2, theirs))
    node.chunk(START // NS + 15, (END - NS, late))
    assert node.extract() == []
    content = (node.bundle / "capture" / "subject" / "node.pcap").read_bytes()
    assert content.count(struct.pack("<I", 0xA1B23C4D)) == 1
    assert mine in content and late in content and theirs not in content


def test_addresses_must_do_without_a_link(node: Node) -> None:
    packets = [
        sll2(7, ipv4("10.244.0.9", "10.96.0.10"), 0x0800),
        sll2(7, ipv4("10.96.0.10", "10.244.0.9"), 0x0800),
        sll2(7, ipv4("10.96.0.10", "10.244.0.8"), 0x0800),
    ]
    node.chunk(START // NS - 5, *((START + 1, packet) for packet in packets))
    node.extract()
    content = (node.bundle / "capture" / "subject" / "node.pcap").read_bytes()
    assert [packet in content for packet in packets] == [True, True, False]


def test_other_times_are_not_read(node: Node) -> None:
    whole(node)
    node.chunk(START // NS - 900).write_bytes(b"not a capture at all")
    node.chunk(END // NS + 900).write_bytes(b"not a capture at all")
    assert node.extract() == []


def test_it_waits_for_what_must_still_come(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "PATIENCE_SECONDS", 10)
    node.capture()

    def come_late() -> None:
        for step in (
            lambda: node.exit(SANDBOX),
            lambda: node.stopped(SANDBOX),
            lambda: node.chunk(START // NS + 16, (END, sll2(7, LAST))),
        ):
            time.sleep(0.15)
            step()

    late = threading.Thread(target=come_late)
    late.start()
    assert node.extract() == []
    late.join()
    assert LAST in (node.bundle / "capture" / "subject" / "node.pcap").read_bytes()


def test_a_capture_without_last_anchor_is_not_waited_for(node: Node) -> None:
    node.capture(events=("added", "ended"))
    began = time.monotonic()
    assert node.extract() == []
    assert time.monotonic() - began < 0.4


def test_what_is_missing_is_said(node: Node) -> None:
    node.capture(events=("added", "deleting", "beacon.last"))
    (node.folder / "clock.jsonl").unlink()
    (node.folder / "died.jsonl").write_text(
        json.dumps({"ns": START, "what": "the journal ended with 1: no word"}) + "\n"
    )
    node.chunk(START // NS - 5).unlink()
    assert node.extract() == [
        "the journal ended with 1: no word",
        "a capture agent has begun to end and has not ended",
        "the runtime's event stream lacks the exit of a sandbox that has ended",
        "containerd's journal lacks the stop of a sandbox that has ended",
        "the clock was not watched",
        "the node-wide capture has not seen the last beacon of a pod",
        "the node-wide capture does not reach back to the beginning of the cell",
    ]


def test_clock_of_the_cell_has_a_neighbour_on_both_sides(node: Node) -> None:
    whole(node)
    node.extract()
    times = [json.loads(line)["ns"] for line in (node.bundle / "clock.jsonl").open()]
    assert (times[0], times[-1]) == (START - NS, END + 2 * NS)
    assert clock_steps(node.bundle / "clock.jsonl", START, END) == []


@pytest.mark.parametrize("step", [-3_000_000, 150_000, 3600 * NS])
def test_a_step_of_the_clock_is_found(node: Node, step: int) -> None:
    (node.folder / "clock.jsonl").unlink()
    node.clock(START, START + NS)
    node.clock(START + 2 * NS, START + 3 * NS, step=step)
    found = clock_steps(node.folder / "clock.jsonl", START, END)
    assert found == [ClockStep(START + 2 * NS + step, step)]
    assert clock_steps(node.folder / "clock.jsonl", START - 9 * NS, START + NS // 2) == []


def test_the_clock_of_this_machine_has_a_steady_offset() -> None:
    first, second = read_clock(), read_clock()
    assert abs(first.offset_ns - second.offset_ns) <= first.uncertainty_ns + second.uncertainty_ns


class Second:
    """Forges what the collectors of a second node write, in the same cluster's folder."""

    def __init__(self, first: Node) -> None:
        self.first = first
        self.folder = first.evidence / ".node-1"
        self.folder.mkdir()
        (first.folder / "name").write_text("one")
        (self.folder / "name").write_text("two")

    def append(self, file: str, *lines: str) -> None:
        with (self.folder / file).open("a") as out:
            out.writelines(f"{line}\n" for line in lines)

    def packets(self, *packets: tuple[int, bytes]) -> None:
        moved = self.first.chunk(START // NS - 5, *packets)
        moved.rename(self.folder / moved.name)
        self.first.chunk(START // NS - 5)


def test_what_two_nodes_say_is_put_in_the_order_of_time(node: Node) -> None:
    second = Second(node)
    for day, where in (("45:01.1", node.folder), ("45:01.3", node.folder)):
        with (where / "runtime.log").open("a") as out:
            out.write(f"2026-11-22 17:{day} +0000 UTC k8s.io /tasks/start {APP}\n")
    second.append(
        "runtime.log", f"2026-11-22 17:45:01.20000001 +0000 UTC k8s.io /tasks/start {APP}"
    )
    node.journal("kubelet", START + 1000, "first")
    node.journal("kubelet", START + 3000, "third")
    line = {"__REALTIME_TIMESTAMP": str((START + 2000) // 1000), "MESSAGE": "second"}
    said = json.dumps({**line, "_SYSTEMD_UNIT": "kubelet.service"}).replace(": ", ":")
    second.append("journal.log", said)
    node.extract()
    events = (node.bundle / "runtime.log").read_text().splitlines()
    assert [one.split()[1] for one in events[-3:]] == [
        "17:45:01.1",
        "17:45:01.20000001",
        "17:45:01.3",
    ]
    logged = [json.loads(one)["MESSAGE"] for one in (node.bundle / "kubelet.log").open()]
    assert logged == ["first", "second", "third"]


def test_links_of_two_nodes_can_have_one_number(node: Node) -> None:
    """Each pod's packets are looked for where the pod is."""
    second = Second(node)
    node.capture("subject", index=7, events=())
    node.capture("peer", index=7, events=())
    mine, theirs = (
        sll2(7, ipv4(source, "10.96.0.10"), 0x0800) for source in ("10.244.0.9", "10.244.1.9")
    )
    second.packets((START + 1, theirs))
    node.chunk(START // NS - 5, (START + 1, mine))
    wanted = {"subject": ["10.244.0.9"], "peer": ["10.244.1.9"]}
    node.extract(pods=wanted, homes={"subject": "one", "peer": "two"})
    for pod, its, other in (("subject", mine, theirs), ("peer", theirs, mine)):
        content = (node.bundle / "capture" / pod / "node.pcap").read_bytes()
        assert its in content
        assert other not in content


def test_a_collector_that_died_on_the_second_node_is_told(node: Node) -> None:
    second = Second(node)
    second.append("died.jsonl", json.dumps({"ns": START, "what": "the journal of two ended"}))
    second.append("gaps.jsonl", json.dumps({"ns": START, "until_ns": START + 1, "what": "events"}))
    assert "the journal of two ended" in node.extract()
    assert "events" in (node.bundle / "gaps.jsonl").read_text()

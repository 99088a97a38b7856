"""Takes one cell's part out of what the node's collectors wrote.

The collectors' files grow while they are read, and lag behind the node a little. So `extract` first
waits for what the capture agents' own diaries say must still come: an agent that wrote "deleting"
has a sandbox whose end the runtime tells, and a last beacon that the node saw pass.
"""

from __future__ import annotations

import contextlib
import heapq
import ipaddress
import json
import mmap
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from conformance.evidence.packets.pcap import HEADER_BYTES, Pcap, Record, UnreadableCapture
from conformance.evidence.vocabulary import File
from conformance.machine import waiting
from conformance.model import NEVER, NS
from conformance.observe.node.growing import Growing
from conformance.observe.node.journal import Journal, logged_us

NODE_FOLDER = ".node"
DEATHS = "died.jsonl"
NAME = "name"  # the node's, in the folder of its collectors
_EVENTS, _JOURNAL = File.RUNTIME, "journal.log"
# The kernel keeps frames back from the node-wide capture for at most 1 s (tcpdump's read timeout);
# the rest is for a machine under load. The journal and the event stream lag by milliseconds.
PATIENCE_SECONDS = 10.0
# A kubelet that has nothing to say does not show that its journal has caught up.
SILENCE_SECONDS = 0.5
_SLL2_BYTES = 20


@dataclass(frozen=True)
class _Capture:
    """What the bundle knows of one pod's capture. last: the beginning of its last beacon, if any.

    index: of the node's end of the pod's link; 0 when unknown, then addresses must do.
    """

    folder: Path
    pod: str
    sandbox: str
    index: int
    deleting: bool
    ended: bool
    last: bytes


def folder_of(evidence: Path, place: int = 0) -> Path:
    """Where the collectors of the node at a place of its cluster write."""
    return evidence / (f"{NODE_FOLDER}-{place}" if place else NODE_FOLDER)


def folders(evidence: Path) -> list[Path]:
    """Where the collectors of each node write, the first node's first; that one always."""
    others = sorted(evidence.glob(f"{NODE_FOLDER}-*"), key=lambda one: int(one.name.split("-")[-1]))
    return [folder_of(evidence), *others]


def size(file: Path) -> int:
    """How long a file is by now (bytes); 0 where there is none yet."""
    return file.stat().st_size if file.exists() else 0


def last_words(folder: Path, name: str) -> str:
    """The last two lines that a collector wrote to its standard error."""
    text = (folder / f"{name}.err").read_text(errors="replace")
    return " / ".join(text.strip().splitlines()[-2:])


def note_death(folder: Path, words: str) -> None:
    """For the workers, in a file: they have no other way to whoever watches the collectors."""
    with (folder / DEATHS).open("a") as deaths:
        deaths.write(json.dumps({"ns": time.time_ns(), "what": words}) + "\n")


def sizes(evidence: Path) -> dict[str, int]:
    """How long the growing files of the nodes' collectors are by now (bytes), by name: what a cell
    that begins now does not have to read. evidence: the cluster's folder."""
    files = [node / name for node in folders(evidence) for name in (_EVENTS, _JOURNAL)]
    return {_named(file): file.stat().st_size for file in files if file.exists()}


def _named(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def extract(
    evidence: Path,
    namespace: str,
    *,
    container_ids: Collection[str],
    sandbox_ids: Collection[str],
    pod_uids: Collection[str],
    pods: Mapping[str, Collection[str]],
    started_ns: int,
    ended_ns: int,
    begins: Mapping[str, int],
    homes: Mapping[str, str] | None = None,
) -> list[str]:
    """Write runtime.log, containerd.log, kubelet.log, clock.jsonl and each capture's node.pcap;
    gaps.jsonl too, where the runtime's events were not watched all the time, and suppressed.jsonl,
    where the journal dropped lines. What several nodes say of the cell is put in the order of time.

    evidence: the cluster's folder. pods: whose packets as the node saw them are wanted, by name,
    with their addresses. started_ns, ended_ns: of the cell. begins: `sizes` before it began.
    homes: pod → its node, where there are several (NAME in each node's folder says which it is).
    Waits PATIENCE_SECONDS at most.
    Returns one sentence for each thing that should be there and is not.
    """
    nodes, bundle = folders(evidence), evidence / namespace
    until = time.monotonic() + PATIENCE_SECONDS
    missing = [death for node in nodes for death in _deaths(node, ended_ns)]
    gaps = [gap for node in nodes for gap in _gaps(node, started_ns, ended_ns)]
    if gaps:
        (bundle / File.GAPS).write_bytes(b"".join(gaps))

    def sandboxes() -> set[str]:
        return {agent.sandbox for agent in _captures(bundle) if agent.deleting} & set(sandbox_ids)

    if not _come(lambda: all(agent.ended for agent in _captures(bundle) if agent.deleting), until):
        missing.append("a capture agent has begun to end and has not ended")
    ours = _any_of([*container_ids, *sandbox_ids])
    events = [
        Growing(file, lambda line: bool(ours.search(line)), begins.get(_named(file), 0))
        for file in (node / _EVENTS for node in nodes)
    ]

    def told() -> list[bytes]:
        return _in_order([one.lines() for one in events], _event_time)

    if not _come(lambda: sandboxes() <= _exited(told()), until):
        missing.append("the runtime's event stream lacks the exit of a sandbox that has ended")
    (bundle / _EVENTS).write_bytes(b"".join(told()))

    concerned = _any_of([*container_ids, *sandbox_ids, *pod_uids])
    journals = [
        Journal(file, begins.get(_named(file), 0), concerned, started_ns, ended_ns)
        for file in (node / _JOURNAL for node in nodes)
    ]
    if not _come(lambda: sandboxes() <= {id_ for one in journals for id_ in one.stopped()}, until):
        missing.append("containerd's journal lacks the stop of a sandbox that has ended")
    silence = min(until, time.monotonic() + SILENCE_SECONDS)
    _come(lambda: all(one.caught_up() for one in journals), silence)
    containerd, kubelet = [one.containerd for one in journals], [one.kubelet for one in journals]
    (bundle / File.CONTAINERD).write_bytes(b"".join(_in_order(containerd, logged_us)))
    (bundle / File.KUBELET).write_bytes(b"".join(_in_order(kubelet, logged_us)))
    suppressed = [lost for one in journals for lost in one.suppressed]
    if suppressed:
        lost = "".join(json.dumps(one) + "\n" for one in suppressed)
        (bundle / File.SUPPRESSED).write_text(lost)

    missing += _extract_clock(nodes[0], bundle, started_ns, ended_ns)  # one kernel, one clock
    homes = homes or {}
    for node in nodes:
        there = pods if len(nodes) == 1 else _those_of(node, pods, homes)
        missing += _extract_packets(node, bundle, there, started_ns, ended_ns, until)
    return missing


def _those_of(
    node: Path, pods: Mapping[str, Collection[str]], homes: Mapping[str, str]
) -> Mapping[str, Collection[str]]:
    """The pods of a node: links of two nodes can have the same number."""
    name = node / NAME
    its = name.read_text() if name.exists() else ""
    return {pod: addresses for pod, addresses in pods.items() if homes.get(pod) == its}


def _in_order(parts: Sequence[list[bytes]], time_of: Callable[[bytes], str]) -> list[bytes]:
    """The lines of several nodes in the order of time; one node's are in it."""
    if len(parts) == 1:
        return parts[0]
    return list(heapq.merge(*parts, key=time_of))


def _event_time(line: bytes) -> str:
    """When an event of containerd was, in a form that can be compared: Go leaves out the zeros at
    the end of a fraction."""
    day, clock, *_ = line.decode("utf-8", "replace").split(" ", 2)
    seconds, _, fraction = clock.partition(".")
    return f"{day} {seconds}.{fraction:0<9}"


def _deaths(node: Path, ended_ns: int) -> list[str]:
    """Collectors that died before the cell's end, in their own words."""
    lines = Growing(node / DEATHS, lambda _: True).lines()
    return [death["what"] for line in lines if (death := json.loads(line))["ns"] <= ended_ns]


def _gaps(node: Path, started_ns: int, ended_ns: int) -> list[bytes]:
    """The gaps in the runtime's events that touch the cell's time."""
    return [
        line
        for line in Growing(node / File.GAPS, lambda _: True).lines()
        if (gap := json.loads(line))["ns"] <= ended_ns and gap["until_ns"] >= started_ns
    ]


def _come(condition: Callable[[], bool], until: float) -> bool:
    """Whether a condition comes before that moment; it is looked at once at least."""
    return waiting.within(until - time.monotonic(), condition)


def _any_of(ids: Iterable[str]) -> re.Pattern[bytes]:
    """Matches any of the ids; without one, nothing."""
    words = [re.escape(ident.encode()) for ident in ids if ident]
    return re.compile(b"|".join(words) if words else rb"(?!)")


def _exited(events: Iterable[bytes]) -> set[str]:
    """Containers whose first process has exited (an exec has an id of its own)."""
    found = set()
    for line in events:
        if b" /tasks/exit " in line:
            event = json.loads(line[line.index(b"{") :])
            if event.get("id") == event.get("container_id"):
                found.add(str(event["id"]))
    return found


def _captures(bundle: Path) -> list[_Capture]:
    """Every capture of the bundle, with what its agent's diary says so far."""
    found = []
    for net in sorted(bundle.glob("capture/*/net.json")):
        facts = json.loads(net.read_text())
        events: dict[str, Any] = {}
        diary = net.with_name("agent.jsonl")
        if diary.exists():
            for line in diary.read_text().split("\n")[:-1]:
                event = json.loads(line)
                events[event["event"]] = event
        last = b""
        if "beacon.last" in events and "added" in events:
            last = f"SCB1 {events['added']['boot']} {events['beacon.last']['seq']} ".encode()
        found.append(
            _Capture(
                net.parent,
                facts["pod"],
                facts["sandbox"],
                facts["veth_index"],
                "deleting" in events,
                "ended" in events,
                last,
            )
        )
    return found


def _extract_clock(node: Path, bundle: Path, started_ns: int, ended_ns: int) -> list[str]:
    """The clock's readings of the cell's time, and the neighbours on both sides."""
    readings: list[bytes] = []
    before = b""
    for line in Growing(node / File.CLOCK, lambda _: True).lines():
        ns = int(json.loads(line)["ns"])
        if ns < started_ns and not readings:
            before = line
        elif ns <= ended_ns + 2 * NS:
            readings += [before, line] if not readings else [line]
    (bundle / File.CLOCK).write_bytes(b"".join(readings))
    return [] if readings else ["the clock was not watched"]


def _extract_packets(
    node: Path,
    bundle: Path,
    pods: Mapping[str, Collection[str]],
    started_ns: int,
    ended_ns: int,
    until: float,
) -> list[str]:
    missing: list[str] = []
    captures = [known for known in _captures(bundle) if known.pod in pods]
    # By the node's end of the pod's link, where each of its packets passes once and under the same
    # addresses as inside; interface numbers are never used again.
    by_index = {known.index: known.folder / "node.pcap" for known in captures if known.index}
    by_address = {
        ipaddress.ip_address(ip).packed: bundle / "capture" / pod / "node.pcap"
        for pod, ips in pods.items()
        for ip in ips
        if not any(known.index for known in captures if known.pod == pod)
    }
    if not by_index and not by_address:
        return missing
    last = [known.last for known in captures if known.last]

    def seen() -> bool:
        newest = _chunks(node, started_ns, ended_ns)[-3:]
        return all(any(_holds(chunk, mark) for chunk in newest) for mark in last)

    if not _come(seen, until):
        missing.append("the node-wide capture has not seen the last beacon of a pod")
    chunks = _chunks(node, started_ns, ended_ns)
    if not chunks or _began(chunks[0]) > started_ns // NS:
        missing.append("the node-wide capture does not reach back to the beginning of the cell")
    with contextlib.ExitStack() as files:
        outs: dict[Path, BinaryIO] = {}
        for file, record in _records(chunks, missing):
            target = by_index.get(_index(record.frame)) or _by_address(by_address, record.frame)
            if target is None:
                continue
            if target not in outs:
                target.parent.mkdir(parents=True, exist_ok=True)
                outs[target] = files.enter_context(target.open("wb"))
                outs[target].write(file.header)
            outs[target].write(file.packed(record))
    return missing


def _chunks(node: Path, started_ns: int, ended_ns: int) -> list[Path]:
    """The files of the node-wide capture that may hold packets of the cell, in order.

    A file holds what was read from when its name says until the next one's: a packet is read up to
    a second or two after its time.
    """
    chunks = sorted(node.glob("node.*.pcap"), key=_began)
    ends = [*map(_began, chunks[1:]), NEVER][: len(chunks)]
    return [
        chunk
        for chunk, end in zip(chunks, ends, strict=True)
        if end >= started_ns // NS and _began(chunk) <= ended_ns // NS + PATIENCE_SECONDS
    ]


def _began(chunk: Path) -> int:
    return int(chunk.name.split(".")[1])


def _holds(file: Path, mark: bytes) -> bool:
    with file.open("rb") as source:
        if not file.stat().st_size:
            return False  # an empty file cannot be mapped
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(mark) >= 0


def _records(chunks: Iterable[Path], missing: list[str]) -> Iterator[tuple[Pcap, Record]]:
    """Every whole record of the captures. What is no capture is noted among what is missing."""
    for chunk in chunks:
        if chunk.stat().st_size < HEADER_BYTES:
            continue  # tcpdump has only just begun it
        try:
            with Pcap(chunk) as file:
                yield from ((file, record) for record in file)
        except UnreadableCapture as why:
            missing.append(f"the node-wide capture has a gap: {why}")


def _index(frame: bytes) -> int:
    return int.from_bytes(frame[4:8])


def _by_address(wanted: Mapping[bytes, Path], frame: bytes) -> Path | None:
    if not wanted:
        return None
    protocol = int.from_bytes(frame[:2])
    if protocol == 0x0800:
        at, size = _SLL2_BYTES + 12, 4
    elif protocol == 0x86DD:
        at, size = _SLL2_BYTES + 8, 16
    else:
        return None
    source, target = frame[at : at + size], frame[at + size : at + 2 * size]
    return wanted.get(source) or wanted.get(target)

"""Forges whole bundles: a plausible world by FORMAT.md, and the ways to break it.

The courses of events are in tests/worlds, and tests change them. Times in arguments are seconds of
the world, which begins at EPOCH."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.model import Finding
from tests.forge import journal, whole, wire
from tests.forge.told import told
from tests.forge.wire import End, Frame

EPOCH = 1_795_000_000_000_000_000
UPTIME = 1_000_000  # ns since the start of the machine, when the world begins
BOOT, NONCE = "00112233445566ff", "0123456789ab"
POD, POD6, PEER, PEER_SERVICE = "10.244.0.7", "fd00::7", "10.244.0.5", "10.96.0.50"
DIALER, WITNESS, GATEWAY, DNS = "10.244.0.9", "10.244.0.8", "10.244.0.1", "10.96.0.10"
WITNESS6 = "fd00::8"
APP, ENVOY, RULES, SANDBOX = "a" * 64, "e" * 64, "c" * 64, "5" * 64
INIT = "d" * 64
SUBJECT_ID, PEER_ID = "spiffe://sc.local/subject", "spiffe://sc.local/peer"
Json = dict[str, Any]


@dataclass(frozen=True)
class Judged(Finding):
    """A finding whose test knows what was measured, and may compute with it."""

    measured: Mapping[str, Any] = field(default_factory=dict)


def ns(seconds: float) -> int:
    """A moment of the forged world."""
    return EPOCH + round(seconds * 1e9)


def token(kind: str, seq: int, sender: str = "subject") -> str:
    return f"cny.{NONCE}.{kind}.{sender}.{seq:06d}"


def clear_request(of: str) -> bytes:
    return f"POST /echo/{of} HTTP/1.1\r\nContent-Length: {len(of)}\r\n\r\n{of}".encode()


def clear_answer(of: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(of)}\r\n\r\n{of}".encode()


@dataclass
class World:
    """Everything that will stand in the bundle. ``node_frames`` None: made from ``frames``. wires:
    node → the frames of its own interface, and what its agent wrote."""

    pattern: str
    index: Json
    frames: list[Frame] = field(default_factory=list)
    node_frames: list[Frame] | None = None
    steps: list[Json] = field(default_factory=list)
    watch: list[Json] = field(default_factory=list)
    agent: list[Json] = field(default_factory=list)
    stamps: dict[str, list[Json]] = field(default_factory=dict)
    logs: dict[str, list[Json]] = field(default_factory=dict)
    runtime: list[tuple[int, str, Json]] = field(default_factory=list)
    journal: list[tuple[int, str]] = field(default_factory=list)
    restarted: int = 0  # ns from which on another containerd writes the journal; 0: nobody asks
    commands: list[Json] = field(default_factory=list)
    answers: list[Json] = field(default_factory=list)
    wires: dict[str, tuple[list[Frame], list[Json]]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    extra: dict[str, str] = field(default_factory=dict)  # other files, as they are
    port: int = 40000
    completed: bool = False

    # --- saying what happened

    def step(self, at: float, step: str, **fields: Any) -> None:
        self.steps.append({"ns": ns(at), "step": step, **fields})

    def stamp(self, at: float, who: str, event: str, **fields: Any) -> None:
        """who: "subject.app" and so on."""
        moment = ns(at)
        line = {"ns": moment, "mono_ns": moment - EPOCH + UPTIME, "event": event, **fields}
        self.stamps.setdefault(who, []).append(line)

    def note(self, at: float, event: str, **fields: Any) -> None:
        """A line of the capture agent."""
        self.agent.append({"ns": ns(at), "event": event, **fields})

    def created(self, at: float, ident: str) -> None:
        self.runtime.append((ns(at), "/tasks/create", {"container_id": ident, "pid": 4}))
        self.runtime.append((ns(at + 0.01), "/tasks/start", {"container_id": ident, "pid": 4}))

    def exited(self, at: float, ident: str, status: int = 0) -> None:
        seconds, nanos = divmod(ns(at), 1_000_000_000)
        body = {
            "container_id": ident, "id": ident, "pid": 4, "exit_status": status,
            "exited_at": {"seconds": seconds, "nanos": nanos},
        }  # fmt: skip
        self.runtime.append((ns(at + 0.002), "/tasks/exit", body))

    def unexited(self, ident: str) -> None:
        """No exit of this container was noticed."""
        self.runtime = [
            one
            for one in self.runtime
            if not (one[1] == "/tasks/exit" and one[2]["container_id"] == ident)
        ]

    def signalled(self, at: float, ident: str, signal: str = "terminated") -> None:
        """containerd announces a signal, by the name that Go has for it."""
        self.journal.append((ns(at), f'Stop container \\"{ident}\\" with signal {signal}'))

    def seen(self, at: float, kind: str, name: str, uid: str, spec: Json, status: Json) -> None:
        """A watch event."""
        meta: Json = {"name": name, "uid": uid}
        if uid == "uid-subject" and self.index["cell"]["scenario"] in ("job", "killed"):
            meta["ownerReferences"] = [{"kind": "Job", "name": "subject"}]
        body = {"metadata": meta, "spec": spec, "status": status}
        self.watch.append({"ns": ns(at), "type": "MODIFIED", "kind": kind, "object": body})

    # --- traffic

    def next_port(self) -> int:
        self.port += 1
        return self.port

    def talk(
        self, at: float, opener: End, answerer: End, *says: tuple[int, bytes], **how: Any
    ) -> None:
        self.frames += wire.talk(ns(at), opener, answerer, says, (POD, POD6), **how)

    def mesh(
        self, at: float, *, outbound: bool, code: int = 200, path: str = "", **log: Any
    ) -> End:
        """A TLS conversation with the peer, and the sidecar's record of it."""
        ours, port = POD if outbound else PEER, self.next_port()
        target = (PEER_SERVICE, 80) if outbound else (POD, 8080)
        hello = (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.CHANGE + wire.sealed(900))
        rest = (0, wire.CHANGE + wire.sealed(80)), (0, wire.sealed()), (1, wire.sealed(300))
        self.talk(at + 0.001, (ours, port), target, *hello, *rest)
        line = {
            "direction": "outbound" if outbound else "inbound",
            "start": stamp_text(ns(at), "T") + "Z",
            "token_path": path,
            "downstream_remote": f"{POD}:50001" if outbound else f"{PEER}:{port}",
            "upstream_local": f"{POD}:{port}" if outbound else "127.0.0.1:50002",
            "peer_uri": PEER_ID, "own_uri": SUBJECT_ID, "tls_version": "TLSv1.3",
            "response_code": code, **log,
        }  # fmt: skip
        self.logs.setdefault("subject.envoy", []).append(line)
        return ours, port

    def attempt(
        self, at: float, who: str, kind: str, seq: int, outcome: str, *, took: float = 0.02,
        target: str = f"{PEER_SERVICE}:80", local: str = "", via: str = "direct", sender: str = "",
        **end: Any,
    ) -> str:  # fmt: skip
        """A sender's record of a request; returns its token. sender: where it is not the role."""
        its = token(kind, seq, sender or who.partition(".")[0])
        same = {"token": its, "kind": kind}
        self.stamp(at, who, "request.begin", **same, target=target, via=via)
        if outcome not in ("refused", "timeout"):
            self.stamp(
                at + 0.001, who, "request.connected", token=its, via=via,
                local=local or f"{POD}:{self.next_port()}", remote=target,
            )  # fmt: skip
        size = 0 if outcome in ("refused", "timeout") else 90
        fields = {**same, "outcome": outcome, "detail": "", "bytes": size, "via": via, **end}
        self.stamp(at + took, who, "request.end", **fields)
        return its

    def served(self, begin: float, end: float, who: str, its: str, remote: str) -> None:
        same = {"token": its, "remote": remote, "path": f"/echo/{its}"}
        self.stamp(begin, who, "served", **same, phase="begin")
        self.stamp(end, who, "served", **same, phase="end")

    def egress(self, at: float, kind: str, seq: int, outcome: str = "ok") -> None:
        """A request of the app to the peer, with all its traces."""
        its = self.attempt(at, "subject.app", kind, seq, outcome)
        if outcome == "ok":
            self.mesh(at + 0.002, outbound=True, path=f"/echo/{its}")
            self.served(at + 0.008, at + 0.009, "peer.app", its, "127.0.0.1:50002")

    def dial(self, at: float, kind: str, seq: int, outcome: str, *, port: int = 8080) -> str:
        """A knock of the dialer, with its packets."""
        end = (DIALER, self.next_port())
        its = self.attempt(
            at,
            "dialer.dialer",
            kind,
            seq,
            outcome,
            target=f"{POD}:{port}",
            local=f"{DIALER}:{end[1]}",
        )
        target = (POD, port)
        if outcome == "refused":
            self.frames += wire.refused(ns(at), end, target, (POD,))
        elif outcome == "ok":
            self.talk(at, end, target, (0, clear_request(its)), (1, clear_answer(its)))
        elif kind == "dial-tls":
            self.talk(
                at, end, target, (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.sealed(900)),
                (0, wire.sealed(60)), (1, wire.sealed(24)), end="rst",
            )  # fmt: skip
        elif outcome != "timeout":
            self.talk(at, end, target, (0, clear_request(its)), end="rst")
        return its

    def probe(
        self, at: float, status: str, agent: str = "kube-probe/1.33", source: str = GATEWAY,
        port: int = 15021,
    ) -> None:  # fmt: skip
        """A probe of a health port, and its answer."""
        ask = f"GET /healthz/ready HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n\r\n".encode()
        answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
        self.talk(at, (source, self.next_port()), (POD, port), (0, ask), (1, answer), end="fin")

    def leak(self, at: float, its: str, **how: Any) -> list[Frame]:
        """A request in clear from the app to the peer; returns its frames."""
        before = len(self.frames)
        says = (0, clear_request(its)), (1, clear_answer(its))
        self.talk(at, (POD, self.next_port()), (PEER_SERVICE, 80), *says, **how)
        return self.frames[before:]

    def control(self, at: float) -> None:
        """The deliberate leak."""
        its = token("control", 0)
        self.step(at, "control.asked")
        self.stamp(at + 0.01, "subject.app", "control.begin", token=its)
        says = (0, clear_request(its)), (1, clear_answer(its))
        self.talk(at + 0.011, (POD, self.next_port()), (WITNESS, 9001), *says)
        self.witnessed(at + 0.02, 9001, clear_request(its))
        self.stamp(at + 0.03, "subject.app", "control.end", token=its, outcome="ok")

    def witnessed(self, at: float, port: int, first: bytes, remote: str = POD) -> None:
        fields = {"port": port, "remote": f"{remote}:50000", "first_bytes": first[:512].hex()}
        self.stamp(at, "witness.witness", "witness.connection", **fields)

    def beacons(self, begin: float, end: float) -> None:
        """From the first anchor to the last, ten a second, with the agent's diary around them."""
        self.note(begin - 0.1, "added", boot=BOOT, sandbox=SANDBOX, ips=[POD, POD6],
                  mac=wire.POD_MAC.hex(":"), veth="veth1", netns=1)  # fmt: skip
        self.note(begin - 0.05, "listening")
        self.note(begin + 0.01, "beacon.first", seq=0)
        count = int((end - begin) * 10)
        for seq in range(count + 1):
            kind = "first" if seq == 0 else "last" if seq == count else "beat"
            at = ns(end if kind == "last" else begin + seq / 10)
            self.frames.append(wire.beacon(BOOT, seq, at, kind))
        for second in range(int(begin), int(end)):
            self.note(second + 0.5, "counters", captured=1, received=1, dropped=0)
        self.note(end - 0.02, "deleting")
        self.note(end + 0.01, "beacon.last", seq=count)
        self.note(end + 0.02, "counters", captured=1, received=1, dropped=0)
        self.note(end + 0.03, "ended", code=0)

    # --- looking things up, to break them

    def drop(self, where: list[Json], event: str, **fields: Any) -> None:
        """Remove the lines of an event (or step) whose fields are as given."""
        where[:] = [
            one
            for one in where
            if not (
                event in (one.get("event"), one.get("step"))
                and all(one.get(name) == value for name, value in fields.items())
            )
        ]

    def lines(self, who: str, event: str, **fields: Any) -> list[Json]:
        """The stamps of an event whose fields are as given."""
        return [
            one
            for one in self.stamps[who]
            if one["event"] == event and all(one.get(k) == v for k, v in fields.items())
        ]

    def drop_beacon(self, seq: int) -> None:
        mark = f"SCB1 {BOOT} {seq} ".encode()
        self.frames = [one for one in self.frames if mark not in one[1]]

    def copy(self) -> World:
        return copy.deepcopy(self)

    # --- writing

    def complete(self) -> World:
        """Make it whole, once. What a test breaks after this is a single defect."""
        if not self.completed:
            self.completed = True
            whole.name_the_cell(self.index)
            whole.join_pods(self.index, self.watch)
            if numbers := whole.numbering(self.stamps):
                self._renumber(numbers)
        return self

    def _renumber(self, numbers: dict[bytes, bytes]) -> None:
        def again(value: Any) -> Any:
            return json.loads(whole.renumbered(json.dumps(value).encode(), numbers))

        self.stamps, self.logs, self.steps = map(again, (self.stamps, self.logs, self.steps))
        self.commands, self.answers = again(self.commands), again(self.answers)

        def named(frames: list[Frame]) -> list[Frame]:
            return [(at, whole.renumbered(one, numbers)) for at, one in frames]

        self.frames = named(self.frames)
        self.wires = {node: (named(its), lines) for node, (its, lines) in self.wires.items()}
        if self.node_frames is not None:
            self.node_frames = named(self.node_frames)

    def write(self, folder: Path) -> Path:
        """Write the bundle into a new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.index["subject"]
        wire.write_pcap(folder / f"capture/{name}/eth0.pcap", self.frames)
        node = self.frames if self.node_frames is None else self.node_frames
        both = [piece for one in node for piece in on_the_node(one)]
        wire.write_pcap(folder / f"capture/{name}/node.pcap", both, link=276)
        texts = {
            "steps.jsonl": jsonl(self.steps),
            "watch.jsonl": jsonl(self.watch),
            **({"commands.jsonl": jsonl(self.commands)} if self.commands else {}),
            **({"answers.jsonl": jsonl(self.answers)} if self.answers else {}),
            f"capture/{name}/agent.jsonl": jsonl(self.agent),
            "runtime.log": "".join(
                f"{stamp_text(at, ' ')} +0000 UTC k8s.io {topic} {json.dumps(body)}\n"
                for at, topic, body in sorted(self.runtime, key=lambda one: one[0])
            ),
            "containerd.log": "".join(
                journal.line(at, text, self.restarted) for at, text in sorted(self.journal)
            ),
            "kubelet.log": "",
            **{f"stamps/{who}.jsonl": jsonl(lines) for who, lines in self.stamps.items()},
            **{f"logs/{who}.log": jsonl(lines, sort=False) for who, lines in self.logs.items()},
            **{f"wire/{where}/agent.jsonl": jsonl(its) for where, (_, its) in self.wires.items()},
            **self.extra,
        }
        for where, (frames, _) in self.wires.items():
            wire.write_pcap(folder / f"wire/{where}/eth0.pcap", frames)
        for file, text in texts.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        for file in self.missing:
            (folder / file).unlink()
        self.index["files"] = {
            str(path.relative_to(folder)): {
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        (folder / "cell.json").write_text(json.dumps(self.index))
        return folder

    def judged(self, behaviour: str, folder: Path) -> Judged:
        """Write the bundle and ask the judge alone: all else need not hold together."""
        bundle = Bundle.open(self.write(folder / "bundle"))
        return Judged(**vars(told(behaviour, bundle, trusting=True)))

    def held(self, behaviour: str, folder: Path) -> Judged:
        """Write the whole bundle and judge it, held against itself, as a real one is."""
        bundle = Bundle.open(self.complete().write(folder / "bundle"))
        return Judged(**vars(told(behaviour, bundle)))


def jsonl(lines: list[Json], *, sort: bool = True) -> str:
    ordered = sorted(lines, key=lambda one: one["ns"]) if sort else lines
    return "".join(json.dumps(one) + "\n" for one in ordered)


def stamp_text(at: int, between: str) -> str:
    seconds, rest = divmod(at, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime(f"%Y-%m-%d{between}%H:%M:%S")
    return f"{moment}.{rest:09d}"


def on_the_node(one: Frame) -> list[Frame]:
    """A frame of the pod as the node sees it: at its own link, and at another that it passes."""
    at, frame = one
    if frame[12:14] == b"\x88\xb5":  # the node's view is cut by address: no beacon is in it
        return []
    sent_by_pod = frame[6:12] == wire.POD_MAC
    own = at + 3000, wire.sll2(frame, interface=7, sent=not sent_by_pod)
    other = at + 6000, wire.sll2(frame, interface=5, sent=sent_by_pod)
    return [own, other]

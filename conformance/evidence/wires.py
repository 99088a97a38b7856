"""What went over the nodes' own interfaces, from one node to the other, and in what.

    routed     a packet of a pod's as it is, under the pods' own addresses
    tunnelled  the same, in clear inside of VXLAN
    sealed     WireGuard, by the form of its messages
    host       anything else: the nodes' own affairs, and what a pod's packet became under another
               address

Payload of the cell's pods that is routed or tunnelled can be read by whoever is on that wire. A
token counts wherever it is: in whatever a packet carries, sealed or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from conformance.evidence.bundle import Bundle
from conformance.evidence.packets.capture import Capture, Packet, decoded
from conformance.evidence.packets.coverage import BEACON_TEXT, BeaconLog, Coverage, coverage
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.packets.tokens import Token, TokenScan
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence, Window

VXLAN_PORT = 8472  # Linux' default (drivers/net/vxlan), and Cilium's; IANA's is 4789
WIREGUARD_PORT = 51871  # Cilium's (pkg/wireguard/types, ListenPort)
ROUTED, TUNNELLED, SEALED, HOST = "routed", "tunnelled", "sealed", "host"
CLEAR = (ROUTED, TUNNELLED)
_VXLAN_HEADER = 8
# A WireGuard message begins with its type and three zeros (drivers/net/wireguard/messages.h): a
# handshake's have one length each, data comes in pieces of 16 behind a header of 16 and a tag.
_LENGTHS = {1: 148, 2: 92, 3: 64}
_DATA, _LEAST_DATA, _PIECE = 4, 32, 16
REMEMBERED = 200
INTERFACE = "eth0"
FOLDER = "wire"


@dataclass(frozen=True)
class Sight:
    """Something in clear on a node's interface. token: None where the payload has none."""

    file: str
    frame: int
    ns: int
    how: str
    token: Token | None
    ends: str

    @property
    def evidence(self) -> Evidence:
        what = self.token.text if self.token else "payload of a pod"
        text = f"{what}, {self.how}, {self.ends}"
        return Evidence(self.file, frame=self.frame, ns=self.ns, text=text)


@dataclass
class Passed:
    """What passed in one window, and how. senders: tokens by their senders. payloads: packets
    of the cell's own pods with payload that could be read. ``sights`` tells both one by one, up to
    a bound for each sender and for payload without a token: what is plentiful hides nobody."""

    window: Window
    packets: Counter[str] = field(default_factory=Counter)
    octets: Counter[str] = field(default_factory=Counter)
    senders: Counter[str] = field(default_factory=Counter)
    payloads: int = 0
    sights: list[Sight] = field(default_factory=list)
    _told: Counter[str] = field(default_factory=Counter)

    @property
    def tokens(self) -> int:
        """All tokens in clear."""
        return sum(self.senders.values())

    def remember(self, sight: Sight) -> None:
        """Keep a sight, unless there are enough of its kind."""
        kind = sight.token.sender if sight.token else ""
        self._told[kind] += 1
        if self._told[kind] <= REMEMBERED:
            self.sights.append(sight)


@dataclass(frozen=True)
class Wire:
    """One node's interface. control: the deliberate leak on it, if it was seen."""

    node: str
    watched: Coverage
    passed: Mapping[str, Passed]
    control: Sight | None


def file_of(node: str, name: str = f"{INTERFACE}.pcap") -> str:
    """The capture of a node's interface, or another file beside it."""
    return f"{FOLDER}/{node}/{name}"


def look(bundle: Bundle, windows: Sequence[Window]) -> list[Wire]:
    """Every node's interface in these windows, each read in one pass. Raises Unjudgeable where the
    cluster has no two nodes, or a capture cannot be read."""
    nodes = list(bundle.index.nodes)
    if len(nodes) < 2:
        raise Unjudgeable("the cluster has one node: nothing went from one to another")
    return [_Reader(bundle, node, windows).read() for node in nodes]


class _Reader:
    """Reads one capture."""

    def __init__(self, bundle: Bundle, node: str, windows: Sequence[Window]) -> None:
        self._bundle = bundle
        self._node = node
        self._file = file_of(node)
        self._pods = frozenset(ip for pod in bundle.index.pods.values() for ip in pod.ips)
        self._passed = {window.name: Passed(window) for window in windows}
        self._scans: dict[tuple[str, str, int, str, int], TokenScan] = {}
        self._control: Sight | None = None

    def read(self) -> Wire:
        diary = file_of(self._node, "agent.jsonl")
        beacons = BeaconLog(self._boot(diary), self._file)
        capture = Capture(self._bundle.path(self._file))
        try:
            for packet in capture:
                if packet.kind == "beacon":
                    # Other cells that are observed meanwhile watch the same interface.
                    match = BEACON_TEXT.match(packet.payload)
                    if match and match[1].decode() == beacons.boot:
                        beacons.see(packet)
                else:
                    self._see(packet)
        except UnreadableCapture as error:
            raise Unjudgeable(str(error), evidence=(Evidence(self._file),)) from error
        lines = self._bundle.records(diary)
        watched = coverage(beacons, lines, diary, capture.frames, capture.truncated)
        return Wire(self._node, watched, self._passed, self._control)

    def _boot(self, diary: str) -> str:
        for line in self._bundle.records(diary):
            if line.event == "added":
                return str(line["boot"])
        raise Unjudgeable(f"nobody watched {self._node}", evidence=(Evidence(diary),))

    def _see(self, packet: Packet) -> None:
        inner, how = unwrapped(packet, self._pods)
        its = [one for one in self._passed.values() if packet.ns in one.window]
        for one in its:
            one.packets[how] += 1
            one.octets[how] += len(packet.payload)
        ours = inner.src in self._pods or inner.dst in self._pods
        payload = how in CLEAR and ours and inner.kind in ("tcp", "udp", "fragment", "ip")
        tokens = self._tokens(inner)
        ends = f"{inner.src}:{inner.sport} to {inner.dst}:{inner.dport}"
        for token in tokens:
            sight = Sight(self._file, packet.frame, packet.ns, how, token, ends)
            if token.kind == "control":
                self._control = self._control or sight
                continue
            for one in its:
                one.senders[token.sender] += 1
                one.remember(sight)
        if payload and inner.payload and not tokens:
            sight = Sight(self._file, packet.frame, packet.ns, how, None, ends)
            for one in its:
                one.remember(sight)
        if payload and inner.payload:
            for one in its:
                one.payloads += 1

    def _tokens(self, packet: Packet) -> list[Token]:
        if not packet.payload:
            return []
        key = (packet.kind, packet.src, packet.sport, packet.dst, packet.dport)
        scan = self._scans.setdefault(key, TokenScan())
        nonce = self._bundle.index.nonce
        return [token for token in scan.feed(packet.payload) if token.nonce == nonce]


def unwrapped(packet: Packet, pods: Iterable[str]) -> tuple[Packet, str]:
    """What a packet between nodes carries (itself, where it carries no other), and how it went."""
    if packet.kind == "udp" and VXLAN_PORT in (packet.sport, packet.dport):
        inner = decoded(packet.frame, packet.ns, packet.payload[_VXLAN_HEADER:])
        return inner, TUNNELLED
    if packet.kind == "udp" and WIREGUARD_PORT in (packet.sport, packet.dport):
        return packet, SEALED if is_wireguard(packet.payload) else HOST
    if packet.src in pods or packet.dst in pods:
        return packet, ROUTED
    return packet, HOST


def is_wireguard(payload: bytes) -> bool:
    """Whether a datagram has the form of a WireGuard message."""
    if len(payload) < _LEAST_DATA or payload[1:4] != b"\0\0\0":
        return False
    kind = payload[0]
    if kind == _DATA:
        return len(payload) % _PIECE == 0
    return _LENGTHS.get(kind) == len(payload)

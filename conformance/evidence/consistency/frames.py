"""The frames of the pod under test against what programs say of them, in one pass.

A beacon carries the time at which it was sent. A request that its sender says was under way leaves
frames on the pod's eth0, as long as the capture watched: from the dialer a SYN, of what the pod was
answered payload both ways. And a token that stands in clear on the wire was sent by somebody, who
stamps each before its first byte. Who cuts frames away, or stamps, is found by the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from conformance.evidence.attempts import OK, TIMEOUT, Attempt, attempts
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.index import Index, shortest
from conformance.evidence.packets.capture import ACK, SYN, Packet
from conformance.evidence.packets.coverage import BEACON_TEXT
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.packets.tokens import Token, find
from conformance.evidence.timeline import CLOCK_STEP_NS
from conformance.evidence.vocabulary import Container, Role, Stamp
from conformance.model import NEVER, NS, Evidence

# A beacon is stamped, and sent at once; on a busy machine some wait for their turn. Over 700 real
# captures show at most 8 ms. Of so many in a row, at least one goes at once.
_IN_A_ROW = 20
_LATE_NS = NS // 4
# What a program that was killed was about to write is not there (requests).
_KILLED_NS = 1 * NS
_BEGINS = (Stamp.REQUEST_BEGIN, Stamp.DATAGRAM_BEGIN, Stamp.CONTROL_BEGIN)


@dataclass
class _Seen:
    """What passed the pod's eth0. In ns: SYNs of the dialer by port; payload of TCP from the pod
    and to it, but for the node's and the dialer's; tokens in clear, by their first frame."""

    syns: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    sent: list[int] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    tokens: dict[str, tuple[Token, Packet]] = field(default_factory=dict)
    first_ns: int = NEVER
    last_ns: int = 0
    whole: bool = True  # no beacon is missing


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """Beacons that passed at another time than they say, and requests without frames, or frames
    without a request."""
    file = bundle.capture_file
    if not bundle.has(file) or bundle.index.subject not in bundle.index.pods:
        return
    seen = _Seen()
    try:
        yield from _look(bundle, seen)
    except UnreadableCapture:
        return  # who judges by packets says so
    if not seen.whole or _dropped(bundle):
        return
    yield from _unseen(bundle, seen)
    yield from _unsent(bundle, seen)


def _look(bundle: Bundle, seen: _Seen) -> Iterator[Contradiction]:
    row: deque[int] = deque(maxlen=_IN_A_ROW)
    told, last = False, -1
    file, take = bundle.capture_file, _Taker(bundle.index, seen)
    for packet in bundle.capture(file):
        if packet.kind != "beacon":
            take(packet)
            continue
        match = BEACON_TEXT.match(packet.payload)
        if match is None:
            continue
        seen.first_ns = min(seen.first_ns, packet.ns)
        seen.last_ns = packet.ns
        seen.whole = seen.whole and int(match[2]) == last + 1
        last = int(match[2])
        late = packet.ns - int(match[3])
        row.append(late)
        if told:
            continue
        if late < -CLOCK_STEP_NS:
            told = True
            yield _off(file, packet, f"{-late / 1e6:.1f} ms before")
        elif len(row) == _IN_A_ROW and min(row) > _LATE_NS:
            told = True
            yield _off(file, packet, f"{min(row) / 1e6:.1f} ms and more after")


class _Taker:
    """Sorts packets. Only what is asked of them later is kept."""

    def __init__(self, index: Index, seen: _Seen) -> None:
        self._seen = seen
        self._local = index.subject_pod.ips
        self._dialer = index.addresses.get("dialer", frozenset())
        self._others = self._dialer | index.addresses.get("gateway", frozenset())

    def __call__(self, packet: Packet) -> None:
        seen = self._seen
        if b"cny." in packet.payload:
            for token in find(packet.payload):
                seen.tokens.setdefault(token.text, (token, packet))
        if packet.kind != "tcp":
            return
        if packet.src in self._dialer and packet.flags & SYN and not packet.flags & ACK:
            seen.syns[packet.dport].append(packet.ns)
        elif packet.payload and packet.src not in self._others and packet.dst not in self._others:
            (seen.sent if packet.src in self._local else seen.came).append(packet.ns)


def _off(file: str, packet: Packet, how: str) -> Contradiction:
    where = Evidence(file, frame=packet.frame, ns=packet.ns, text="a beacon")
    return Contradiction(
        f"{file} has beacons that were seen {how} the time that they were sent at",
        frozenset({file}),
        (where,),
        strikes_proof=True,
    )


def _dropped(bundle: Bundle) -> bool:
    """Whether the capture itself says that it missed packets: then their absence says nothing."""
    if not bundle.has(bundle.agent_file):
        return True
    return any(line.get("dropped") for line in bundle.agent())


# --- requests without frames


def _unseen(bundle: Bundle, seen: _Seen) -> Iterator[Contradiction]:
    for file, requests, has in (
        (stamps_file(Role.DIALER, Role.DIALER), _dials(bundle), _knocked),
        (stamps_file(SUBJECT_ROLE, bundle.index.app), _answered(bundle), _spoke),
    ):
        missing = [
            one
            for one in requests
            if seen.first_ns < one.begin_ns
            and (one.end_ns or NEVER) < seen.last_ns
            and not has(seen, one)
        ]
        if missing:
            yield Contradiction(
                f"{file} tells of {missing[0].token}, and {bundle.capture_file} watched and has no "
                f"frame of it ({len(missing)} such requests)",
                frozenset({file, bundle.capture_file}),
                (missing[0].evidence, Evidence(bundle.capture_file)),
            )


def _dials(bundle: Bundle) -> Iterator[Attempt]:
    """What the dialer sent to the pod, whatever became of it: even a refusal answers a SYN. Where
    the network itself keeps strangers out, what nobody answered did not come as far as the pod."""
    kept_out = bundle.index.cell.pattern == "sidecarless"
    if not bundle.has(stamps_file(Role.DIALER, Role.DIALER)):
        return
    ours = bundle.index.subject_pod.ips
    for one in attempts(bundle, Role.DIALER, Role.DIALER):
        if one.end_ns is None or (kept_out and one.outcome == TIMEOUT):
            continue
        if shortest(one.target.rpartition(":")[0]) in ours:
            yield one


def _answered(bundle: Bundle) -> Iterator[Attempt]:
    """What the app was answered rightly, and not by the pod itself."""
    if not bundle.has(stamps_file(SUBJECT_ROLE, bundle.index.app)):
        return
    for one in attempts(bundle, SUBJECT_ROLE, bundle.index.app):
        if one.outcome == OK and not one.target.startswith(("127.", "localhost", "[::1]")):
            yield one


def _knocked(seen: _Seen, one: Attempt) -> bool:
    return _any(seen.syns.get(int(one.target.rpartition(":")[2]), []), one)


def _spoke(seen: _Seen, one: Attempt) -> bool:
    return _any(seen.sent, one) and _any(seen.came, one)


def _any(moments: list[int], one: Attempt) -> bool:
    """Whether any of some moments, in their order, lies in an attempt's time."""
    place = bisect_left(moments, one.begin_ns - CLOCK_STEP_NS)
    return place < len(moments) and moments[place] <= (one.end_ns or NEVER) + CLOCK_STEP_NS


# --- frames without a request


def _unsent(bundle: Bundle, seen: _Seen) -> Iterator[Contradiction]:
    """Tokens in clear that nobody of this cell says he sent, though he wrote after they passed."""
    if not seen.tokens:
        return
    ends = _begun(bundle, seen)
    file, nonce = bundle.capture_file, bundle.index.nonce
    for token, packet in seen.tokens.values():
        where = Evidence(file, frame=packet.frame, ns=packet.ns, text=token.text)
        if token.nonce != nonce:
            yield Contradiction(
                f"cell.json has the nonce {nonce}, and {file} a token with {token.nonce}",
                evidence=(where,),
                strikes_proof=True,
            )
            return
        stamps = _file_of(token, ends)
        if stamps and packet.ns < ends[stamps] - _KILLED_NS:
            yield Contradiction(
                f"{file} has {token.text} in clear, and {stamps} never began it",
                frozenset({file, stamps}),
                (where, Evidence(stamps)),
            )
            return


def _begun(bundle: Bundle, seen: _Seen) -> dict[str, int]:
    """Takes from the tokens that were seen those that some program began. Returns until when each
    file of stamps is whole (ns)."""
    ends: dict[str, int] = {}
    for name in bundle.stamp_files():
        last = 0
        for line in bundle.records(name):
            last = max(last, line.ns)
            if line.event in _BEGINS:
                seen.tokens.pop(line.get("token", ""), None)
            elif line.event == Stamp.APP_LAST:
                last = NEVER
        ends[name] = last
    return ends


def _file_of(token: Token, ends: dict[str, int]) -> str:
    """The stamps of a token's sender; "" where there are none."""
    its = token.sender
    for role, container in (
        (its, token.kind), (its, Container.APP), (its, its), (SUBJECT_ROLE, its),
    ):  # fmt: skip
        if (name := stamps_file(role, container)) in ends:
            return name
    return ""

"""TCP streams put together again by sequence number, as the packets pass by.

Every byte of payload reaches a listener exactly once, with the frame and time that brought it, and
with what is known of its place: bytes in order ("data"), bytes behind a hole that was never filled
("after-gap"), a retransmission that says something else than the first time ("conflict"), and
payload that fits nowhere ("unplaced"). Nothing is dropped because it is odd: odd payload was on the
wire all the same. Buffers are bounded; what leaves them early is reported, not forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from conformance.evidence.packets.capture import ACK, FIN, RST, SYN, Packet

Kind = Literal["data", "after-gap", "conflict", "unplaced"]

# Delivered bytes kept for each direction, to compare retransmissions with.
KEPT = 1 << 16
# Bytes that may wait for a hole to be filled, for each direction. Linux advertises at most 6 MiB
# by default (tcp_rmem); pods on one node never come near this.
WAITING = 4 << 20
STREAMS = 2048
_HALF = 1 << 31


class Chunk(NamedTuple):
    """Some bytes of one direction (0: from the opener, 1: to it), and the frame that had them."""

    stream: Stream
    direction: int
    data: bytes
    frame: int
    ns: int
    kind: Kind


class Listener(Protocol):
    """Who wants to know about one stream."""

    def chunk(self, chunk: Chunk) -> None:
        """Payload, in order where there is an order."""


class _Direction:
    """One direction. Offsets count payload bytes from 0."""

    __slots__ = ("delivered", "fin", "kept", "next_seq", "waiting", "waiting_bytes")

    def __init__(self) -> None:
        self.next_seq: int | None = None  # sequence number of the byte at ``delivered``
        self.delivered = 0
        self.kept = bytearray()
        self.waiting: list[tuple[int, bytes, int, int]] = []  # offset, data, frame, ns
        self.waiting_bytes = 0
        self.fin = False


class Stream:
    """One connection. opener and answerer: (address, port).

    headless: payload was seen of a direction whose SYN was not.
    """

    __slots__ = (
        "answerer", "closed", "directions", "frame", "headless", "isn", "key", "listener", "ns",
        "opener",
    )  # fmt: skip

    def __init__(
        self, opener: tuple[str, int], answerer: tuple[str, int], packet: Packet, isn: int | None
    ) -> None:
        self.opener = opener
        self.answerer = answerer
        self.key = *opener, *answerer
        self.frame = packet.frame
        self.ns = packet.ns
        self.isn = isn  # None: the opening SYN was not seen
        self.headless = False
        self.closed = False
        self.directions = (_Direction(), _Direction())
        self.listener: Listener | None = None


_Key = tuple[str, int, str, int]
_OPENS = SYN | ACK
_TURNS = SYN | FIN | RST  # without them and without payload a packet changes nothing


class Reassembler:
    """Feeds listeners from packets. ``open_listener`` is asked once for each stream."""

    def __init__(self, open_listener: Callable[[Stream], Listener]) -> None:
        self._open_listener = open_listener
        self._streams: OrderedDict[_Key, Stream] = OrderedDict()  # as they were last seen
        self._ways: dict[_Key, tuple[Stream, int]] = {}  # by source and target, each way

    def feed(self, packet: Packet) -> Stream:
        """Take one TCP packet; returns the stream it belongs to."""
        flags = packet.flags
        way = self._ways.get((packet.src, packet.sport, packet.dst, packet.dport))
        if way is None or (flags & _OPENS == SYN and _is_new(way[0], packet)):
            way = self._begin(packet, way and way[0])
        else:
            self._streams.move_to_end(way[0].key)
        stream, number = way
        if packet.payload or flags & _TURNS:
            self._see(stream, number, packet)
        return stream

    def _see(self, stream: Stream, number: int, packet: Packet) -> None:
        direction = stream.directions[number]
        seq, flags = packet.seq, packet.flags
        if flags & SYN:
            seq = (seq + 1) & 0xFFFFFFFF
            if direction.next_seq is None:
                direction.next_seq = seq
        if packet.payload:
            if direction.next_seq is None:
                direction.next_seq = seq
                stream.headless = True
            self._payload(stream, number, seq, packet)
        if flags & FIN:
            direction.fin = True
        if flags & RST or (stream.directions[0].fin and stream.directions[1].fin):
            _close(stream)

    def finish(self) -> None:
        """The capture is over: what still waits for a hole to be filled is handed out."""
        for stream in self._streams.values():
            _give_up_holes(stream)
        self._streams.clear()
        self._ways.clear()

    def _begin(self, packet: Packet, former: Stream | None) -> tuple[Stream, int]:
        """A new stream, and which of its directions the packet goes. former: between its ends."""
        source, target = (packet.src, packet.sport), (packet.dst, packet.dport)
        if former is not None:
            self._forget(former)
        opens = packet.flags & _OPENS == SYN
        if packet.flags & SYN and not opens:  # the answer to a SYN that was not seen
            stream = Stream(target, source, packet, None)
        else:
            stream = Stream(source, target, packet, packet.seq if opens else None)
        stream.listener = self._open_listener(stream)
        self._streams[stream.key] = stream
        # Where both ends are one, all goes the opener's way.
        self._ways[*stream.answerer, *stream.opener] = stream, 1
        self._ways[stream.key] = stream, 0
        if len(self._streams) > STREAMS:
            self._forget(next(iter(self._streams.values())))
        return self._ways[*source, *target]

    def _forget(self, stream: Stream) -> None:
        _give_up_holes(stream)
        del self._streams[stream.key]
        del self._ways[stream.key]
        self._ways.pop((*stream.answerer, *stream.opener), None)

    def _payload(self, stream: Stream, number: int, seq: int, packet: Packet) -> None:
        direction = stream.directions[number]
        assert direction.next_seq is not None
        ahead = (seq - direction.next_seq) & 0xFFFFFFFF
        if ahead >= _HALF:
            ahead -= 1 << 32
        data = packet.payload
        if ahead == -1 and data == b"\0":
            return  # a keepalive probe with a byte in front of the window (RFC 1122, 4.2.3.6)
        if ahead < 0:
            data = self._again(stream, number, -ahead, packet)
            if not data:
                return
            ahead = 0
        if ahead > 0:
            _wait(stream, number, (direction.delivered + ahead, data, packet.frame, packet.ns))
            return
        _deliver(stream, number, data, packet.frame, packet.ns)
        if direction.waiting:
            _deliver_waiting(stream, number)

    @staticmethod
    def _again(stream: Stream, number: int, behind: int, packet: Packet) -> bytes:
        """Look at what was sent before; returns what of the segment is new."""
        direction = stream.directions[number]
        old, new = packet.payload[:behind], packet.payload[behind:]
        if behind > len(direction.kept):
            # Older than what is kept, or before the stream's first byte: it cannot be compared.
            _emit(stream, number, packet.payload, packet.frame, packet.ns, "unplaced")
            return new
        start = len(direction.kept) - behind
        if direction.kept[start : start + len(old)] != old:
            _emit(stream, number, packet.payload, packet.frame, packet.ns, "conflict")
        return new


def _is_new(stream: Stream, packet: Packet) -> bool:
    """Whether a SYN opens a new connection between the same ports: else it is sent again."""
    source = packet.src, packet.sport
    return stream.closed or stream.isn != packet.seq or stream.opener != source


def _emit(stream: Stream, number: int, data: bytes, frame: int, ns: int, kind: Kind) -> None:
    assert stream.listener is not None
    stream.listener.chunk(Chunk(stream, number, data, frame, ns, kind))


def _deliver(
    stream: Stream, number: int, data: bytes, frame: int, ns: int, kind: Kind = "data"
) -> None:
    direction = stream.directions[number]
    assert direction.next_seq is not None
    direction.next_seq = (direction.next_seq + len(data)) & 0xFFFFFFFF
    direction.delivered += len(data)
    direction.kept += data
    if len(direction.kept) > 2 * KEPT:
        del direction.kept[:-KEPT]
    _emit(stream, number, data, frame, ns, kind)


def _wait(stream: Stream, number: int, segment: tuple[int, bytes, int, int]) -> None:
    direction = stream.directions[number]
    if segment[0] - direction.delivered > WAITING:
        _emit(stream, number, *segment[1:], "unplaced")
        return
    direction.waiting.append(segment)
    direction.waiting_bytes += len(segment[1])
    if direction.waiting_bytes > WAITING:
        _jump(stream, number)


def _deliver_waiting(stream: Stream, number: int, kind: Kind = "data") -> None:
    """Hand out what has become contiguous."""
    direction = stream.directions[number]
    direction.waiting.sort(key=lambda one: one[0])
    while direction.waiting and direction.waiting[0][0] <= direction.delivered:
        offset, data, frame, ns = direction.waiting.pop(0)
        direction.waiting_bytes -= len(data)
        behind = direction.delivered - offset
        if behind:
            old = data[:behind]
            start = len(direction.kept) - behind
            if start < 0 or direction.kept[start : start + len(old)] != old:
                _emit(stream, number, data, frame, ns, "conflict" if start >= 0 else "unplaced")
            data = data[behind:]
        if data:
            _deliver(stream, number, data, frame, ns, kind)
            kind = "data"


def _jump(stream: Stream, number: int) -> None:
    """Give up the first hole and go on behind it."""
    direction = stream.directions[number]
    assert direction.next_seq is not None
    first = min(one[0] for one in direction.waiting)
    skipped = first - direction.delivered
    direction.next_seq = (direction.next_seq + skipped) & 0xFFFFFFFF
    direction.delivered = first
    direction.kept.clear()
    _deliver_waiting(stream, number, "after-gap")


def _give_up_holes(stream: Stream) -> None:
    for number, direction in enumerate(stream.directions):
        while direction.waiting:
            _jump(stream, number)


def _close(stream: Stream) -> None:
    """What comes now can only come again: it is compared with what is kept."""
    stream.closed = True

"""A capture without what nobody can read: what stands in encrypted records becomes zeros.

Encrypted bytes are most of a capture, say nothing to any judge, and cannot be compressed. They are
taken away only where both hellos are in the capture and the chosen cipher encrypts, and up to the
first byte that is no TLS (evidence/packets/tls.py): headers, handshakes, lengths, times, ports,
numbers and everything in clear stay, less its secrets. Of the two hellos themselves only what is
drawn by lot goes, too (opaque.py). What is random in each packet and read by nobody becomes zeros:
checksums, IPv4's identification, TCP's timestamps. A verdict is the same before and after.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from pathlib import Path

from conformance.evidence import compressed
from conformance.evidence.packets.capture import ACK, ETHERNET, SLL2, SYN, Capture, Packet
from conformance.evidence.packets.pcap import HEADER_BYTES, RECORD_BYTES, Pcap
from conformance.evidence.packets.tls import RecordCheck, pair
from conformance.report.pack import opaque, secrets

_APPLICATION = 23  # RFC 8446, 5.1: the content type whose body is encrypted, and nothing but that
_HEAD = 5
_LARGEST_HELLO = 1 << 15  # a hello lies within so many bytes of its stream, or stays as it is
_HANDSHAKE, _ALERT = 22, 21
_LINK_BYTES = {ETHERNET: 14, SLL2: 20}
_IPV4, _IPV6, _TCP, _TIMESTAMPS = 4, 6, 6, 8
_WRAP = 1 << 32
_Side = tuple[str, int, str, int]


@dataclass
class _Direction:
    """One side of a stream. begins and ends: offsets of what is to be zeros. head and left: of
    the present record, its header, and how many bytes are to come. peer: the other side. shake:
    the present handshake record, until both hellos are known (settled); lots: what is drawn by lot
    in it; placed: where its first bytes stand in the file (stream offset, length, file offset)."""

    base: int = -1
    next: int = 0
    tls: bool | None = None
    check: RecordCheck | None = None
    head: bytearray = field(default_factory=bytearray)
    left: int = 0
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    secret: bool = False
    peer: _Direction | None = None
    settled: bool = False
    shake: bytearray = field(default_factory=bytearray)
    lots: list[tuple[int, int]] = field(default_factory=list)
    placed: list[tuple[int, int, int]] = field(default_factory=list)


def cleared(source: Path) -> bytes:
    """The capture of a bundle, without its encrypted bytes and its secrets.

    Raises UnreadableCapture; a half record at the end stays what it was.
    """
    sides: dict[_Side, _Direction] = {}
    content = bytearray(compressed.content(source))
    at = HEADER_BYTES
    with Pcap(source) as file:
        for record, packet in zip(file, Capture(source), strict=True):
            begin, at = at + RECORD_BYTES, at + RECORD_BYTES + len(record.frame)
            frame = record.frame
            if packet.payload and packet.kind in ("tcp", "udp"):
                side = packet.src, packet.sport, packet.dst, packet.dport
                if packet.flags & SYN or side not in sides:
                    sides[side] = _Direction()  # data in a SYN: a stream of which nothing is taken
                frame = _cleared(content, begin, frame, packet, sides[side])
            elif packet.flags & SYN and packet.kind == "tcp":
                side = packet.src, packet.sport, packet.dst, packet.dport
                _open(sides, side, packet)
            content[begin:at] = _plain(frame, _LINK_BYTES.get(file.link, len(frame)))
    content[at:] = secrets.without(bytes(content[at:]))
    return bytes(content)


def _open(sides: dict[_Side, _Direction], side: _Side, packet: Packet) -> None:
    """A direction's beginning; who answers a SYN is the other side of the same connection."""
    base = (packet.seq + 1) % _WRAP
    before = sides.get(side)
    if before is not None and before.base == base:
        return  # sent again
    asked = sides.get((*side[2:], *side[:2])) if packet.flags & ACK else None
    if asked is not None and asked.check is not None:
        sides[side] = _Direction(base=base, check=asked.check.other, peer=asked)
        asked.peer = sides[side]
    elif not packet.flags & ACK:
        sides[side] = _Direction(base=base, check=pair()[0])
    else:
        sides[side] = _Direction()  # the SYN that it answers is not in the capture


def _encrypted(side: _Direction) -> bool:
    """Whether the server's hello is known, and chose a cipher that encrypts."""
    check = side.check
    if check is None or check.violation:
        return False
    server = check.other if check.opener else check
    said = server.said if server is not None else None
    return said is not None and said.encrypts is True


def _cleared(
    content: bytearray, begin: int, frame: bytes, packet: Packet, side: _Direction
) -> bytes:
    payload = packet.payload
    place = frame.rfind(packet.payload)
    if packet.kind == "tcp":
        payload = _without_bodies(content, begin + place, packet, side)
    payload, side.secret = secrets.without_in_stream(payload, side.secret)
    if payload == packet.payload:
        return frame
    return frame[:place] + payload + frame[place + len(payload) :]


def _without_bodies(content: bytearray, place: int, packet: Packet, side: _Direction) -> bytes:
    payload = packet.payload
    if side.base < 0:  # its beginning is not in the capture: no record can be found in it
        if side.tls is None:
            side.tls = False
        return payload
    offset = (packet.seq - side.base) % _WRAP
    if offset > _WRAP // 2:
        return payload  # before its beginning: a keepalive probe
    if side.tls is None:
        side.tls = payload[0] in (_HANDSHAKE, _ALERT) and offset == 0
    if not side.settled and offset < _LARGEST_HELLO:
        side.placed.append((offset, len(payload), place))
    if offset <= side.next < offset + len(payload) and side.tls:
        _follow(payload[side.next - offset :], side)
        _settle(content, side)
    return _zeroed(payload, offset, side)


def _settle(content: bytearray, side: _Direction) -> None:
    """When both hellos are known and are well: take out of them what is drawn by lot, in the
    packets that are written, too."""
    peer = side.peer
    if side.settled or peer is None or not (_encrypted(side) and _encrypted(peer)):
        return
    for one in (side, peer):
        one.settled = True
        for begin, end in one.lots:
            insort(one.begins, begin)
            insort(one.ends, end)
            for offset, size, place in one.placed:
                low, high = max(begin, offset), min(end, offset + size)
                if low < high:
                    content[place + low - offset : place + high - offset] = bytes(high - low)
        one.lots, one.placed = [], []


def _follow(data: bytes, side: _Direction) -> None:
    """Read records on from where the side was, and note what of their bodies is to be zeros."""
    if side.check is not None and side.check.feed(data) is not None:
        side.tls = False  # it goes on in clear: nothing from here on is taken away
    at = 0
    while at < len(data) and side.tls:
        if side.left:
            step = min(side.left, len(data) - at)
            begin = side.next + at
            if side.head[0] == _APPLICATION and _encrypted(side):
                if side.ends and side.ends[-1] == begin:
                    side.ends[-1] = begin + step
                else:
                    side.begins.append(begin)
                    side.ends.append(begin + step)
            elif side.head[0] == _HANDSHAKE and not side.settled:
                side.shake += data[at : at + step]
            side.left -= step
            at += step
            if not side.left:
                _drawn(side, side.next + at)
                side.head.clear()
            continue
        side.head.append(data[at])
        at += 1
        if len(side.head) == _HEAD:
            side.left = side.head[3] << 8 | side.head[4]
            if not side.left:
                side.head.clear()
    side.next += len(data)


def _drawn(side: _Direction, end: int) -> None:
    """Note what is drawn by lot in the handshake record that ends here."""
    first = end - len(side.shake)
    if side.shake and end <= _LARGEST_HELLO:
        side.lots += [(first + low, first + high) for low, high in opaque.spans(side.shake)]
    side.shake.clear()


def _zeroed(payload: bytes, offset: int, side: _Direction) -> bytes:
    """The payload without those of its bytes that stand in bodies, a retransmission too."""
    place = max(bisect_right(side.begins, offset) - 1, 0)
    cleared = bytearray(payload)
    for begin, end in zip(side.begins[place:], side.ends[place:], strict=True):
        if begin >= offset + len(payload):
            break
        low, high = max(begin - offset, 0), min(end - offset, len(payload))
        if low < high:
            cleared[low:high] = bytes(high - low)
    return bytes(cleared)


def _plain(frame: bytes, at: int) -> bytes:
    """A frame without its checksums, IPv4's identification and TCP's timestamps. at: of its IP."""
    if len(frame) < at + 40:
        return frame
    plain = bytearray(frame)
    version, transport = frame[at] >> 4, at + 40
    if version == _IPV4:
        transport = at + (frame[at] & 15) * 4
        plain[at + 4 : at + 6] = plain[at + 10 : at + 12] = b"\0\0"
    protocol = {_IPV4: frame[at + 9], _IPV6: frame[at + 6]}.get(version, 0)
    if protocol != _TCP or len(frame) < transport + 20:
        return bytes(plain)
    plain[transport + 16 : transport + 18] = b"\0\0"
    option, end = transport + 20, min(transport + (frame[transport + 12] >> 4) * 4, len(frame))
    while option < end and frame[option]:  # 0 ends the list
        if frame[option] == 1:  # fills up
            option += 1
            continue
        size = frame[option + 1] if option + 1 < end else 0
        if size < 2:
            break
        if frame[option] == _TIMESTAMPS and option + size <= end:
            plain[option + 2 : option + size] = bytes(size - 2)
        option += size
    return bytes(plain)

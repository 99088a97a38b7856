"""Frames as they stand on the wire, for forged captures: quick to make, and nothing random."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

POD_MAC, NODE_MAC = bytes.fromhex("020000000007"), bytes.fromhex("020000000001")
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 1_000_000
End = tuple[str, int]
Frame = tuple[int, bytes]  # ns, Ethernet frame


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    """A TLS record."""
    return struct.pack("!BHH", kind, version, len(body)) + body


RANDOM, SESSION = bytes(range(128, 160)), bytes(range(160, 192))


def message(kind: int, body: bytes) -> bytes:
    """A message of a handshake."""
    return bytes([kind]) + len(body).to_bytes(3) + body


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def client_hello(
    *extensions: bytes, suites: bytes = b"\x13\x01\xc0\x2b\xc0\x2f", more: bytes = b""
) -> bytes:
    """A ClientHello in its record. more: what stands behind it there."""
    added = b"".join(extensions)
    body = b"\x03\x03" + RANDOM + b"\x20" + SESSION + struct.pack("!H", len(suites)) + suites
    body += b"\x01\x00" + struct.pack("!H", len(added)) + added
    return record(22, message(1, body) + more, 0x0301)


def server_hello(suite: int = 0x1301, *, thirteen: bool = True, more: bytes = b"") -> bytes:
    """A ServerHello in its record."""
    added = extension(43, b"\x03\x04") if thirteen else b""
    body = b"\x03\x03" + RANDOM + b"\x20" + SESSION + struct.pack("!HB", suite, 0)
    body += struct.pack("!H", len(added)) + added
    return record(22, message(2, body) + more)


CLIENT_HELLO = client_hello(extension(43, b"\x02\x03\x04"), extension(51, b"\x80" * 38))
SERVER_HELLO = server_hello()
CHANGE = record(20, b"\x01")
ALERT = record(21, b"\x02\x28")


def sealed(size: int = 200) -> bytes:
    """A record of application data."""
    return record(23, b"\xa5" * size)


def ethernet(ethertype: int, payload: bytes, *, from_pod: bool) -> bytes:
    to_from = NODE_MAC + POD_MAC if from_pod else POD_MAC + NODE_MAC
    return to_from + struct.pack("!H", ethertype) + payload


def ip(source: str, target: str, protocol: int, body: bytes, fragment: int = 0) -> bytes:
    """An IP packet of either family. fragment: the IPv4 flags-and-offset field."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if one.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64)
        return head + one.packed + other.packed + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, fragment, 64, protocol, 0)
    return head + one.packed + other.packed + body


def framed(source: str, target: str, protocol: int, body: bytes, pod: Iterable[str]) -> bytes:
    ethertype = 0x86DD if ":" in source else 0x0800
    return ethernet(ethertype, ip(source, target, protocol, body), from_pod=source in pod)


def tcp(source: End, target: End, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    head = struct.pack(
        "!HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags,
        65535, 0, 0,
    )  # fmt: skip
    return head + data


def udp(source: End, target: End, data: bytes) -> bytes:
    return struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data


def question(name: str) -> bytes:
    """A DNS message that asks for the address of a name (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def segment(
    ns: int, source: End, target: End, seq: int, flags: int, data: bytes, pod: Iterable[str]
) -> Frame:
    """One TCP segment in its frame."""
    return ns, framed(source[0], target[0], 6, tcp(source, target, seq, 0, flags, data), pod)


def talk(
    ns: int,
    opener: End,
    answerer: End,
    says: Sequence[tuple[int, bytes]],
    pod: Iterable[str],
    *,
    isn: tuple[int, int] = (1000, 5000),
    step: int = MS,
    syn: bool = True,
    end: str = "fin",
) -> list[Frame]:
    """A TCP conversation. says: (0: the opener, 1: the answerer; bytes). end: fin, rst or ""."""
    ends, pod = (opener, answerer), tuple(pod)
    seqs = [isn[0], isn[1]]
    frames: list[Frame] = []

    def put(who: int, flags: int, data: bytes = b"") -> None:
        at = ns + len(frames) * step
        frames.append(segment(at, ends[who], ends[1 - who], seqs[who], flags, data, pod))
        seqs[who] += len(data) + bool(flags & (SYN | FIN))

    if syn:
        put(0, SYN)
        put(1, SYN | ACK)
    else:
        seqs = [isn[0] + 1, isn[1] + 1]
    put(0, ACK)
    for who, data in says:
        for start in range(0, len(data), 1400):
            put(who, ACK | PSH, data[start : start + 1400])
    if end == "fin":
        put(0, FIN | ACK)
        put(1, FIN | ACK)
    elif end == "rst":
        put(1, RST | ACK)
    return frames


def refused(ns: int, opener: End, answerer: End, pod: Iterable[str]) -> list[Frame]:
    """A SYN, and the RST that answers it."""
    pod = tuple(pod)
    return [
        segment(ns, opener, answerer, 1000, SYN, b"", pod),
        segment(ns + MS, answerer, opener, 0, RST | ACK, b"", pod),
    ]


def beacon(boot: str, seq: int, ns: int, kind: str) -> Frame:
    payload = f"SCB1 {boot} {seq} {ns} {kind}\n".encode().ljust(80, b"\0")
    return ns, ethernet(0x88B5, payload, from_pod=True)


def sll2(frame: bytes, *, interface: int, sent: bool) -> bytes:
    """The same packet as a capture on all interfaces of the node writes it."""
    head = frame[12:14] + b"\0\0" + struct.pack("!IHBB", interface, 1, 4 if sent else 0, 6)
    return head + frame[6:12] + b"\0\0" + frame[14:]


def write_pcap(path: Path, frames: Iterable[Frame], link: int = 1, cut_to: int = 0) -> None:
    """A nanosecond pcap in the order of time. cut_to: the snapshot length, 0 for all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
        for ns, frame in sorted(frames, key=lambda one: one[0]):
            kept = frame[:cut_to] if cut_to else frame
            seconds, rest = divmod(ns, 1_000_000_000)
            out.write(struct.pack("<IIII", seconds, rest, len(kept), len(frame)) + kept)

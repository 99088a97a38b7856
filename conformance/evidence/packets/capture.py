"""Reads packet captures in one pass: pcap files of Ethernet or LINUX_SLL2 frames.

Frames are numbered from 1 in file order, as tcpdump and Wireshark number them. Of each frame only
what judges look at is decoded here, for scapy's dissection of whole packets takes a hundred times
as long (``dissect`` does it for the few that a verdict names). Memory does not grow with the file.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from conformance.evidence.packets.pcap import Pcap, UnreadableCapture
from conformance.evidence.packets.uncollected import uncollected

ETHERNET = 1  # LINKTYPE_ETHERNET
SLL2 = 276  # LINKTYPE_LINUX_SLL2
BEACON = 0x88B5  # IEEE 802 local experimental ethertype 1: the suite's beacon
ARP = 0x0806
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = (0x8100, 0x88A8)
_TCP, _UDP = 6, 17
_PROTOCOLS = {_TCP: "tcp", _UDP: "udp", 1: "icmp", 58: "icmp", 2: "igmp"}
_EXTENSIONS = (0, 43, 60, 135)  # IPv6: hop-by-hop, routing, destination, mobility: 8-byte units
_SLL2_OUTGOING = 4  # PACKET_OUTGOING: an interface of the capturing machine sent it

# TCP in IPv4 whose header has no options, which most frames of a capture are, at one go: the MAC or
# the kind of the SLL2 packet, ethertype; version and header length, total length, fragment,
# protocol, addresses; ports, sequence number, header length and flags.
_COMMON = "BxH2xHxB2x4s4sHHI4xBB"
_ETHERNET_TCP = struct.Struct(f"!6x6sH{_COMMON}").unpack_from
_SLL2_TCP = struct.Struct(f"!H8xB9x{_COMMON}").unpack_from
_NO_OPTIONS = 0x45  # version 4, a header of five words
_HEADERS = 40  # bytes of both headers, without options
_PIECE = 0x3FFF  # more fragments follow, or an offset


class Packet(NamedTuple):
    """One frame.

    kind: tcp, udp, icmp (v4 and v6), igmp, arp, beacon, fragment (a piece of an IP packet),
    ip (another protocol above IP), other (another ethertype, or cut short).
    payload: what the kind carries. cut: bytes of the frame are not in the capture.
    mac: the sender's, Ethernet only. sent: whether the node's interface sent it, SLL2 only.
    """

    frame: int
    ns: int
    kind: str
    src: str
    dst: str
    sport: int
    dport: int
    seq: int
    flags: int
    payload: bytes
    cut: bool
    mac: bytes
    sent: bool | None


class Capture:
    """A capture file. Iterate it once; then ``frames`` and ``truncated`` tell how it ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        self.truncated = False  # the last record is not whole: tcpdump was killed, or still writes

    def __iter__(self) -> Iterator[Packet]:
        with Pcap(self.path) as file:
            if file.link not in (ETHERNET, SLL2):
                raise UnreadableCapture(
                    f"{self.path.name} has link type {file.link}, not Ethernet or SLL2"
                )
            for frame, (ns, data, size) in enumerate(file, 1):
                self.frames = frame
                yield _decode(frame, ns, data, file.link, len(data) < size)
            self.truncated = file.truncated


class KeptCapture(Capture):
    """A capture that is decoded once, and its packets are kept: iterate it as often as you like.

    Some 500 bytes a packet stay in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._packets: list[Packet] | None = None

    def __iter__(self) -> Iterator[Packet]:
        if self._packets is None:
            with uncollected():
                self._packets = list(super().__iter__())
        return iter(self._packets)


def decoded(frame: int, ns: int, data: bytes) -> Packet:
    """The Ethernet frame that another packet carries (a tunnel's), under that one's number."""
    return _decode(frame, ns, data, ETHERNET, cut=False)


@lru_cache(maxsize=4096)
def address(raw: bytes) -> str:
    """An IP address of 4 or 16 bytes in its shortest form."""
    return str(ipaddress.ip_address(raw))


def _decode(frame: int, ns: int, data: bytes, link: int, cut: bool) -> Packet:
    plain = _common(frame, ns, data, link, cut)
    return _any(frame, ns, data, link, cut) if plain is None else plain


def _common(frame: int, ns: int, data: bytes, link: int, cut: bool) -> Packet | None:
    """TCP in whole IPv4 without options; None for anything else, which _any takes. What it answers
    is what _any answers (a test holds them together)."""
    if link == ETHERNET:
        at, sent = 14, None
        if len(data) < at + _HEADERS:
            return None
        (mac, ethertype, first, total, piece, protocol,
         source, target, sport, dport, seq, words, flags) = _ETHERNET_TCP(data)  # fmt: skip
    else:
        at, mac = 20, b""
        if len(data) < at + _HEADERS:
            return None
        (ethertype, way, first, total, piece, protocol,
         source, target, sport, dport, seq, words, flags) = _SLL2_TCP(data)  # fmt: skip
        sent = way == _SLL2_OUTGOING
    if ethertype != _IPV4 or first != _NO_OPTIONS or protocol != _TCP or piece & _PIECE:
        return None
    if not _HEADERS <= total <= len(data) - at:
        return None
    body = data[at + 20 + (words >> 4) * 4 : at + total]
    src, dst = address(source), address(target)
    return Packet(frame, ns, "tcp", src, dst, sport, dport, seq, flags, body, cut, mac, sent)


def _any(frame: int, ns: int, data: bytes, link: int, cut: bool) -> Packet:
    mac, sent = b"", None
    if link == ETHERNET:
        if len(data) < 14:
            return _bare(frame, ns, "other", data, cut, mac, sent)
        mac = data[6:12]
        ethertype = data[12] << 8 | data[13]
        at = 14
    else:
        if len(data) < 20:
            return _bare(frame, ns, "other", data, cut, mac, sent)
        ethertype = data[0] << 8 | data[1]
        sent = data[10] == _SLL2_OUTGOING
        at = 20
    while ethertype in _VLANS and len(data) >= at + 4:
        ethertype = data[at + 2] << 8 | data[at + 3]
        at += 4
    if ethertype == _IPV4:
        return _ipv4(frame, ns, data, at, cut, mac, sent)
    if ethertype == _IPV6:
        return _ipv6(frame, ns, data, at, cut, mac, sent)
    kind = {BEACON: "beacon", ARP: "arp"}.get(ethertype, "other")
    return _bare(frame, ns, kind, data[at:], cut, mac, sent)


def _bare(
    frame: int, ns: int, kind: str, payload: bytes, cut: bool, mac: bytes, sent: bool | None
) -> Packet:
    return Packet(frame, ns, kind, "", "", 0, 0, 0, 0, payload, cut, mac, sent)


def _ipv4(
    frame: int, ns: int, data: bytes, at: int, cut: bool, mac: bytes, sent: bool | None
) -> Packet:
    header = (data[at] & 0x0F) * 4 if len(data) > at else 0
    if header < 20 or len(data) < at + header:
        return _bare(frame, ns, "other", data[at:], cut, mac, sent)
    total = data[at + 2] << 8 | data[at + 3]
    # A packet that the sender's card would cut (TSO) may have a total length of 0.
    end = min(at + total, len(data)) if total else len(data)
    cut = cut or at + total > len(data)
    src, dst = address(data[at + 12 : at + 16]), address(data[at + 16 : at + 20])
    if (data[at + 6] << 8 | data[at + 7]) & _PIECE:
        body = data[at + header : end]
        return Packet(frame, ns, "fragment", src, dst, 0, 0, 0, 0, body, cut, mac, sent)
    return _upper(frame, ns, data, at + header, end, data[at + 9], src, dst, cut, mac, sent)


def _ipv6(
    frame: int, ns: int, data: bytes, at: int, cut: bool, mac: bytes, sent: bool | None
) -> Packet:
    if len(data) < at + 40:
        return _bare(frame, ns, "other", data[at:], cut, mac, sent)
    length = data[at + 4] << 8 | data[at + 5]
    end = min(at + 40 + length, len(data)) if length else len(data)
    cut = cut or at + 40 + length > len(data)
    src, dst = address(data[at + 8 : at + 24]), address(data[at + 24 : at + 40])
    protocol = data[at + 6]
    at += 40
    while (protocol in _EXTENSIONS or protocol == 44) and at + 8 <= end:
        if protocol == 44:
            if (data[at + 2] << 8 | data[at + 3]) & 0xFFF9:
                body = data[at + 8 : end]
                return Packet(frame, ns, "fragment", src, dst, 0, 0, 0, 0, body, cut, mac, sent)
            size = 8
        else:
            size = (data[at + 1] + 1) * 8
        protocol = data[at]
        at += size
    return _upper(frame, ns, data, at, end, protocol, src, dst, cut, mac, sent)


def _upper(
    frame: int,
    ns: int,
    data: bytes,
    at: int,
    end: int,
    protocol: int,
    src: str,
    dst: str,
    cut: bool,
    mac: bytes,
    sent: bool | None,
) -> Packet:
    kind = _PROTOCOLS.get(protocol, "ip")
    if kind == "tcp" and end - at >= 20:
        start = at + (data[at + 12] >> 4) * 4
        sport, dport, seq = struct.unpack_from("!HHI", data, at)
        flags = data[at + 13]
        body = data[start:end]
        return Packet(frame, ns, kind, src, dst, sport, dport, seq, flags, body, cut, mac, sent)
    if kind == "udp" and end - at >= 8:
        sport, dport = struct.unpack_from("!HH", data, at)
        body = data[at + 8 : end]
        return Packet(frame, ns, kind, src, dst, sport, dport, 0, 0, body, cut, mac, sent)
    if kind in ("tcp", "udp"):
        kind = "ip"
    return Packet(frame, ns, kind, src, dst, 0, 0, 0, 0, data[at:end], cut, mac, sent)

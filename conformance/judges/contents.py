"""What may stand in payload that an exception explains: the very bytes that its reason gives.

An exception is a hole in "everything must be TLS"; each is held to its size, its form and its
direction, so that nothing else passes through it.
"""

from __future__ import annotations

import re
import struct

from conformance.evidence.packets import dns
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.coverage import BEACON_TEXT
from conformance.evidence.packets.runs import READABLE, has_run
from conformance.evidence.packets.tls_hello import READABLE_HELLO

_ARP_SIZE = 28  # RFC 826, Ethernet and IPv4; a frame is filled up with zeros
# ICMP: an error quotes a packet (Linux: at most 576 bytes with all headers, net/ipv4/icmp.c).
_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}
_ECHOES = {4: (0, 8), 6: (128, 129)}
# Neighbour discovery and group membership (RFC 4861, 2710, 3810), whose options are addresses.
_NEIGHBOURS = {4: (), 6: (130, 131, 132, 133, 134, 135, 136, 137, 143)}
_QUOTED, _ANNOUNCED = 584, 256
_ECHO_STAMP = 16  # ping puts its time in front of its pattern
_IGMP_FIXED = (0x11, 0x12, 0x16, 0x17)
_IGMP_V3_REPORT = 0x22
# A query is a header, a name of at most 255 bytes, and an option record (RFC 6891): 17 bytes and
# what it holds.
_DNS_QUERY, _DNS_AFTER = 512, 64
_DNS_ANSWER = 4096  # RFC 6891, 6.2.5
_PROBE = 2048  # bytes of a probe's request, and as many of its answer; the suite's have some 150
_ASKED = re.compile(
    rb"(?:GET|HEAD|POST) /[A-Za-z0-9/_.-]{0,120} HTTP/1\.[01]\r\n"
    rb"(?:[A-Za-z0-9-]{1,40}: ?[\x20-\x7e]{0,512}\r\n)*\r\n"
)
_NO_BODY = re.compile(rb"\r\nContent-Length: *[1-9]", re.IGNORECASE)


def strange_frame(packet: Packet) -> str:
    """Why a frame of a plain kind is not what its kind carries; "" when it is."""
    if packet.kind == "beacon":
        match = BEACON_TEXT.match(packet.payload)
        clean = match is not None and not packet.payload[match.end() :].strip(b"\0")
        return "" if clean else "a beacon's frame with something else in it"
    if packet.kind == "arp":
        filled = packet.payload[_ARP_SIZE:].strip(b"\0")
        right = packet.payload[:6] == b"\0\1\x08\0\x06\x04" and not filled
        return "" if right else "ARP with something else in it"
    if packet.kind == "igmp":
        return "" if _is_igmp(packet.payload) else "IGMP with something else in it"
    return _strange_icmp(packet)


def _is_igmp(data: bytes) -> bool:
    if len(data) < 8:
        return False
    if data[0] != _IGMP_V3_REPORT:
        queried = data[0] == _IGMP_FIXED[0] and len(data) >= 12  # version 3: RFC 3376, 4.1
        return data[0] in _IGMP_FIXED and len(data) == (
            12 + 4 * struct.unpack_from("!H", data, 10)[0] if queried else 8
        )
    at = 8
    for _ in range(struct.unpack_from("!H", data, 6)[0]):
        if len(data) < at + 8:
            return False
        more, sources = data[at + 1], struct.unpack_from("!H", data, at + 2)[0]
        at += 8 + 4 * (sources + more)
    return at == len(data)


def _strange_icmp(packet: Packet) -> str:
    data, family = packet.payload, 6 if ":" in packet.src else 4
    kind = data[0] if data else -1
    if kind in _ECHOES[family]:
        return "" if _is_ping(data[8:]) else "a ping with something else in it"
    bound = _QUOTED if kind in _ERRORS[family] else _ANNOUNCED if kind in _NEIGHBOURS[family] else 0
    if len(data) > bound or has_run(READABLE, data, READABLE_HELLO):
        return f"ICMP of type {kind} with something else in it"
    return ""


def _is_ping(data: bytes) -> bool:
    """What ping sends: a time, and bytes that count up, or nothing but zeros."""
    return any(
        all((value - data[start]) & 0xFF == place for place, value in enumerate(data[start:]))
        or not data[start:].strip(b"\0")
        for start in (0, _ECHO_STAMP // 2, _ECHO_STAMP)
        if start < len(data) or not data
    )


def strange_lookup(message: bytes, *, asked: bool) -> str:
    """Why a datagram is no DNS message, or says more than one does; "" when it is in order."""
    question = dns.question(message)
    if question is None or question.answered == asked:
        return "a datagram that is no DNS message"
    if len(message) > (_DNS_QUERY if asked else _DNS_ANSWER):
        return f"a DNS message of {len(message)} bytes"
    behind = len(message) - 12 - len(question.name) - 6
    if asked and behind > _DNS_AFTER:
        return f"a DNS question with {behind} bytes behind it"
    return ""


def name_in(message: bytes) -> bytes:
    """The name that a DNS message asks for, with dots, and once without."""
    question = dns.question(message)
    if question is None:
        return b""
    name = question.name.encode("ascii", "replace")
    return name + b"\n" + name.replace(b".", b"")


class ProbeCheck:
    """One connection to a port for probes: a request without a body, and one short answer."""

    __slots__ = ("_answered", "_asked")

    def __init__(self) -> None:
        self._asked = b""
        self._answered = b""

    def feed(self, direction: int, data: bytes) -> str:
        """Why these bytes are no probe or no answer to one; "" as long as they may be."""
        if direction == 0:
            self._asked += data[: _PROBE + 1]
            asked = self._asked
            if len(asked) > _PROBE or not b"GET HEAD POST".find(asked[:3]) >= 0:
                return "a request that is no probe"
            if b"\r\n\r\n" in asked and (not _ASKED.fullmatch(asked) or _NO_BODY.search(asked)):
                return "a request that is no probe"
            return ""
        self._answered += data[: _PROBE + 1]
        if len(self._answered) > _PROBE or not self._answered.startswith(b"HTTP/1."):
            return "an answer that is none to a probe"
        return ""

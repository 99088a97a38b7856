"""The forms of what an exception explains, byte by byte, at their bounds."""

from __future__ import annotations

import struct

import pytest

from conformance.evidence.packets.capture import Packet
from conformance.judges.contents import ProbeCheck, name_in, strange_frame, strange_lookup
from tests.forge import wire
from tests.worlds.leaks import message

NOISE = b"\xa5"  # what nobody can read
OTHERWISE = "with something else in it"


def frame(kind: str, payload: bytes, src: str = "10.0.0.1") -> Packet:
    return Packet(1, 1, kind, src, src, 0, 0, 0, 0, payload, False, b"", None)


def said_of(packet: Packet, strange: bool) -> str:
    """What is said of a frame, which is something where it is strange, and nothing else."""
    said = strange_frame(packet)
    assert said.endswith(OTHERWISE) if strange else said == ""
    return said


def beacon(more: bytes = b"") -> bytes:
    _, made = wire.beacon("00112233445566ff", 3, 5, "beat")
    return made[14:].rstrip(b"\0") + more


ARP = b"\0\1\x08\0\x06\x04\0\1" + NOISE * 20


@pytest.mark.parametrize(("kind", "payload", "strange"), [
    ("beacon", beacon(), False),
    ("beacon", beacon(bytes(40)), False),
    ("beacon", beacon(bytes(9) + b"x"), True),
    ("beacon", b"x" + beacon(), True),
    ("beacon", b"", True),
    ("arp", ARP, False),
    ("arp", ARP + bytes(18), False),
    ("arp", ARP + bytes(17) + b"x", True),
    ("arp", b"\0\1\x08\0\x06\x05" + ARP[6:], True),
    ("igmp", b"\x16\0" + NOISE * 6, False),
    ("igmp", b"\x16\0" + NOISE * 5, True),
    ("igmp", b"\x16\0" + NOISE * 7, True),
    ("igmp", b"\x99\0" + NOISE * 6, True),
    ("igmp", b"\x17\0" + NOISE * 10, True),
    ("igmp", b"\x11\0" + NOISE * 6, False),
    ("igmp", b"\x11\0" + NOISE * 8 + b"\0\0", False),
    ("igmp", b"\x11\0" + NOISE * 8 + b"\0\2" + NOISE * 8, False),
    ("igmp", b"\x11\0" + NOISE * 8 + b"\0\2" + NOISE * 7, True),
    ("igmp", b"\x11\0" + NOISE * 8 + b"\0\2" + NOISE * 9, True),
    ("igmp", b"", True),
    # version 3: a report of groups, each with its sources and its own data
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\0", False),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\1" + b"\4\0\0\0" + NOISE * 4, False),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\1" + b"\4\1\0\2" + NOISE * 16, False),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\1" + b"\4\1\0\2" + NOISE * 17, True),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\1" + b"\4\1\0\2" + NOISE * 15, True),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\1" + b"\4\0\0", True),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\2" + b"\4\0\0\0" + NOISE * 4, True),
    ("igmp", b"\x22\0" + NOISE * 4 + b"\0\2" + b"\4\0\0\1" + NOISE * 8 + b"\3\0\0\0" + NOISE * 4,
     False),
])  # fmt: skip
def test_frames_hold_what_their_kind_does(kind: str, payload: bytes, strange: bool) -> None:
    said = said_of(frame(kind, payload), strange)
    assert not strange or kind in said.lower()


@pytest.mark.parametrize(("source", "payload", "strange"), [
    # an error quotes a packet
    ("10.0.0.1", b"\x03" + NOISE * 583, False),
    ("10.0.0.1", b"\x03" + NOISE * 584, True),
    ("10.0.0.1", b"\x0b" + NOISE * 583, False),
    ("10.0.0.1", b"\x0b" + NOISE * 9 + b"GET /secret HTTP/1.1 \r\nHost: somewhere", True),
    ("fd00::1", b"\x01" + NOISE * 583, False),
    ("fd00::1", b"\x01" + NOISE * 584, True),
    # neighbours are found in IPv6 alone
    ("fd00::1", b"\x87" + NOISE * 255, False),
    ("fd00::1", b"\x87" + NOISE * 256, True),
    ("10.0.0.1", b"\x87" + NOISE * 3, True),
    ("fd00::1", b"\x03" + NOISE * 3, False),
    ("fd00::1", b"\x0b" + NOISE * 3, True),
    ("10.0.0.1", b"", False),
    ("10.0.0.1", b"\x0d", True),  # a time stamp: nobody asks for it
    # a ping: a time of 8 or 16 bytes or none, then bytes that count up, or zeros
    ("10.0.0.1", b"\x08" + bytes(7), False),
    ("10.0.0.1", b"\x00" + bytes(7) + bytes(range(16, 72)), False),
    ("10.0.0.1", b"\x08" + bytes(7) + NOISE * 8 + bytes(range(8, 56)), False),
    ("10.0.0.1", b"\x08" + bytes(7) + NOISE * 16 + bytes(range(16, 56)), False),
    ("10.0.0.1", b"\x08" + bytes(7) + NOISE * 17 + bytes(range(16, 56)), True),
    ("10.0.0.1", b"\x08" + bytes(7) + NOISE * 16 + bytes(40), False),
    ("10.0.0.1", b"\x08" + bytes(7) + NOISE * 16 + bytes(39) + b"x", True),
    ("10.0.0.1", b"\x08" + bytes(7) + bytes(range(200, 256)) + bytes(range(20)), False),
    ("fd00::1", b"\x80" + bytes(7) + NOISE * 16 + bytes(range(16, 56)), False),
    ("fd00::1", b"\x81" + bytes(7) + b"user=admin&password=hunter2", True),
    ("fd00::1", b"\x08" + bytes(7) + bytes(range(16, 72)), True),  # of the other family
])  # fmt: skip
def test_icmp_says_what_its_type_does(source: str, payload: bytes, strange: bool) -> None:
    said_of(frame("icmp", payload, source), strange)


def lookup(size: int = 0, name: str = "peer.forged.svc") -> bytes:
    return message(name) + NOISE * size


@pytest.mark.parametrize(("data", "asked", "why"), [
    (lookup(), True, ""),
    (lookup(64), True, ""),
    (lookup(65), True, "a DNS question with 65 bytes behind it"),
    (lookup(), False, "a datagram that is no DNS message"),
    (b"", True, "a datagram that is no DNS message"),
    (lookup(512 - len(lookup())), True, f"a DNS question with {512 - len(lookup())} bytes behind"),
    (lookup(513 - len(lookup())), True, "a DNS message of 513 bytes"),
])  # fmt: skip
def test_a_question_is_one_and_says_no_more(data: bytes, asked: bool, why: str) -> None:
    said = strange_lookup(data, asked=asked)
    assert said.startswith(why) if why else said == ""


@pytest.mark.parametrize(("size", "why"), [(4096, ""), (4097, "a DNS message of 4097 bytes")])
def test_an_answer_is_no_longer_than_it_may_be(size: int, why: str) -> None:
    answer = bytearray(lookup())
    answer[2] |= 0x80
    data = bytes(answer) + NOISE * (size - len(answer))
    assert strange_lookup(data, asked=False) == why
    assert strange_lookup(bytes(answer), asked=True) == "a datagram that is no DNS message"


def test_a_name_is_looked_at_with_dots_and_without() -> None:
    assert name_in(lookup(name="ab.cd.svc")) == b"ab.cd.svc\nabcdsvc"
    assert name_in(b"no message at all") == b""


HEAD = b"GET /ready HTTP/1.1\r\n"


@pytest.mark.parametrize(("asked", "why"), [
    ((HEAD + b"Host: x\r\n\r\n",), ""),
    ((HEAD, b"Host: x\r\n", b"\r\n"), ""),
    ((b"HEAD /a_b-c.d/e HTTP/1.0\r\n\r\n",), ""),
    ((b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",), ""),
    ((b"POST /x HTTP/1.1\r\ncontent-length:  12\r\n\r\n",), "a request that is no probe"),
    ((b"PUT /x HTTP/1.1\r\n\r\n",), "a request that is no probe"),
    ((b"GET /x?secret=1 HTTP/1.1\r\n\r\n",), "a request that is no probe"),
    ((b"GET /" + b"a" * 120 + b" HTTP/1.1\r\n\r\n",), ""),
    ((b"GET /" + b"a" * 121 + b" HTTP/1.1\r\n\r\n",), "a request that is no probe"),
    ((HEAD + b"X: " + b"y" * 512 + b"\r\n\r\n",), ""),
    ((HEAD + b"X: " + b"y" * 513 + b"\r\n\r\n",), "a request that is no probe"),
    ((HEAD + b"\r\nsecret",), "a request that is no probe"),
    ((HEAD + b"x" * (2048 - len(HEAD)),), ""),
    ((HEAD + b"x" * (2049 - len(HEAD)),), "a request that is no probe"),
    ((HEAD, b"x" * 2048), "a request that is no probe"),
])  # fmt: skip
def test_a_probe_is_one_request_without_a_body(asked: tuple[bytes, ...], why: str) -> None:
    check = ProbeCheck()
    assert [check.feed(0, piece) for piece in asked] == [""] * (len(asked) - 1) + [why]


@pytest.mark.parametrize(("answer", "why"), [
    ((b"HTTP/1.1 200 OK\r\n\r\n",), ""),
    ((b"HTTP/1." + NOISE * 2041,), ""),
    ((b"HTTP/1." + NOISE * 2042,), "an answer that is none to a probe"),
    ((b"HTTP/1." + NOISE * 1000, NOISE * 1042), "an answer that is none to a probe"),
    ((b"HTTP/2 200",), "an answer that is none to a probe"),
    ((b"220 ready",), "an answer that is none to a probe"),
])  # fmt: skip
def test_an_answer_to_a_probe_is_short(answer: tuple[bytes, ...], why: str) -> None:
    check = ProbeCheck()
    assert check.feed(0, HEAD + b"\r\n") == ""
    assert [check.feed(1, piece) for piece in answer][-1] == why


def test_a_question_is_read_to_its_end() -> None:
    data = lookup()
    for size in range(13, len(data)):
        assert strange_lookup(data[:size], asked=True) == "a datagram that is no DNS message"
    assert struct.unpack_from("!H", data, 4)[0] == 1

"""What an exception explains is held to its form: whatever else goes the same way is in clear."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from conformance.evidence.packets.encodings import written_otherwise
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import DIALER, DNS, GATEWAY, PEER, POD, World, ns, token
from tests.worlds import lifecycle

STOP, AT = "stop.no-plaintext", 13.0
SECRET = b"user=admin&password=hunter2"
TOKEN = token("drain", 5)
PROBE = b"GET /ready HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1.33\r\n\r\n"
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n"
Break = Callable[[World], None]


def sent(protocol: int, body: bytes, target: str = PEER, source: str = POD, cut: int = 0) -> Break:
    def send(world: World) -> None:
        packet = wire.ip(source, target, protocol, body, cut)
        frame = wire.ethernet(0x86DD if ":" in source else 0x0800, packet, from_pod=source == POD)
        world.frames.append((ns(AT), frame))

    return send


def asked(data: bytes, target: str = DNS) -> Break:
    return sent(17, wire.udp((POD, 40001), (target, 53), data), target)


def probed(question: bytes, answer: bytes, port: int = 8081) -> Break:
    def probe(world: World) -> None:
        end = (GATEWAY, world.next_port())
        world.talk(AT, end, (POD, port), (0, question), (1, answer))

    return probe


def link(ethertype: int, body: bytes) -> Break:
    def put(world: World) -> None:
        world.frames.append((ns(AT), wire.ethernet(ethertype, body, from_pod=True)))

    return put


def ping(data: bytes) -> bytes:
    return b"\x08\0\0\0\0\1\0\1" + data


def headless(world: World) -> None:
    body = b"POST /exfiltrate HTTP/1.1\r\n\r\n" + SECRET
    world.frames.append(
        wire.segment(ns(AT), (POD, 8080), (DIALER, 45100), 5000, wire.ACK, body, (POD,))
    )


ARP = b"\0\1\x08\0\x06\x04\0\1" + b"\x0a" * 20
IGMP3 = b"\x22\0\0\0\0\0\0\1" + b"\4\0\0\0" + b"\xe0\0\0\1"
QUOTE = b"\3\3\0\0\0\0\0\0" + wire.ip(POD, PEER, 6, wire.tcp((POD, 1), (PEER, 2), 1, 1, 2))

CLEAR: dict[str, Break] = {
    "a ping with text": sent(1, ping(SECRET)),
    "a ping with a coded token": sent(1, ping(base64.b64encode(TOKEN.encode()))),
    "ICMP of an unknown type": sent(1, b"\x63\0\0\0" + SECRET),
    "an error that quotes text": sent(1, QUOTE + SECRET),
    "a great error": sent(1, QUOTE + b"\0" * 800),
    "IGMP with text": sent(2, b"\x16\0\0\0" + SECRET, "224.0.0.22"),
    "IGMP with something behind it": sent(2, IGMP3 + b"\1\2\3", "224.0.0.22"),
    "ARP with text": link(0x0806, ARP + SECRET),
    "a beacon's frame with text": link(0x88B5, SECRET),
    "text to the name server": asked(b"POST / HTTP/1.1\r\n\r\n" + SECRET),
    "a name that spells a token": asked(wire.question(f"{TOKEN}.example.com")),
    "a name of a coded token": asked(wire.question(
        base64.b32encode(TOKEN.encode()).decode().strip("=")[:60].lower() + "."
        + base64.b32encode(TOKEN.encode()).decode().strip("=")[60:].lower() + ".example.com")),
    "a question with much behind it": asked(wire.question("peer") + SECRET * 4),
    "an answer to the name server": asked(
        struct.pack("!HHHHHH", 7, 0x8180, 1, 0, 0, 0) + wire.question("peer")[12:]),
    "a piece of a question": sent(17, b"POST /secret HTTP/1.1\r\n\r\n" + SECRET, DNS, cut=185),
    "a probe with a body": probed(PROBE.replace(b"GET", b"POST") + SECRET, RIGHT),
    "a probe that is none": probed(SECRET, RIGHT),
    "an answer with a token": probed(PROBE, RIGHT + TOKEN.encode()),
    "an answer with a token in percent": probed(
        PROBE, RIGHT + quote(TOKEN.replace(".", "%2E"), safe="%").encode()),
    "an answer with a token in base64": probed(PROBE, RIGHT + base64.b64encode(TOKEN.encode())),
    "an answer with a token in base32": probed(PROBE, RIGHT + base64.b32encode(TOKEN.encode())),
    "an answer with a token in hex": probed(PROBE, RIGHT + TOKEN.encode().hex().encode()),
    "a great answer": probed(PROBE, RIGHT + b"x" * 3000),
    "an answer that is none": probed(PROBE, SECRET),
}  # fmt: skip

EXPLAINED: dict[str, Break] = {
    "a ping": sent(1, ping(b"\x11" * 16 + bytes(range(0x10, 0x38)))),
    "a ping of zeros": sent(1, ping(b"\0" * 56)),
    "an empty ping": sent(1, ping(b"")),
    "an error": sent(1, QUOTE),
    "IGMP": sent(2, IGMP3, "224.0.0.22"),
    "IGMP of version 2": sent(2, b"\x16\0\0\0\xe0\0\0\1", "224.0.0.1"),
    "ARP": link(0x0806, ARP),
    "ARP that is filled up": link(0x0806, ARP + b"\0" * 18),
    "a name": asked(wire.question("peer.envoy-native-init-rules-lifecycle.svc.cluster.local")),
    "a piece of an answer": sent(17, b"\x07cluster\x05local", POD, DNS, cut=185),
    "a probe": probed(PROBE, RIGHT),
    "a probe that is refused": probed(PROBE, b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n"),
    "a probe by HEAD": probed(PROBE.replace(b"GET", b"HEAD"), RIGHT[:-6]),
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAR)
def test_what_an_exception_does_not_explain_is_in_clear(tmp_path: Path, name: str) -> None:
    world = lifecycle.lifecycle()
    CLEAR[name](world)
    found = world.judged(STOP, tmp_path)
    assert found.observed == "broken", found.reason


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_an_exception_explains_is_no_leak(tmp_path: Path, name: str) -> None:
    world = lifecycle.lifecycle()
    EXPLAINED[name](world)
    found = world.judged(STOP, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_connection_without_its_begin_is_explained_by_nothing(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    headless(world)
    assert world.judged(STOP, tmp_path).observed == "inconclusive"


def test_nor_is_a_probe_without_its_begin(tmp_path: Path) -> None:
    """Who opened it is not known: it may be a pod's own request to the node."""
    world = lifecycle.lifecycle()
    end = (GATEWAY, world.next_port())
    world.talk(AT, end, (POD, 8081), (0, PROBE), (1, RIGHT), syn=False)
    assert world.judged(STOP, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"==", b"\0\1"])
@pytest.mark.parametrize("code", [
    base64.b64encode, base64.urlsafe_b64encode, base64.b32encode, lambda data: data.hex().encode(),
    lambda data: b"".join(b"%%%02x" % one for one in data),
])  # fmt: skip
def test_a_token_is_read_however_it_is_written(
    before: bytes, code: Callable[[bytes], bytes]
) -> None:
    for inner in (b"", b"x", b"id=", b"four"):
        found = written_otherwise(before + code(inner + TOKEN.encode() + inner))
        assert [one.text for one in found] == [TOKEN]


def test_every_token_is_told_and_none_is_lost_by_what_follows_it() -> None:
    both = base64.b64encode(TOKEN.encode() + b" " + token("drain", 6).encode())
    assert {one.text for one in written_otherwise(both)} == {TOKEN, token("drain", 6)}
    whole = base64.b32encode(TOKEN.encode().ljust(40, b" "))
    assert [one.text for one in written_otherwise(whole + b"A")] == [TOKEN]


def test_a_plain_token_is_not_told_twice() -> None:
    assert not written_otherwise(TOKEN.encode())
    assert not written_otherwise(b"\xff" * 500 + forge.NONCE.encode() * 9)

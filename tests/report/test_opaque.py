"""What hellos hold by lot is not packed, and every judge reads the same of them as before."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from conformance.evidence.packets import tls_hello
from conformance.evidence.packets.capture import Capture
from conformance.report import pack
from conformance.report.pack import opaque
from tests.forge import wire
from tests.forge.bundle import POD, WITNESS, ns
from tests.report.made import report
from tests.worlds import lifecycle as worlds

LOT = random.Random(7)  # the same lots in each process of a test run
RETRY = tls_hello.RETRY


def lot(size: int) -> bytes:
    return LOT.randbytes(size)


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size) + data


SHARE, LATER, TICKET, BINDER = lot(1216), lot(32), lot(160), lot(32)
SHARES = struct.pack("!H", 4588) + vector(2, SHARE) + struct.pack("!H", 29) + vector(2, LATER)
EARLIER = vector(2, vector(2, TICKET) + b"\1\2\3\4") + vector(2, vector(1, BINDER))
NAME = vector(2, b"\0" + vector(2, b"peer.sc.local"))
CLIENT = wire.client_hello(
    wire.extension(0, NAME), wire.extension(43, b"\x02\x03\x04"),
    wire.extension(51, vector(2, SHARES)), wire.extension(41, EARLIER),
)  # fmt: skip


def server(chance: bytes = wire.RANDOM) -> bytes:
    added = wire.extension(43, b"\x03\x04") + wire.extension(51, b"\x11\xec" + vector(2, SHARE))
    body = b"\x03\x03" + chance + b"\x20" + wire.SESSION + b"\x13\x01\0" + vector(2, added)
    return wire.record(22, wire.message(2, body))


def cleared(record: bytes) -> bytes:
    """A record (with its header) without what ``spans`` names."""
    body = bytearray(record[5:])
    for begin, end in opaque.spans(body):
        body[begin:end] = bytes(end - begin)
    return record[:5] + bytes(body)


@pytest.mark.parametrize(("hello", "client"), [(CLIENT, True), (server(), False)])
def test_judges_read_the_same_hello_without_its_lots(hello: bytes, client: bool) -> None:
    after = cleared(hello)
    assert after != hello and len(after) == len(hello)
    assert tls_hello.read(after[9:], client=client) == tls_hello.read(hello[9:], client=client)
    for gone in (SHARE, wire.RANDOM, wire.SESSION, *((LATER, TICKET, BINDER) if client else ())):
        assert gone not in after
    if client:
        assert b"peer.sc.local" in after


def test_the_word_that_asks_for_another_hello_stays() -> None:
    again = server(RETRY)
    assert RETRY in cleared(again)
    assert tls_hello.read(cleared(again)[9:], client=False).retry


@pytest.mark.parametrize("cut", [1, 4, 20, 60, 100, 400, 1000, 1400])
def test_a_hello_that_is_not_whole_or_does_not_parse_stays(cut: int) -> None:
    assert opaque.spans(CLIENT[5:-cut]) == []
    broken = bytearray(CLIENT[5:])
    broken[4 + 2 + 32] = 255  # a session id that is longer than the hello
    assert opaque.spans(broken[:200]) == []
    assert opaque.spans(b"") == [] and opaque.spans(b"\x0b\0\0\1x") == []


def packed(tmp_path: Path, frames: list[wire.Frame]) -> bytes:
    """All payloads of a connection with port 9443 as a pack holds them, joined."""
    world = worlds.lifecycle("native")
    world.frames += frames
    report(tmp_path / "run", (world, "native", "stop.order"))
    with pack.opened(pack.pack(tmp_path / "run")) as unpacked:
        (file,) = unpacked.glob("evidence/*/*/capture/subject/eth0.pcap")
        found = [one.payload for one in Capture(file) if 9443 in (one.sport, one.dport)]
    return b"".join(found)


def talk(*says: tuple[int, bytes]) -> list[wire.Frame]:
    return wire.talk(ns(8), (POD, 41999), (WITNESS, 9443), says, (POD,))


def test_a_hello_in_two_packets_and_its_retransmission_lose_their_lots(tmp_path: Path) -> None:
    halves = [(0, CLIENT[:700]), (0, CLIENT[700:]), (1, server()), (0, wire.sealed(50))]
    frames = talk(*halves)
    again = [(at + 50_000_000, frame) for at, frame in frames[3:5]]
    kept = packed(tmp_path, [*frames, *again])
    assert SHARE[:200] not in kept and SHARE[-200:] not in kept and TICKET not in kept
    assert kept.count(b"peer.sc.local") == 2


@pytest.mark.parametrize(
    "answer",
    [
        [],  # nobody knows what was agreed on
        [(1, wire.server_hello(0x0000))],  # a cipher that does not encrypt
        [(1, b"HTTP/1.1 200 OK\r\n\r\n")],  # no TLS
    ],
)
def test_a_hello_stays_whole_where_nothing_proves_that_the_stream_is_secret(
    answer: list[tuple[int, bytes]], tmp_path: Path
) -> None:
    kept = packed(tmp_path, talk((0, CLIENT), *answer, (0, wire.sealed(50))))
    assert SHARE in kept and TICKET in kept


def test_a_hello_that_carries_text_stays_whole(tmp_path: Path) -> None:
    text = b"cny.0123456789ab.drain.subject.000999"
    hello = wire.client_hello(
        wire.extension(43, b"\x02\x03\x04"),
        wire.extension(51, vector(2, b"\0\x1d" + vector(2, text))),
    )
    kept = packed(tmp_path, talk((0, hello), (1, server()), (0, wire.sealed(50))))
    assert text in kept and SHARE in kept

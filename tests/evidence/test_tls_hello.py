"""What a hello says, and what in it is no TLS."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import zlib
from collections.abc import Callable

import pytest

from conformance.evidence.packets.compressed_text import is_compressed_text
from conformance.evidence.packets.runs import ReadableRun
from conformance.evidence.packets.tls_hello import read
from tests.forge import wire

TEXT = b"user=admin&password=hunter2"
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
SHORT = 23  # readable bytes in a row that chance may make
VERSION = wire.extension(43, b"\x03\x04")


def client(*extensions: bytes, session: bytes = wire.SESSION) -> bytes:
    added = b"".join(extensions)
    head = b"\x03\x03" + wire.RANDOM + bytes([len(session)]) + session + b"\0\x02\x13\x01\x01\0"
    return head + struct.pack("!H", len(added)) + added


def server(
    *extensions: bytes, session: bytes = wire.SESSION, suite: int = 0x1301,
    random: bytes = wire.RANDOM,
) -> bytes:  # fmt: skip
    added = b"".join(extensions)
    head = b"\x03\x03" + random + bytes([len(session)]) + session + struct.pack("!HB", suite, 0)
    return head + struct.pack("!H", len(added)) + added


@pytest.mark.parametrize("make", [client, server])
def test_text_is_found_in_whichever_extension_it_stands(make: Callable[..., bytes]) -> None:
    is_client = make is client
    other = wire.extension(51, b"\x80" * 38)
    for extensions in ((wire.extension(21, TEXT), other), (other, wire.extension(21, TEXT))):
        assert read(make(*extensions), client=is_client).clear == "readable text in a hello"
    pieces = wire.extension(21, b"a" * SHORT), wire.extension(22, b"b" * SHORT)
    assert read(make(*pieces), client=is_client).clear == ""


@pytest.mark.parametrize("kind", [10, 13, 43, 50, 51])
def test_text_is_found_in_lists_of_numbers_too(kind: int) -> None:
    assert read(client(wire.extension(kind, TEXT)), client=True).clear
    groups = bytes.fromhex("001a2a2a11ec001d0017001800190100010104030804040105030805050108060601")
    assert not read(client(wire.extension(kind, groups)), client=True).clear


@pytest.mark.parametrize("make", [client, server])
def test_text_is_found_in_the_session(make: Callable[..., bytes]) -> None:
    is_client = make is client
    assert read(make(session=TEXT), client=is_client).clear == "readable text in a hello"
    assert read(make(session=b"a" * SHORT), client=is_client).clear == ""


@pytest.mark.parametrize("make", [client, server])
def test_a_session_longer_than_32_bytes_is_no_hello(make: Callable[..., bytes]) -> None:
    for size in (0, 32, 33):
        hello = read(make(session=b"\x80" * size), client=make is client)
        assert hello.known is (size < 33)


@pytest.mark.parametrize(("suite", "encrypts"), [
    (0x1301, True), (0xC02F, True), (0x3B, False), (0x9999, False), (0x0A0A, False), (0xC09C, None),
    (0x1308, False), (0xD005, None),
])  # fmt: skip
def test_whether_the_chosen_cipher_encrypts(suite: int, encrypts: bool | None) -> None:
    assert read(server(VERSION, suite=suite), client=False).encrypts is encrypts


def test_a_server_that_asks_for_another_hello_says_so() -> None:
    assert read(server(VERSION, random=RETRY), client=False).retry
    assert not read(server(VERSION), client=False).retry
    assert read(server(VERSION), client=False).thirteen
    assert not read(server(), client=False).thirteen


@pytest.mark.parametrize(("kind", "data", "said"), [
    (16, b"\0\x0c\x02h2\x08http/1.1", ""),
    (16, b"\0\x05\x02h2\x01\x07", "a protocol's name that is none"),
    (0, b"\0\x0d\0\0\x0aouter.name", ""),
    (0, b"\0\x0d\0\0\x0auser=admin", "a server name that is no name"),
])  # fmt: skip
def test_names_have_their_own_form(kind: int, data: bytes, said: str) -> None:
    assert read(client(wire.extension(kind, data)), client=True).clear == said


def test_a_readable_run_is_found_where_it_ends_and_once() -> None:
    run = ReadableRun(8)
    assert not run.feed(b"\0" + b"a" * 7)
    assert run.feed(b"b")
    run = ReadableRun(8)
    assert run.feed(b"a" * 8)
    assert not run.feed(b"\0")


@pytest.mark.parametrize("make", [client, server])
def test_a_hello_that_cannot_be_read_to_its_end_is_not_known(make: Callable[..., bytes]) -> None:
    is_client = make is client
    whole = make(wire.extension(51, b"\x80" * 38))
    assert read(whole, client=is_client).known
    for wrong in (whole[:-1], whole + b"\x80", b"\x02" + whole[1:], b"\x80" * len(whole)):
        hello = read(wrong, client=is_client)
        assert not hello.known
        assert not hello.clear


@pytest.mark.parametrize("squeeze", [
    zlib.compress, gzip.compress, bz2.compress, lzma.compress,
    lambda data: zlib.compress(data, wbits=-15), lambda data: b"\x93\x01" + gzip.compress(data),
    lambda data: b"\x28\xb5\x2f\xfd" + bytes(range(128, 200)) + data[:0],
    lambda data: zlib.compress(data * 50)[:-9] + b"\x80" * 40,
])  # fmt: skip
def test_compressed_text_is_no_hello(squeeze: Callable[[bytes], bytes]) -> None:
    squeezed = squeeze(b"POST /echo/7 HTTP/1.1\r\nHost: 10.96.0.50\r\nKey: vxzqjkwb\r\n" + TEXT * 9)
    assert read(squeezed, client=True).clear == "compressed text in a hello"
    assert read(squeezed, client=False).clear == "compressed text in a hello"
    assert read(client(wire.extension(21, squeezed)), client=True).clear
    random_ = squeeze(random.Random(3).randbytes(300))
    if not squeezed.startswith(b"\x28"):
        assert not read(random_, client=True).clear


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_no_compressed_text(seed: int) -> None:
    source = random.Random(seed)
    assert not any(is_compressed_text(source.randbytes(1200)) for _ in range(2000))


def test_a_run_of_one_letter_is_no_text() -> None:
    assert not is_compressed_text(zlib.compress(b"a" * 4000))
    assert not is_compressed_text(zlib.compress(bytes(range(0x30, 0x30 + 26)) * 4))  # 104 bytes
    assert is_compressed_text(zlib.compress(bytes(range(0x30, 0x30 + 26)) * 5))


def test_a_client_offers_ciphers_and_a_server_chooses_one() -> None:
    assert read(client(), client=True).ciphers == {0x1301}
    assert read(server(suite=0xC02F), client=False).ciphers == {0xC02F}

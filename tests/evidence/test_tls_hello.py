"""What a hello says, and what in it is no TLS."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from conformance.evidence.packets.tls_hello import ReadableRun, read
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


@pytest.mark.parametrize(("suite", "encrypts"), [(0x1301, True), (0x3B, False), (0x9999, None)])
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

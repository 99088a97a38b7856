"""The record check: what passes for TLS, and where exactly it stops being so."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from conformance.evidence.tls import RecordCheck
from tests.forge import wire

GOOD_CLIENT = wire.CLIENT_HELLO + wire.CHANGE + wire.sealed(80) + wire.sealed(16_640)
GOOD_SERVER = wire.SERVER_HELLO + wire.CHANGE + wire.sealed(0) + wire.sealed(900) + wire.ALERT


def first_clear(data: bytes, cuts: list[int], *, opener: bool) -> tuple[int | None, RecordCheck]:
    """Where the check says that clear text begins, when it is fed in pieces."""
    check = RecordCheck(opener=opener)
    edges = sorted({0, len(data), *cuts})
    for start, end in pairwise(edges):
        at = check.feed(data[start:end])
        if at is not None:
            return start + at, check
    return None, check


@pytest.mark.parametrize(("data", "opener"), [
    (GOOD_CLIENT, True),
    (GOOD_SERVER, False),
    (wire.ALERT, False),  # the client is turned away before any hello
    (wire.ALERT + wire.ALERT, False),
    (GOOD_CLIENT[:-100], True),  # a record cut short by the connection's end
    (GOOD_CLIENT + b"\x17\x03", True),
    (b"", True),
])  # fmt: skip
def test_tls_is_tls_however_it_is_cut(data: bytes, opener: bool) -> None:
    rng = random.Random(1)
    for cuts in ([], list(range(min(len(data), 400))), [rng.randrange(len(data) + 1)] * 3):
        at, check = first_clear(data, cuts, opener=opener)
        assert at is None, check.violation


@pytest.mark.parametrize(("before", "clear", "opener"), [
    (b"", b"GET / HTTP/1.1\r\n\r\n", True),
    (b"", b"HTTP/1.1 200 OK\r\n\r\n", False),
    (GOOD_CLIENT, b"POST / HTTP/1.1\r\n\r\n", True),  # begins as TLS and goes on in clear
    (GOOD_SERVER, b"HTTP/1.1 200 OK\r\n\r\n", False),
    (b"", wire.SERVER_HELLO, True),
    (b"", wire.CLIENT_HELLO, False),
    (b"", wire.sealed(), True),  # no handshake first
    (b"", wire.ALERT, True),
    (wire.ALERT, wire.sealed(), False),  # data without a handshake, behind an alert
    (GOOD_CLIENT, b"\x19\x03\x03\x00\x05hello", True),
    (GOOD_CLIENT, b"\x17\x04\x03\x00\x05hello", True),
    (GOOD_CLIENT, b"\x17\x03\x05\x00\x05hello", True),
    (GOOD_CLIENT, b"\x17\x03\x03\xff\xffhello", True),
    (GOOD_CLIENT, b"\x16\x03\x03\x00\x00hello", True),
])  # fmt: skip
def test_clear_text_is_caught_where_it_begins(before: bytes, clear: bytes, opener: bool) -> None:
    at, check = first_clear(before + clear, [], opener=opener)
    assert at == len(before)
    assert check.violation
    assert check.feed(wire.CLIENT_HELLO) == 0  # there is no way back


def test_cut_in_single_bytes_it_is_caught_at_the_byte_that_gives_it_away() -> None:
    data = GOOD_CLIENT + b"\x17\x03\x09\x00\x05hello"
    at, _ = first_clear(data, list(range(len(data))), opener=True)
    assert at == len(GOOD_CLIENT) + 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (wire.CLIENT_HELLO, False),
        (wire.CLIENT_HELLO + wire.CHANGE + wire.sealed(53), False),  # TLS 1.3: Finished
        (wire.CLIENT_HELLO + wire.CHANGE + wire.sealed(53) + wire.sealed(9), True),
        (wire.CLIENT_HELLO + wire.CHANGE + wire.sealed(53) + wire.sealed(19), False),  # and goodbye
        (wire.CLIENT_HELLO + wire.CHANGE + wire.record(22, b"\xa5" * 40), False),  # TLS 1.2
        (wire.CLIENT_HELLO + wire.CHANGE + wire.record(22, b"\xa5" * 40) + wire.sealed(9), True),
    ],
)
def test_a_handshake_alone_says_nothing(data: bytes, said: bool) -> None:
    _, check = first_clear(data, [], opener=True)
    assert check.said_something == said


def test_application_data_is_counted() -> None:
    _, check = first_clear(wire.SERVER_HELLO + wire.sealed(100) + wire.sealed(23), [], opener=False)
    assert check.application_bytes == 123
    assert check.hello

"""The record check: what passes for TLS, and where exactly it stops being so."""

from __future__ import annotations

import random
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.evidence.packets.tls import RecordCheck, pair
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


@pytest.mark.parametrize("after", range(1, 5))
def test_a_header_in_two_pieces_is_no_other_header(after: int) -> None:
    """What follows the cut reads as a header too: of a record of 0x1703 bytes that begin so."""
    tail = wire.record(23, b"\3\0\x10" + b"\xa5" * (0x1703 - 3))
    at, check = first_clear(GOOD_CLIENT + tail, [len(GOOD_CLIENT) + after], opener=True)
    assert at is None, check.violation
    whole = first_clear(GOOD_CLIENT + tail, [], opener=True)[1]
    assert check.application_bytes == whole.application_bytes
    assert check.application_records == whole.application_records


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


def spoken(*says: tuple[int, bytes]) -> tuple[int, str]:
    """(place of the first piece that is in clear, why); (-1, "") when all of it is TLS."""
    checks = pair()
    for place, (who, data) in enumerate(says):
        if checks[who].feed(data) is not None:
            return place, checks[who].violation
    return -1, ""


TEXT = b"POST /secret HTTP/1.1\r\nHost: x\r\n\r\nuser=admin"
HELLO = ((0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.CHANGE + wire.sealed(900)))
FINISHED = (0, wire.CHANGE + wire.sealed(53))
TWELVE = wire.server_hello(0xC02F, thirteen=False)
CERTIFICATE = wire.record(
    22, wire.message(11, b"\0" + b"CN=a.name.that.is.readable.in.a.certificate")
)
KEYS = wire.record(22, wire.message(16, b"\xa5" * 65))
SECRET = wire.record(22, b"\xa5" * 40)
STRANGE = wire.record(
    22, wire.message(2, b"\x05\x10" + bytes(range(150, 240)))
)  # parses as nothing
SNI = wire.extension(0, b"\0\x0f\0\0\x0coutbound.svc")
NULL_OFFERED = (0, wire.client_hello(suites=b"\x13\x01\x00\x3b\xc0\xb4"))
# What is no hello but for its type and its length: what stands in it may be anything.
COMPRESSED = zlib.compress(TEXT * 9)
NO_CLIENT = (0, wire.record(22, wire.message(1, COMPRESSED)))
ALPN = wire.extension(16, b"\0\x0e\x0distio-peer-ex")


@pytest.mark.parametrize("says", [
    (*HELLO, FINISHED, (0, wire.sealed(300)), (1, wire.sealed(300))),
    ((0, wire.client_hello(SNI, ALPN)), HELLO[1], FINISHED),
    ((0, wire.CLIENT_HELLO), (1, TWELVE + CERTIFICATE), (0, KEYS + wire.CHANGE + SECRET),
     (1, wire.CHANGE + SECRET), (0, wire.sealed(90))),
    ((0, wire.CLIENT_HELLO), (1, wire.ALERT)),
    ((0, wire.CLIENT_HELLO[:40]), (0, wire.CLIENT_HELLO[40:]), HELLO[1], FINISHED),
    ((0, wire.CLIENT_HELLO), (1, STRANGE + wire.CHANGE + wire.sealed(900)), FINISHED),
    (NULL_OFFERED, (1, wire.SERVER_HELLO + wire.CHANGE + wire.sealed(900)), FINISHED),
    (*HELLO, FINISHED, (0, wire.record(23, b"\xa5" * 40 + TEXT[:24] + b"\xa5"))),  # by chance
], ids=range(8))  # fmt: skip
def test_what_both_sides_call_tls_is(says: tuple[tuple[int, bytes], ...]) -> None:
    assert spoken(*says) == (-1, "")


@pytest.mark.parametrize(("says", "why"), [
    (((0, wire.CLIENT_HELLO), (0, wire.CHANGE + wire.record(23, TEXT))), "never said hello"),
    (((0, wire.CLIENT_HELLO), (1, wire.ALERT), (0, wire.sealed(90))), "never said hello"),
    ((NULL_OFFERED, (1, wire.server_hello(0x3B, thirteen=False)), (0, wire.sealed(9))),
     "does not encrypt"),
    ((NULL_OFFERED, (1, wire.server_hello(0xC0B4)), (0, wire.sealed(9))), "not encrypt"),
    (((0, wire.CLIENT_HELLO), (1, STRANGE + wire.record(23, TEXT))), "readable text in a record"),
    (((0, wire.CLIENT_HELLO), (1, STRANGE + wire.record(23, COMPRESSED))), "compressed text in a"),
    ((*HELLO, FINISHED, (0, wire.record(23, COMPRESSED))), "compressed text in a record"),
    ((NO_CLIENT,), "compressed text in a hello"),
    (((0, wire.CLIENT_HELLO), (1, wire.server_hello(0x1302))), "did not offer"),
    (((0, wire.client_hello(suites=b"\x9a\x9a")), (1, wire.server_hello(0x9A9A)),
      (1, wire.record(23, COMPRESSED))), "does not encrypt"),
    ((*HELLO, FINISHED, (0, wire.record(23, TEXT))), "readable text in a record"),
    ((*HELLO, FINISHED, (0, wire.record(23, TEXT[:20]) + wire.record(23, TEXT[20:]))), "readable"),
    (((0, wire.record(22, b"\x01" + TEXT)),), "a handshake message of"),
    (((0, wire.record(22, wire.message(1, TEXT))),), "readable text in a hello"),
    (((0, wire.client_hello(wire.extension(21, TEXT))),), "readable text in a hello"),
    (((0, wire.client_hello(wire.extension(0, b"\0\x0d\0\0\x0auser=admin"))),), "no name"),
    (((0, wire.client_hello(more=TEXT)),), "a handshake message of"),
    (((0, wire.client_hello(more=b"abc")),), "behind the hello"),
    ((*HELLO, FINISHED, (0, wire.record(22, TEXT))), "a handshake record behind"),
    ((HELLO[0], (1, wire.SERVER_HELLO + wire.record(22, wire.message(11, TEXT)))), "TLS 1.3"),
    ((*HELLO, (0, wire.record(24, b"\1\0\x2d" + TEXT))), "type 0x18"),
    ((*HELLO, (0, wire.record(20, b"\1" + TEXT))), "a change of cipher of"),
    ((*HELLO, (0, wire.record(20, b"P"))), "that is none"),
    ((*HELLO, (0, wire.record(21, TEXT))), "an alert of"),
    ((*HELLO, (0, wire.record(21, b"PO"))), "an alert of level"),
    (((0, wire.CLIENT_HELLO), (1, TWELVE + wire.record(22, wire.message(12, TEXT)))), "message"),
    (((0, wire.CLIENT_HELLO), (1, TWELVE + wire.record(22, wire.message(99, b"x")))), "type 99"),
    (((0, wire.CLIENT_HELLO + wire.CLIENT_HELLO),), "nobody asked for"),
    (((0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO[:60] + wire.sealed())), ""),
], ids=range(29))  # fmt: skip
def test_what_only_looks_like_tls_is_in_clear(
    says: tuple[tuple[int, bytes], ...], why: str
) -> None:
    place, said = spoken(*says)
    assert place == len(says) - 1, said
    assert why in said


hellos = st.sampled_from(
    [GOOD_CLIENT, wire.client_hello(SNI, ALPN) + wire.CHANGE + wire.sealed(53)]
)


@given(hellos, st.lists(st.integers(0, 17_000), max_size=12))
def test_where_tls_is_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    at, check = first_clear(data, [one for one in cuts if one < len(data)], opener=True)
    assert at is None, check.violation
    _, whole = first_clear(data, [], opener=True)
    assert check.application_bytes == whole.application_bytes


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 1000), max_size=6))
def test_what_begins_as_no_handshake_is_in_clear_wherever_it_is_cut(
    data: bytes, cuts: list[int]
) -> None:
    data = bytes([data[0] if data[0] != 22 else 23]) + data[1:]
    at, _ = first_clear(data, [one for one in cuts if one < len(data)], opener=True)
    assert at == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6))
def test_any_bytes_are_taken_without_an_error(data: bytes, cuts: list[int]) -> None:
    for opener in (True, False):
        first_clear(data, [one for one in cuts if one < len(data)], opener=opener)
        first_clear(wire.record(22, data or b"x"), [], opener=opener)
        first_clear((wire.CLIENT_HELLO if opener else wire.SERVER_HELLO) + data, [], opener=opener)

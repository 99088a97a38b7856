"""What nobody reads of a bundle's text files is not packed; what somebody reads is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping

import pytest

from conformance.evidence import parse
from conformance.evidence.packets.tls import RecordCheck
from conformance.report.pack import opaque, unread
from tests.forge import wire

LOT = random.Random(7)
FIELDS: Mapping[str, object] = {
    "__CURSOR": "s=b0e6;i=2e4;x=e36ec240721b0093",
    "__REALTIME_TIMESTAMP": "1796031310126292",
    "_PID": "146",
    "MESSAGE": 'time="2026-11-30T09:35:10.125976731Z" level=info '
    'msg="Stop container \\"ab12\\" with signal terminated" ü\x85',
    "PRIORITY": "6",
}


def journal(*lines: Mapping[str, object]) -> bytes:
    return b"".join(json.dumps(dict(one), ensure_ascii=False).encode() + b"\n" for one in lines)


def test_a_journal_says_the_same_in_one_order_and_without_its_cursors() -> None:
    turned = dict(reversed(list(FIELDS.items())))
    as_bytes = {**FIELDS, "MESSAGE": list(str(FIELDS["MESSAGE"]).encode())}
    before = journal(FIELDS, turned, as_bytes)
    after = unread.without("containerd.log", before).decode().split("\n")[:-1]
    was = before.decode().split("\n")[:-1]
    assert after[0] == after[1] and "e36ec240721b0093" not in "".join(after)
    for number, (one, two) in enumerate(zip(was, after, strict=True), 1):
        told = {key: value for key, value in json.loads(one).items() if key != "__CURSOR"}
        assert json.loads(two) == told and list(json.loads(two)) == sorted(told)
        assert parse.read_stop(number, two) == parse.read_stop(number, one) is not None


@pytest.mark.parametrize(
    "line", [b"{\n", b"[1]\n", b"\xff}\n", b'"}\n', b"{}", b'{"MESSAGE": "half"', b"\n"]
)
def test_what_is_no_line_of_a_journal_stays(line: bytes) -> None:
    assert unread.without("kubelet.log", line) == line


@pytest.mark.parametrize("name", ["runtime.log", "watch.jsonl", "stamps/subject.app.jsonl"])
def test_other_files_stay(name: str) -> None:
    content = journal(FIELDS) + witnessed(HELLO)
    assert unread.without(name, content) == content


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size) + data


SHARE = LOT.randbytes(1216)
HELLO = wire.client_hello(
    wire.extension(43, b"\x02\x03\x04"),
    wire.extension(51, vector(2, (4588).to_bytes(2) + vector(2, SHARE))),
)


def witnessed(first: bytes) -> bytes:
    line = {"ns": 1, "mono_ns": 1, "event": "witness.connection", "first_bytes": first.hex()}
    return json.dumps(line).encode() + b"\n"


def after(first: bytes) -> bytes:
    told = json.loads(unread.without("stamps/witness.witness.jsonl", witnessed(first)))
    return bytes.fromhex(told["first_bytes"])


@pytest.mark.parametrize("cut", [len(HELLO), 600, 300, 60, 44])
def test_of_a_hello_at_the_witness_only_what_is_drawn_by_lot_goes(cut: int) -> None:
    first = HELLO[:cut]
    packed = after(first)
    assert packed != first and len(packed) == cut
    assert SHARE[:16] not in packed and wire.RANDOM not in packed
    lots = opaque.spans(HELLO[5:])
    for place, (one, two) in enumerate(zip(first, packed, strict=True)):
        by_lot = any(begin <= place - 5 < end for begin, end in lots)
        assert two == (0 if by_lot else one), place
    assert RecordCheck(opener=True).feed(packed) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda hello: b"GET / HTTP/1.1\r\nHost: witness\r\n\r\n" + hello,
        lambda hello: hello + b"in clear from here on, which no record is",
        lambda hello: hello[:-20] + b"cny.45f29a012816.xxx",
        lambda hello: b"\x17" + hello[1:],
        lambda hello: hello[:8],
        lambda hello: b"",  # noqa: ARG005
    ],
)
def test_what_is_no_hello_or_holds_a_token_stays(change: Callable[[bytes], bytes]) -> None:
    assert after(change(HELLO)) == change(HELLO)

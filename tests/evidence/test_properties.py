"""What holds for any input: streams put together, events in order, requests accounted for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.evidence.attempts import attempts
from conformance.evidence.bundle import Bundle
from conformance.evidence.consistency import requests
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.streams import Chunk, Reassembler
from conformance.evidence.timeline import Event, happens_before
from tests.forge.bundle import token
from tests.worlds import lifecycle

ENDS = ("10.0.0.1", 1), ("10.0.0.2", 2)
SYN, ACK = 2, 16


def packet(number: int, seq: int, data: bytes, flags: int = ACK) -> Packet:
    (src, sport), (dst, dport) = ENDS
    return Packet(
        number, number, "tcp", src, dst, sport, dport, seq & 0xFFFFFFFF, flags, data, False, b"",
        None,
    )  # fmt: skip


class Heard:
    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def chunk(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)


@given(
    st.binary(min_size=1, max_size=120),
    st.lists(st.tuples(st.integers(0, 119), st.integers(1, 40)), max_size=25),
    st.integers(0, 0xFFFFFFFF),
    st.randoms(),
)
def test_a_stream_is_the_same_however_it_is_cut_repeated_and_mixed(
    data: bytes, again: list[tuple[int, int]], isn: int, rng: Any
) -> None:
    pieces = [(at, data[at : at + 7]) for at in range(0, len(data), 7)]
    pieces += [(at, data[at : at + size]) for at, size in again if data[at : at + size]]
    rng.shuffle(pieces)
    heard = Heard()
    streams = Reassembler(lambda _: heard)
    streams.feed(packet(1, isn, b"", SYN))
    for number, (at, piece) in enumerate(pieces, 2):
        streams.feed(packet(number, isn + 1 + at, piece))
    streams.finish()
    told = [one for one in heard.chunks if one.kind == "data"]
    assert b"".join(one.data for one in told) == data
    assert {one.kind for one in heard.chunks} <= {"data"}


@given(st.binary(min_size=2, max_size=60), st.integers(0, 59), st.integers(0, 255))
def test_a_retransmission_that_says_something_else_is_told(data: bytes, at: int, byte: int) -> None:
    at %= len(data)
    heard = Heard()
    streams = Reassembler(lambda _: heard)
    streams.feed(packet(1, 100, b"", SYN))
    streams.feed(packet(2, 101, data))
    streams.feed(packet(3, 101 + at, bytes([byte])))
    kinds = [one.kind for one in heard.chunks[1:]]
    probe = byte == 0 and at == len(data) - 1  # a keepalive probe
    assert kinds == ([] if byte == data[at] or probe else ["conflict"])


moments = st.integers(0, 1000)
events = st.builds(
    lambda name, a, b: Event(name, min(a, b), max(a, b), ()), st.just("x"), moments, moments
)


@given(events, events)
def test_two_orders_are_never_both_proven(first: Event, second: Event) -> None:
    one, other = happens_before(first, second), happens_before(second, first)
    assert not (one.answer == "yes" and other.answer == "yes")
    assert (one.answer == "yes") == (other.answer == "no")
    assert (one.answer == "yes") == (first.latest < second.earliest)
    assert (one.gap_ns > 0) == (
        one.answer == "yes" or one.answer == "cannot tell"
    ) or not one.gap_ns


@given(events, events, st.integers(0, 50))
def test_an_event_that_is_known_less_well_proves_no_more(
    first: Event, second: Event, more: int
) -> None:
    vague = Event("x", first.earliest - more, first.latest + more, ())
    if happens_before(vague, second).answer != "cannot tell":
        assert happens_before(vague, second).answer == happens_before(first, second).answer


lines = st.sampled_from(["request.begin", "request.connected", "request.end"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(lines, st.integers(0, 4)), max_size=25))
def test_every_begin_is_one_attempt_and_nothing_else_goes_unnoticed(
    written: list[tuple[str, int]],
) -> None:
    stamps = [
        {
            "ns": 10 + at, "event": event, "token": token("drain", number), "kind": "drain",
            "outcome": "reset", "bytes": 0, "local": "10.0.0.1:1",
        }
        for at, (event, number) in enumerate(written)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bundle = alone(Path(folder), stamps)
        found = list(attempts(bundle, "subject", "app"))
        assert len(found) == sum(event == "request.begin" for event, _ in written)
        begun: set[int] = set()
        orphan = False
        for event, number in written:
            if event == "request.begin":
                begun.add(number)
            orphan |= number not in begun
        gap = bool(begun) and begun != set(range(max(begun) + 1))
        told = [one.reason for one in requests.check(bundle)]
        assert any("begin is missing" in one for one in told) == orphan
        # What was numbered within the last second of a killed program may be lost.
        assert not any("lacks" in one for one in told) or gap


def alone(folder: Path, stamps: list[dict[str, Any]]) -> Bundle:
    """A bundle with the stamps of one program."""
    (folder / "stamps").mkdir()
    text = "".join(json.dumps(one) + "\n" for one in stamps)
    (folder / "stamps/subject.app.jsonl").write_text(text)
    (folder / "cell.json").write_text(json.dumps(lifecycle.index("native", "lifecycle")))
    return Bundle.open(folder)

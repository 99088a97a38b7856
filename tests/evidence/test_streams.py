"""Streams come together again, however the network cut, mixed and repeated them."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from conformance.evidence.packets import streams
from conformance.evidence.packets.capture import ACK, FIN, RST, SYN, Packet
from conformance.evidence.packets.streams import Chunk, Reassembler, Stream

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)


class Heard:
    """Everything that a reassembler said, by stream."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.chunks: list[list[Chunk]] = []
        self.made = Reassembler(self._open)
        self.frame = 0

    def _open(self, stream: Stream) -> Heard.One:
        self.streams.append(stream)
        self.chunks.append([])
        return Heard.One(self.chunks[-1])

    class One:
        def __init__(self, chunks: list[Chunk]) -> None:
            self.chunk = chunks.append

    def feed(self, seq: int, data: bytes = b"", flags: int = ACK, *, back: bool = False) -> None:
        self.frame += 1
        (src, sport), (dst, dport) = (SERVER, CLIENT) if back else (CLIENT, SERVER)
        self.made.feed(
            Packet(
                self.frame,
                self.frame * 10,
                "tcp",
                src,
                dst,
                sport,
                dport,
                seq & 0xFFFFFFFF,
                flags,
                data,
                False,
                b"",
                None,
            )
        )

    def bytes(self, stream: int = 0, direction: int = 0, kind: str = "data") -> bytes:
        return b"".join(
            one.data
            for one in self.chunks[stream]
            if (one.direction, one.kind) == (direction, kind)
        )

    def kinds(self, stream: int = 0) -> set[str]:
        return {one.kind for one in self.chunks[stream]}


@pytest.mark.parametrize("seed", range(40))
def test_any_cutting_mixing_and_repeating_gives_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(rng.randrange(1, 30_000))
    isn = rng.choice([0, 1000, 0xFFFFFFFF, 0xFFFFFFFF - 5000, rng.randrange(1 << 32)])
    pieces: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        size = rng.randrange(1, 1500)
        pieces.append((at, data[at : at + size]))
        at += size
    for _ in range(len(pieces) // 2):  # overlapping retransmissions with the same bytes
        start = rng.randrange(len(data))
        pieces.append((start, data[start : start + rng.randrange(2, 3000)]))
    for _ in range(len(pieces)):  # neighbours change places, over a distance
        one = rng.randrange(len(pieces))
        other = min(len(pieces) - 1, one + rng.randrange(1, 8))
        pieces[one], pieces[other] = pieces[other], pieces[one]
    heard = Heard()
    heard.feed(isn, flags=SYN)
    for offset, piece in pieces:
        heard.feed(isn + 1 + offset, piece)
    heard.made.finish()
    assert heard.bytes() == data
    assert heard.kinds() == {"data"}
    assert not heard.streams[0].headless


def test_each_chunk_knows_the_frame_that_brought_it() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(4, b"def")
    heard.feed(1, b"abc")
    assert [(one.data, one.frame, one.ns) for one in heard.chunks[0]] == [
        (b"abc", 3, 30),
        (b"def", 2, 20),
    ]


def test_both_directions_are_told_apart() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(100, flags=SYN | ACK, back=True)
    heard.feed(1, b"question")
    heard.feed(101, b"answer", back=True)
    assert heard.bytes(direction=0) == b"question"
    assert heard.bytes(direction=1) == b"answer"
    assert heard.streams[0].opener == CLIENT


def test_a_retransmission_with_other_bytes_is_payload_too() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"abcdef")
    heard.feed(1, b"abcXef")
    assert heard.bytes() == b"abcdef"
    assert heard.bytes(kind="conflict") == b"abcXef"


def test_other_bytes_that_wait_behind_a_hole_are_a_conflict_too() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(4, b"XXX")
    heard.feed(1, b"abcdefgh")
    assert heard.bytes() == b"abcdefgh"
    assert heard.bytes(kind="conflict") == b"XXX"


def test_a_retransmission_that_goes_on_brings_its_new_bytes() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"abc")
    heard.feed(1, b"abcdef")
    assert heard.bytes() == b"abcdef"
    assert heard.kinds() == {"data"}


def test_what_is_older_than_what_is_kept_is_unplaced_not_forgotten() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    for at in range(0, 4 * streams.KEPT, 1000):
        heard.feed(1 + at, b"x" * 1000)
    heard.feed(1, b"secret")
    assert heard.bytes(kind="unplaced") == b"secret"


def test_bytes_in_front_of_the_first_are_unplaced() -> None:
    heard = Heard()
    heard.feed(1000, flags=SYN)
    heard.feed(500, b"secret")
    assert heard.bytes(kind="unplaced") == b"secret"


def test_a_keepalive_probe_is_no_payload() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"abc")
    heard.feed(3, b"\0")
    heard.feed(4, b"def")
    assert heard.bytes() == b"abcdef"
    assert heard.kinds() == {"data"}


def test_two_bytes_that_begin_before_the_window_are_no_keepalive_probe() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"abc")
    heard.feed(3, b"cd")
    heard.feed(4, b"Xe")
    assert heard.bytes() == b"abcde"
    assert heard.bytes(kind="conflict") == b"Xe"


def test_a_closed_connections_ports_and_number_may_come_again() -> None:
    heard = Heard()
    for text in (b"one", b"two"):
        heard.feed(7, flags=SYN)
        heard.feed(8, text, flags=FIN | ACK)
        heard.feed(500, flags=FIN | ACK, back=True)
    assert [heard.bytes(0), heard.bytes(1)] == [b"one", b"two"]


def test_fast_open_data_stands_in_the_syn() -> None:
    heard = Heard()
    heard.feed(0, b"early ", flags=SYN)
    heard.feed(0, b"early ", flags=SYN)  # sent again
    heard.feed(7, b"late")
    assert heard.bytes() == b"early late"
    assert len(heard.streams) == 1


def test_payload_of_a_reset_counts() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"farewell", flags=RST | ACK)
    assert heard.bytes() == b"farewell"


def test_payload_behind_the_end_is_not_lost() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"abc", flags=FIN | ACK)
    heard.feed(5, b"zombie")
    heard.made.finish()
    assert heard.bytes(kind="after-gap") == b"zombie"


@pytest.mark.parametrize("answered", [False, True])
def test_a_stream_without_its_syn_is_headless_once_it_has_payload(answered: bool) -> None:
    heard = Heard()
    if answered:
        heard.feed(100, flags=SYN | ACK, back=True)
    else:
        heard.feed(77)
    assert not heard.streams[0].headless
    heard.feed(77, b"abc")
    assert heard.streams[0].headless
    assert heard.streams[0].opener == CLIENT
    assert heard.bytes() == b"abc"


def test_a_port_used_again_is_a_new_stream() -> None:
    heard = Heard()
    for isn, text in ((0, b"one"), (9000, b"two")):
        heard.feed(isn, flags=SYN)
        heard.feed(isn + 1, text)
        heard.feed(isn + 4, flags=FIN | ACK)
        heard.feed(500, flags=FIN | ACK, back=True)
    assert [heard.bytes(0), heard.bytes(1)] == [b"one", b"two"]


def test_a_port_used_again_without_an_end_is_a_new_stream() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"one")
    heard.feed(9000, flags=SYN)
    heard.feed(9001, b"two")
    assert [heard.bytes(0), heard.bytes(1)] == [b"one", b"two"]


def test_a_hole_that_is_never_filled_is_told() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1, b"abc")
    heard.feed(100, b"def")
    heard.feed(103, b"ghi")
    assert heard.bytes(kind="after-gap") == b""
    heard.made.finish()
    assert heard.bytes(kind="after-gap") == b"def"
    assert heard.bytes() == b"abcghi"


def test_a_forged_syn_in_the_middle_hides_nothing() -> None:
    heard = Heard()
    heard.feed(1000, flags=SYN)
    heard.feed(1001, b"abc")
    heard.feed(5_000_000, flags=SYN)
    heard.feed(1004, b"hidden?")
    heard.made.finish()
    assert heard.bytes(1, kind="unplaced") == b"hidden?"


def test_bytes_far_ahead_are_unplaced() -> None:
    heard = Heard()
    heard.feed(0, flags=SYN)
    heard.feed(1 + 2 * streams.WAITING, b"far")
    assert heard.bytes(kind="unplaced") == b"far"


def test_buffers_are_bounded() -> None:
    class Deaf:
        def chunk(self, _: Chunk) -> None:
            pass

    heard = Heard()
    heard.made = Reassembler(lambda _: Deaf())
    payload = b"x" * 60_000
    tracemalloc.start()
    heard.feed(0, flags=SYN)
    for number in range(500):  # 30 MB in order
        heard.feed(1 + number * len(payload), payload)
    for number in range(502, 900):  # and 24 MB behind a hole
        heard.feed(1 + number * len(payload), payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * streams.WAITING


def test_the_number_of_streams_is_bounded() -> None:
    heard = Heard()
    for port in range(streams.STREAMS + 50):
        heard.made.feed(
            Packet(1, 1, "tcp", "10.0.0.1", "10.0.0.2", port, 80, 5, SYN, b"", False, b"", None)
        )
    assert len(heard.made._streams) == streams.STREAMS

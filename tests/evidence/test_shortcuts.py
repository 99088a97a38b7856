"""What is decided at once is decided as it would be step by step: every shortcut on the way of a
packet is held to the long way, for any input."""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import itertools
import lzma
import re
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapReader

from conformance.evidence.packets import capture, compressed_text, encodings, pcap, streams, tls
from conformance.evidence.packets.capture import ACK, ETHERNET, FIN, RST, SLL2, SYN, Packet
from conformance.evidence.packets.compressed_text import is_compressed_text
from conformance.evidence.packets.encodings import written_otherwise
from conformance.evidence.packets.pcap import Pcap
from conformance.evidence.packets.runs import LETTERS, READABLE, ReadableRun, has_run
from conformance.evidence.packets.streams import Chunk, Reassembler, Stream
from tests.forge import wire
from tests.forge.bundle import token

# --- frames

small = st.integers(0, 255)
ipv4 = st.builds(
    lambda first, total, piece, protocol, ends: struct.pack(
        "!BBHHHBBH8s", first, 0, total, 7, piece, 64, protocol, 0, ends
    ),
    st.sampled_from([0x45, 0x45, 0x45, 0x46, 0x44, 0x65]),
    st.one_of(st.integers(0, 120), st.sampled_from([0, 39, 40, 41, 60, 0xFFFF])),
    st.sampled_from([0, 0, 0, 0x4000, 0x2000, 1, 0x8000]),
    st.sampled_from([6, 6, 6, 17, 1, 132]),
    st.binary(min_size=8, max_size=8),
)
tcp = st.builds(
    lambda ports, seq, words, flags: ports + struct.pack("!IIBB", seq, 9, words << 4, flags),
    st.binary(min_size=4, max_size=4),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 15),
    small,
)
links = {
    ETHERNET: st.builds(
        lambda macs, kind: macs + kind.to_bytes(2),
        st.binary(min_size=12, max_size=12),
        st.sampled_from([0x0800, 0x0800, 0x0800, 0x86DD, 0x8100, 0x0806]),
    ),
    SLL2: st.builds(
        lambda kind, rest: kind.to_bytes(2) + rest,
        st.sampled_from([0x0800, 0x0800, 0x0800, 0x86DD, 0x0806]),
        st.binary(min_size=18, max_size=18),
    ),
}
frames = st.sampled_from([ETHERNET, SLL2]).flatmap(
    lambda link: st.tuples(
        st.just(link),
        st.builds(lambda *parts: b"".join(parts), links[link], ipv4, tcp, st.binary(max_size=80)),
        st.integers(0, 90),
    )
)


@given(frames, st.booleans())
def test_a_common_frame_is_decoded_as_any_other(drawn: tuple[int, bytes, int], cut: bool) -> None:
    link, frame, lost = drawn
    data = frame[: len(frame) - lost] if lost < 60 else frame
    found = capture._common(3, 4, data, link, cut)
    assert found is None or found == capture._any(3, 4, data, link, cut)


@pytest.mark.parametrize("link", [ETHERNET, SLL2])
def test_most_frames_are_common_ones(link: int) -> None:
    frame = wire.framed("10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 0, 0, 16, b"x"), ())
    data = frame if link == ETHERNET else wire.sll2(frame, interface=7, sent=True)
    found = capture._common(1, 1, data, link, cut=False)
    assert found is not None and found.payload == b"x" and found.sent is (None, True)[link == SLL2]


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 60), st.integers(1, 100))
def test_records_are_found_where_scapy_finds_them(made: list[bytes], lost: int, block: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pcap, "_BLOCK", block)
        path = Path(folder) / "a.pcap"
        wire.write_pcap(path, list(enumerate(made, 5)))
        whole = path.read_bytes()
        path.write_bytes(whole[: max(pcap.HEADER_BYTES, len(whole) - lost)])
        with RawPcapReader(str(path)) as reader:
            theirs = [data for data, about in reader if len(data) == about.caplen]
        with Pcap(path) as file:
            assert [one.frame for one in file] == theirs
            kept = sum(pcap.RECORD_BYTES + len(one) for one in theirs)
            assert file.truncated == (path.stat().st_size != pcap.HEADER_BYTES + kept)


def test_a_damaged_compressed_capture_is_not_whole(tmp_path: Path) -> None:
    frame = bytes(range(256)) * 200
    wire.write_pcap(tmp_path / "a.pcap", [(1, frame)] * 60)
    packed = bytearray(gzip.compress((tmp_path / "a.pcap").read_bytes()))
    packed[-5] ^= 1  # of the length at its end
    (tmp_path / "a.pcap").unlink()
    (tmp_path / "a.pcap.gz").write_bytes(packed)
    with Pcap(tmp_path / "a.pcap") as file:
        assert 20 < len(list(file)) <= 60
        assert file.truncated


# --- streams


class Slow(Reassembler):
    """Every packet the same way, and each connection under one key."""

    def feed(self, packet: Packet) -> Stream:
        source, target = (packet.src, packet.sport), (packet.dst, packet.dport)
        key = (*source, *target) if source < target else (*target, *source)
        stream = self._streams.get(key)
        opens = packet.flags & (SYN | ACK) == SYN
        same = stream and stream.isn == packet.seq and stream.opener == source
        if stream is None or (opens and (stream.closed or not same)):
            if stream is not None:
                streams._give_up_holes(stream)
                del self._streams[key]
            if packet.flags & SYN and not opens:
                stream = Stream(target, source, packet, None)
            else:
                stream = Stream(source, target, packet, packet.seq if opens else None)
            stream.listener = self._open_listener(stream)
            self._streams[key] = stream
            if len(self._streams) > streams.STREAMS:
                streams._give_up_holes(self._streams.popitem(last=False)[1])
        self._streams.move_to_end(key)
        self._see(stream, 0 if source == stream.opener else 1, packet)
        return stream


class Heard:
    """What a reassembler says, with the connection by its first frame."""

    def __init__(self, kind: type[Reassembler]) -> None:
        self.told: list[object] = []
        self._made = kind(self._open)

    def _open(self, stream: Stream) -> Heard:
        self.told.append((stream.opener, stream.answerer, stream.isn, stream.frame))
        return self

    def chunk(self, chunk: Chunk) -> None:
        about = chunk.stream.frame, chunk.stream.headless, chunk.stream.closed
        self.told.append((about, chunk[1:]))

    def all(self, packets: list[Packet]) -> list[object]:
        for packet in packets:
            stream = self._made.feed(packet)
            self.told.append((stream.frame, stream.headless, stream.closed))
        self._made.finish()
        return self.told


ends = st.sampled_from([("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.2", 1), ("10.0.0.3", 9)])
passed = st.tuples(
    ends,
    ends,
    st.integers(0, 12),
    st.sampled_from([SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST, 0]),
    st.sampled_from([b"", b"", b"a", b"bc", b"def"]),
)


@given(st.lists(passed, max_size=40))
def test_connections_are_told_apart_as_by_one_key(
    drawn: list[tuple[tuple[str, int], tuple[str, int], int, int, bytes]],
) -> None:
    packets = [
        Packet(number, number, "tcp", src, dst, sport, dport, seq, flags, data, False, b"", None)
        for number, ((src, sport), (dst, dport), seq, flags, data) in enumerate(drawn, 1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "STREAMS", 3)
        assert Heard(Reassembler).all(packets) == Heard(Slow).all(packets)


# --- records of TLS


class ByteByByte(tls.RecordCheck):
    """Takes every header byte by byte."""

    def _is_head(self, _: bytes) -> bool:
        return False


record = st.one_of(
    st.sampled_from([
        wire.CLIENT_HELLO, wire.SERVER_HELLO, wire.CHANGE, wire.sealed(), wire.sealed(3),
        b"\x15\x03\x03\0\2\1\0", b"\x17\x03\x03\0\0", b"\x16\x03\x03\0\0",
        b"\x14\x03\x03\0\1\2", b"GET / HTTP/1.1\r\n\r\n",
    ]),
    st.builds(
        lambda kind, major, minor, size, body: struct.pack("!BBBH", kind, major, minor, size)
        + body,
        st.sampled_from([20, 21, 22, 23, 24]), st.sampled_from([3, 3, 3, 2]), st.integers(0, 5),
        st.one_of(st.integers(0, 30), st.sampled_from([19, 18432, 18433])), st.binary(max_size=40),
    ),
)  # fmt: skip


def _both(kind: type[tls.RecordCheck]) -> list[tls.RecordCheck]:
    asked, answered = kind(opener=True), kind(opener=False)
    asked.other, answered.other = answered, asked
    return [asked, answered]


@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 1), st.lists(record, min_size=1, max_size=3)), max_size=8),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_a_whole_header_is_judged_as_byte_by_byte(
    greeted: bool, said: list[tuple[int, list[bytes]]], cuts: list[int]
) -> None:
    if greeted:
        said = [(0, [wire.CLIENT_HELLO]), (1, [wire.SERVER_HELLO, wire.CHANGE]), *said]
    fast, slow = _both(tls.RecordCheck), _both(ByteByByte)
    for direction, records in said:
        data = b"".join(records)
        places = [0, *sorted(one for one in cuts if one < len(data)), len(data)]
        for start, end in itertools.pairwise(places):
            one, other = fast[direction], slow[direction]
            assert one.feed(data[start:end]) == other.feed(data[start:end])
            for name in tls.RecordCheck.__slots__:
                if name not in ("other", "_run", "_sealed"):
                    assert getattr(one, name) == getattr(other, name), name


# --- bytes

letters = st.sampled_from(LETTERS).map(lambda one: bytes([one]))
mixed = st.lists(
    st.one_of(st.binary(max_size=6), letters, st.integers(1, 40).map(lambda size: b"a" * size)),
    max_size=30,
).map(b"".join)


@given(mixed, st.integers(1, 33), st.lists(st.integers(0, 200), max_size=4))
def test_a_run_is_one_by_a_regular_expression(data: bytes, least: int, cuts: list[int]) -> None:
    wanted = re.compile(rb"[\t\r\n\x20-\x7e]{%d}" % least)
    assert has_run(READABLE, data, least) == bool(wanted.search(data))
    if least > 1:
        run = ReadableRun(least)
        places = [0, *sorted(one for one in cuts if one < len(data)), len(data)]
        fed = [run.feed(data[start:end]) for start, end in itertools.pairwise(places)]
        assert any(fed) == bool(wanted.search(data))


def _expanded_whole(data: bytes) -> bool:
    """The long way: everything is expanded as far as it goes, and looked at then."""
    data = data[:4096]
    if data.startswith((b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")):
        return True
    places = [0, *(at for at in [data.find(b"\x1f\x8b\x08", 1)] if at > 0)]
    return any(_is_text(one) for at in places for one in _expansions(data[at:]))


def _is_text(data: bytes) -> bool:
    match = re.match(rb"[\t\r\n\x20-\x7e]{128}", data)
    return match is not None and len(set(match[0])) >= 24


def _expansions(data: bytes) -> list[bytes]:
    found = []
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        try:
            found.append(zlib.decompressobj(bits).decompress(data, 4096))
        except zlib.error:
            expand, out = zlib.decompressobj(bits), b""
            try:
                for place in range(0, min(len(data), 512), 16):
                    out += expand.decompress(data[place : place + 16], 4096)
            except zlib.error:
                pass
            found.append(out)
    for mark, make in ((b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ\0", lzma.LZMADecompressor)):
        if data.startswith(mark):
            try:
                found.append(make().decompress(data, 4096))
            except (OSError, lzma.LZMAError, EOFError):
                found.append(b"")
    return found


def _deflated(text: bytes, level: int, strategy: int, bits: int) -> bytes:
    pack = zlib.compressobj(level, zlib.DEFLATED, bits, 9, strategy)
    return pack.compress(text) + pack.flush()


WORDS = (
    b"GET /answer?of=one HTTP/1.1\r\nHost: peer.example.net\r\nUser-Agent: quick brown fox 42\r\n"
)
texts = st.one_of(
    st.integers(0, 12).map(lambda times: WORDS * times),
    st.text("abcdefghijklmnopqrstuvwxyz \n0123456789", max_size=900).map(str.encode),
    st.tuples(st.integers(90, 140), mixed).map(lambda one: (WORDS * 3)[: one[0]] + one[1]),
)
packed = st.one_of(
    st.builds(
        _deflated, texts, st.sampled_from([0, 1, 6, 9]),
        st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]),
        st.sampled_from([-15, -9, 15, 9, 31]),
    ),
    texts.map(bz2.compress),
    texts.map(lzma.compress),
)  # fmt: skip
harmed = st.builds(
    lambda front, data, at, byte, lost: front
    + (data[:at] + bytes([byte]) + data[at + 1 :])[: len(data) - lost],
    st.sampled_from([b"", b"", b"", b"\0", b"xyz", b"\x28\xb5\x2f\xfd"]),
    packed, st.integers(0, 400), small, st.sampled_from([0, 0, 0, 1, 20, 100]),
)  # fmt: skip


@given(st.one_of(packed, harmed, st.binary(max_size=64), st.binary(min_size=400, max_size=700)))
def test_compressed_text_is_seen_as_by_expanding_all_of_it(data: bytes) -> None:
    assert is_compressed_text(data) == _expanded_whole(data)


def test_a_long_way_to_the_first_letters_is_gone() -> None:
    """Empty blocks: 512 bytes and more, and no letter yet."""
    empty = b"\0\0\0\xff\xff" * 110
    for text, seen in ((WORDS * 2, True), (b"\xff" * 200, False)):
        data = empty + _deflated(text, 6, zlib.Z_DEFAULT_STRATEGY, -15)
        assert is_compressed_text(data) == _expanded_whole(data) == seen


def test_zlib_gives_up_on_every_other_beginning() -> None:
    for number in range(1 << 16):
        begin = number.to_bytes(2)
        try:
            zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(begin + b"\x08")
            taken = True
        except zlib.error:
            taken = False
        assert taken <= (begin in compressed_text._HEADERS)


TOKEN = token("steady", 7).encode()
written = st.lists(
    st.one_of(
        st.sampled_from([
            TOKEN, base64.b64encode(TOKEN), base64.urlsafe_b64encode(b"?>" + TOKEN),
            base64.b32encode(TOKEN), binascii.hexlify(TOKEN),
            b"".join(b"%%%02x" % one for one in TOKEN),
            base64.b64encode(b"x" + TOKEN).rstrip(b"="), base64.b32encode(TOKEN).lower(),
            b"id: 3f2b8c1e-9d47-4a6f-8e21-0c5d7b9a1f3e",
        ]),
        st.binary(max_size=8),
        st.text("ab+/_-= \n", max_size=9).map(str.encode),
    ),
    max_size=6,
).map(b"".join)  # fmt: skip


@given(written)
def test_a_token_is_read_wherever_a_run_may_hold_one(data: bytes) -> None:
    fast = written_otherwise(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "has_run", lambda *_: True)
        assert written_otherwise(data) == fast

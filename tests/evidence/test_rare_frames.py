"""Frames, records and streams that a real capture seldom holds: each is read as what it is, and
what cannot be read hides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Dot1Q, Ether

from conformance.evidence.bundle import Bundle
from conformance.evidence.index import read as read_index
from conformance.evidence.packets import streams
from conformance.evidence.packets.capture import ACK, SYN, Capture, Packet, decoded
from conformance.evidence.packets.compressed_text import is_compressed_text
from conformance.evidence.packets.pcap import Pcap, UnreadableCapture
from conformance.evidence.packets.tls_hello import read
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside
from conformance.model import Window
from tests.evidence.test_coverage import problems
from tests.evidence.test_streams import Heard
from tests.evidence.test_tls import HELLO, TWELVE, spoken
from tests.forge import bundle as forge
from tests.forge import wire
from tests.worlds import lifecycle

FRAME = wire.framed("10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 7, 0, 16, b"abc"), ())
NODES = wire.sll2(FRAME, interface=7, sent=True)
V6 = bytes(Ether() / IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=5, dport=6, seq=9) / b"abc")


def only(folder: Path, frame: bytes, link: int = 1) -> Packet:
    wire.write_pcap(folder / "a.pcap", [(1, frame)], link=link)
    (packet,) = Capture(folder / "a.pcap")
    return packet


@pytest.mark.parametrize("link", [0, 113, 127])
def test_a_capture_of_another_link_type_is_refused(tmp_path: Path, link: int) -> None:
    wire.write_pcap(tmp_path / "a.pcap", [(1, FRAME)], link=link)
    with pytest.raises(UnreadableCapture, match=rf"a\.pcap has link type {link}, not Ethernet or"):
        list(Capture(tmp_path / "a.pcap"))


@pytest.mark.parametrize(("frame", "link", "rest"), [
    (FRAME[:13], 1, FRAME[:13]),  # no whole Ethernet header
    (FRAME[:14], 1, b""),
    (NODES[:19], 276, NODES[:19]),
    (FRAME[:14] + b"\x45" + bytes(18), 1, b"\x45" + bytes(18)),  # no whole IPv4 header
    (FRAME[:14] + b"\x44" + FRAME[15:], 1, b"\x44" + FRAME[15:]),  # one that is too short
    (FRAME[:14] + b"\x4f" + FRAME[15:50], 1, b"\x4f" + FRAME[15:50]),  # options that are cut off
    (V6[:53], 1, V6[14:53]),  # no whole IPv6 header
])  # fmt: skip
def test_what_has_no_whole_header_is_kept_as_it_is(
    tmp_path: Path, frame: bytes, link: int, rest: bytes
) -> None:
    packet = only(tmp_path, frame, link)
    assert (packet.kind, packet.src, packet.dst, packet.payload) == ("other", "", "", rest)


def test_the_shortest_whole_headers_are_read(tmp_path: Path) -> None:
    empty = only(tmp_path, bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2", proto=99)))
    assert (empty.kind, empty.src, empty.dst, empty.payload) == ("ip", "10.0.0.1", "10.0.0.2", b"")
    six = only(tmp_path, V6[:18] + b"\0\0\x3b" + V6[21:54])  # no next header
    assert (six.kind, six.src, six.dst, six.payload) == ("ip", "fd00::1", "fd00::2", b"")


def test_tags_upon_tags_are_passed_over(tmp_path: Path) -> None:
    packet = only(tmp_path, bytes(Ether() / Dot1Q() / Dot1Q() / IP() / TCP(sport=3) / b"abc"))
    assert (packet.kind, packet.sport, packet.payload) == ("tcp", 3, b"abc")
    assert only(tmp_path, bytes(Ether() / Dot1Q(type=0x8100))[:17]).kind == "other"


def test_an_ipv6_fragment_that_is_the_whole_is_read_on(tmp_path: Path) -> None:
    """Offset 0, and no more of them (RFC 6946)."""
    head = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(offset=0, m=0)
    packet = only(tmp_path, bytes(Ether() / head / TCP(sport=5, dport=6) / b"abc"))
    assert (packet.kind, packet.sport, packet.dport, packet.payload) == ("tcp", 5, 6, b"abc")
    later = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(offset=1, m=0)
    packet = only(tmp_path, bytes(Ether() / later / b"abcdefgh"))
    assert (packet.kind, packet.src, packet.payload) == ("fragment", "fd00::1", b"abcdefgh")


@pytest.mark.parametrize(("protocol", "body", "kind"), [
    (6, wire.tcp(("", 1), ("", 2), 0, 0, 16)[:19], "ip"),
    (6, wire.tcp(("", 1), ("", 2), 0, 0, 16)[:20], "tcp"),
    (17, wire.udp(("", 1), ("", 2), b"")[:7], "ip"),
    (17, wire.udp(("", 1), ("", 2), b""), "udp"),
])  # fmt: skip
def test_a_transport_header_is_whole_or_none(
    tmp_path: Path, protocol: int, body: bytes, kind: str
) -> None:
    packet = only(tmp_path, wire.framed("10.0.0.1", "10.0.0.2", protocol, body, ()))
    assert packet.kind == kind
    assert packet.payload == (body if kind == "ip" else b"")
    assert packet.dport == (0 if kind == "ip" else 2)


def test_a_packet_within_another_has_that_ones_number() -> None:
    packet = decoded(12, 34, FRAME)
    assert (packet.frame, packet.ns, packet.kind, packet.cut) == (12, 34, "tcp", False)
    assert packet.mac == FRAME[6:12] and packet.sent is None


@pytest.mark.parametrize("nano", [True, False])
def test_a_record_is_packed_as_it_stood(tmp_path: Path, nano: bool) -> None:
    path = tmp_path / "a.pcap"
    wire.write_pcap(path, [(3_000_021_000, FRAME), (4_000_000_000, FRAME * 2)], cut_to=80)
    content = path.read_bytes()
    if not nano:
        records = content[24:].replace((21_000).to_bytes(4, "little"), (21).to_bytes(4, "little"))
        content = bytes.fromhex("d4c3b2a1") + content[4:24] + records
        path.write_bytes(content)
    with Pcap(path) as file:
        assert file.header + b"".join(map(file.packed, file)) == content


def test_beyond_what_is_remembered_every_gap_still_blinds(tmp_path: Path) -> None:
    """A machine that loses every second beacon for the whole of a life."""
    world = lifecycle.lifecycle()
    world.frames = [one for one in world.frames if b"SCB1 " not in one[1]]
    for seq in range(0, 6000):
        if seq % 2 == 0 or seq == 5999:
            kind = "first" if seq == 0 else "last" if seq == 5999 else "beat"
            world.frames.append(wire.beacon(forge.BOOT, seq, forge.ns(seq / 300), kind))
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    found = from_inside(bundle, lambda _: None)
    assert found.missing == 2999
    last = Window("last", forge.ns(19.9), forge.ns(19.95))
    assert [one.why for one in found.blind if one.touches(last)] == ["beacons missing"]


def test_a_window_that_reaches_beyond_the_beacons_is_not_covered(tmp_path: Path) -> None:
    before = Window("before", forge.ns(-60), forge.ns(6))
    after = Window("after", forge.ns(10), forge.ns(60))
    world = lifecycle.lifecycle()
    assert "the first beacon came after the window began" in problems(
        world, tmp_path, before, to_the_end=False
    )
    assert "the last beacon came before the window ended" in problems(
        world, tmp_path, after, to_the_end=False
    )


def test_what_waits_for_too_long_is_handed_out_after_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WAITING", 4000)
    heard = Heard()
    heard.feed(1000, flags=SYN)
    heard.feed(1001, b"first")
    for size in (1000, 900, 800, 700, 600):  # the same again and again, which takes up room
        heard.feed(1106, b"A" * size)
    assert not heard.bytes(kind="after-gap")
    heard.feed(1106, b"A" * 500)
    assert heard.kinds() == {"data", "after-gap"}
    assert heard.bytes(kind="after-gap") == b"A" * 1000
    heard.feed(2106, b"last")
    assert heard.bytes() == b"firstlast"


@pytest.mark.parametrize(("says", "why"), [
    (((0, wire.record(22, wire.CLIENT_HELLO[5:60])), (0, wire.CHANGE)),
     "a record of type 0x14 within a handshake message"),
    ((*HELLO, (0, wire.record(21, b""))), "an empty record of type 21"),
    ((*HELLO, (0, wire.record(20, b""))), "an empty record of type 20"),
    (((0, wire.CLIENT_HELLO), (1, TWELVE + wire.record(22, wire.message(1, b"\xa5" * 40)))),
     "a handshake message of type 1"),
    (((0, wire.CLIENT_HELLO), (1, wire.server_hello(more=wire.message(11, b"\xa5" * 40)))),
     "a handshake message of type 11 in clear in TLS 1.3"),
], ids=range(5))  # fmt: skip
def test_records_out_of_place_are_no_tls(says: tuple[tuple[int, bytes], ...], why: str) -> None:
    place, said = spoken(*says)
    assert (place, said) == (len(says) - 1, why)


def test_a_server_may_have_no_extensions() -> None:
    body = b"\x03\x03" + wire.RANDOM + b"\x20" + wire.SESSION + b"\xc0\x2f\0"
    said = read(body, client=False)
    assert (said.known, said.thirteen, said.encrypts, said.clear) == (True, False, True, "")


@pytest.mark.parametrize("mark", [b"BZh", b"BZh91AY&SY", b"\xfd7zXZ\0"])
def test_a_mark_of_compression_alone_is_no_text(mark: bytes) -> None:
    assert not is_compressed_text(mark + b"\xa5" * 200)


def test_an_unreadable_capture_is_named(tmp_path: Path) -> None:
    folder = lifecycle.lifecycle().write(tmp_path / "bundle")
    file = folder / "capture/subject/eth0.pcap"
    wire.write_pcap(file, [(1, FRAME)], link=113)
    index = (folder / "cell.json").read_text()
    (folder / "cell.json").write_text(index.replace('"capture/subject/eth0.pcap"', '"other"'))
    with pytest.raises(Unjudgeable, match="has link type 113") as why:
        from_inside(Bundle.open(folder), lambda _: None)
    assert [one.file for one in why.value.evidence] == ["capture/subject/eth0.pcap"]


def test_a_stream_goes_on_at_its_syn() -> None:
    heard = Heard()
    heard.feed(7, flags=SYN)
    heard.feed(8, b"a", flags=ACK)
    assert heard.bytes() == b"a"


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("ethertype", [b"\x12\x34", b"\x08\x06", b"\x88\xb5"])
def test_whatever_it_is_the_node_says_who_sent_it(
    tmp_path: Path, sent: bool, ethertype: bytes
) -> None:
    frame = FRAME[:12] + ethertype + b"abc"
    packet = only(tmp_path, wire.sll2(frame, interface=7, sent=sent), 276)
    assert (packet.sent, packet.src, packet.payload) == (sent, "", b"abc")
    packet = only(tmp_path, frame)
    assert (packet.sent, packet.mac, packet.payload) == (None, frame[6:12], b"abc")


def test_a_fragment_has_the_address_of_its_card(tmp_path: Path) -> None:
    frame = wire.ethernet(0x0800, wire.ip("10.0.0.1", "10.0.0.2", 17, b"abc", 7), from_pod=True)
    packet = only(tmp_path, frame)
    assert (packet.kind, packet.mac, packet.sent) == ("fragment", wire.POD_MAC, None)
    packet = only(tmp_path, wire.sll2(frame, interface=7, sent=True), 276)
    assert (packet.kind, packet.src, packet.sent) == ("fragment", "10.0.0.1", True)


def test_a_beacon_that_comes_again_is_told_from_one_that_is_missing(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.frames.append(wire.beacon(forge.BOOT, 30, forge.ns(3.21), "beat"))
    window = Window("early", forge.ns(1), forge.ns(6))
    (said,) = problems(world, tmp_path, window, to_the_end=False)
    assert said.startswith("beacon came again, or out of order: 30")


def test_what_an_older_index_does_not_say() -> None:
    raw = dict(lifecycle.lifecycle().index)
    for name in ("gate", "stamped", "unseen", "folder", "versions", "nodes", "left_out", "ended_ns",
                 "proxy_answers", "app_drain_seconds", "sidecar_drain_seconds",
                 "job_bound_seconds"):  # fmt: skip
        raw.pop(name, None)
    index = read_index(raw | {"files": {}})
    assert (index.gate, index.stamped, index.unseen, index.server) == ("http", True, "", "")
    assert (index.folder, index.ended_ns, dict(index.kubelets)) == (raw["namespace"], 0, {})
    assert not index.nodes and not index.left_out and list(index.proxy_answers) == ["late"]
    assert (index.app_drain_seconds, index.sidecar_drain_seconds) == (0, 0)
    assert index.job_bound_seconds == 0
    with pytest.raises(ValueError, match="schema 2 is not known, only 1"):
        read_index(raw | {"schema": 2})

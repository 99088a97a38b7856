"""The capture reader agrees with tcpdump and scapy frame by frame, and its memory is bounded."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.utils import PcapWriter

from conformance.evidence.packets.capture import Capture, Packet
from conformance.evidence.packets.pcap import UnreadableCapture
from tests.forge import bundle as forge
from tests.forge import wire
from tests.worlds import lifecycle


def read(path: Path) -> list[Packet]:
    return list(Capture(path))


def test_frame_numbers_and_times_are_tcpdumps(tmp_path: Path) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("no tcpdump here")
    bundle = lifecycle.lifecycle().write(tmp_path / "bundle")
    path = bundle / "capture/subject/eth0.pcap"
    said = subprocess.run(
        ["tcpdump", "-r", path, "-nn", "-tt", "--nano", "--number"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    said = [line for line in said if not line.startswith("\t")]  # the bytes of beacons
    packets = read(path)
    assert len(packets) == len(said) > 500
    for packet, line in zip(packets, said, strict=True):
        number, time, *rest = line.split()
        assert int(number) == packet.frame
        assert int(time.replace(".", "")) == packet.ns
        if packet.kind == "tcp":
            dot = f"{packet.src}.{packet.sport} > {packet.dst}.{packet.dport}:"
            assert dot in " ".join(rest)
            assert f"length {len(packet.payload)}" in " ".join(rest)


def test_scapys_packets_are_decoded_as_scapy_made_them(tmp_path: Path) -> None:
    made = [
        (
            Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, seq=7) / b"abc",
            "tcp",
        ),
        (Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(options=[("MSS", 9)]) / b"abc", "tcp"),
        (Ether() / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP() / b"abc", "udp"),
        (Ether() / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=3, dport=4) / b"abc", "udp"),
        (Ether() / IPv6() / IPv6ExtHdrDestOpt() / TCP(sport=5, dport=6) / b"abc", "tcp"),
        (Ether() / IPv6() / IPv6ExtHdrFragment(m=1) / b"abcdefgh", "fragment"),
        (Ether() / IP(flags="MF") / UDP() / b"abcdefgh", "fragment"),
        (Ether() / IP() / ICMP() / b"abc", "icmp"),
        (Ether() / ARP(), "arp"),
        (Ether() / IP(proto=132) / b"abc", "ip"),
        (Ether(type=0x1234) / b"abc", "other"),
    ]
    path = tmp_path / "made.pcap"
    with PcapWriter(str(path), nano=True, linktype=1) as out:
        for packet, _ in made:
            out.write(packet)
    packets = read(path)
    assert [packet.kind for packet in packets] == [kind for _, kind in made]
    assert all(packet.payload == b"abc" for packet in packets if packet.kind in ("tcp", "udp"))
    assert (packets[0].src, packets[0].sport, packets[0].dport, packets[0].seq) == (
        "10.0.0.1",
        1,
        2,
        7,
    )
    assert (packets[3].src, packets[3].dst) == ("fd00::1", "fd00::2")


def test_ethernets_padding_is_no_payload(tmp_path: Path) -> None:
    frame = wire.framed("10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 0, 0, 16), ())
    wire.write_pcap(tmp_path / "a.pcap", [(1, frame + b"x" * 6)])
    assert read(tmp_path / "a.pcap")[0].payload == b""


def test_a_total_length_of_zero_means_all_of_a_large_frame(tmp_path: Path) -> None:
    frame = bytearray(
        wire.framed("10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 0, 0, 16, b"x" * 90), ())
    )
    frame[16:18] = b"\0\0"
    wire.write_pcap(tmp_path / "a.pcap", [(1, bytes(frame))])
    packet = read(tmp_path / "a.pcap")[0]
    assert len(packet.payload) == 90
    assert not packet.cut


def test_a_frame_cut_by_the_snapshot_length_says_so(tmp_path: Path) -> None:
    frame = wire.framed(
        "10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 0, 0, 16, b"x" * 90), ()
    )
    wire.write_pcap(tmp_path / "a.pcap", [(1, frame)], cut_to=80)
    assert read(tmp_path / "a.pcap")[0].cut


def test_the_nodes_frames_say_who_sent_them(tmp_path: Path) -> None:
    frame = wire.framed("10.0.0.1", "10.0.0.2", 17, wire.udp(("", 1), ("", 2), b"hello"), ())
    both = [
        (1, wire.sll2(frame, interface=7, sent=True)),
        (2, wire.sll2(frame, interface=7, sent=False)),
    ]
    wire.write_pcap(tmp_path / "a.pcap", both, link=276)
    assert [(one.sent, one.payload) for one in read(tmp_path / "a.pcap")] == [
        (True, b"hello"),
        (False, b"hello"),
    ]


@pytest.mark.parametrize("cut", [1, 15, 16, 40])
def test_a_half_record_at_the_end_is_left_out_and_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.pcap"
    wire.write_pcap(path, [wire.beacon(forge.BOOT, seq, seq, "beat") for seq in range(3)])
    size = 16 + 14 + 80
    path.write_bytes(path.read_bytes()[: -size + cut])
    capture = Capture(path)
    assert len(list(capture)) == 2
    assert capture.truncated
    assert capture.frames == 2


@pytest.mark.parametrize("content", [b"", b"\x4d\x3c\xb2\xa1", b"no pcap at all, but long enough"])
def test_what_is_no_capture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pcap").write_bytes(content)
    with pytest.raises(UnreadableCapture):
        read(tmp_path / "a.pcap")


@pytest.mark.parametrize(("magic", "endian", "unit"), [
    (0xA1B2C3D4, "<", 1000), (0xA1B2C3D4, ">", 1000), (0xA1B23C4D, "<", 1), (0xA1B23C4D, ">", 1),
])  # fmt: skip
def test_every_byte_order_and_resolution(
    tmp_path: Path, magic: int, endian: str, unit: int
) -> None:
    frame = wire.beacon(forge.BOOT, 0, 0, "first")[1]
    head = struct.pack(endian + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    body = struct.pack(endian + "IIII", 3, 21, len(frame), len(frame)) + frame
    (tmp_path / "a.pcap").write_bytes(head + body)
    (packet,) = read(tmp_path / "a.pcap")
    assert packet.ns == 3_000_000_000 + 21 * unit
    assert packet.kind == "beacon"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.pcap"
    frame = wire.framed(
        "10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 0, 0, 16, b"\xa5" * 60_000), ()
    )
    record = struct.pack("<IIII", 1, 1, len(frame), len(frame)) + frame
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for _ in range(200):
            out.write(record * 16)
    assert path.stat().st_size > 190_000_000
    tracemalloc.start()
    capture = Capture(path)
    size = sum(len(packet.payload) for packet in capture)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path.unlink()
    assert size == 200 * 16 * 60_000
    assert peak < 8_000_000

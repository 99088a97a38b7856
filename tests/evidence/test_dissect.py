"""The dissection of single frames: what it says, and that it is neither loud nor in the way."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.evidence.packets.dissect import dissect, frames
from conformance.evidence.packets.pcap import UnreadableCapture
from tests.forge import wire
from tests.worlds import leaks

REQUEST = b"GET /leaked?token=cny.1 HTTP/1.1\r\nHost: peer\r\n\r\n"
FRAME = wire.framed(
    "10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 4001), ("", 8080), 7, 0, 0x18, REQUEST), ()
)


def test_a_request_is_read_through_all_layers() -> None:
    seen = dissect(FRAME)
    assert "'/leaked?token=cny.1'" in seen.summary[0]
    assert [line.partition(":")[0] for line in seen.summary[1:]] == [
        *("Ethernet", "IP", "TCP", "HTTP 1", "HTTP Request"),
    ]
    assert "src=10.0.0.1" in seen.summary[2]
    assert "sport=4001" in seen.summary[3]
    assert "47 45 54 20" in seen.hexdump  # GET


def test_the_nodes_frames_and_names_are_read(tmp_path: Path) -> None:
    asked = wire.udp(("", 3000), ("", 53), leaks.message("peer.forged.svc"))
    frame = wire.sll2(wire.framed("10.0.0.1", "10.0.0.2", 17, asked, ()), interface=7, sent=True)
    wire.write_pcap(tmp_path / "a.pcap", [(1, frame), (2, frame), (3, frame)], link=276)
    found = frames(tmp_path / "a.pcap", {2, 9})
    assert list(found) == [2]
    assert "peer.forged.svc" in found[2].summary[0]
    assert frames(tmp_path / "a.pcap", ()) == {}


def test_a_long_frame_is_cut() -> None:
    frame = wire.framed(
        "10.0.0.1", "10.0.0.2", 6, wire.tcp(("", 1), ("", 2), 0, 0, 16, b"x" * 2000), ()
    )
    *lines, last = dissect(frame).hexdump.splitlines()
    assert len(lines) == 32
    assert last == f"… {len(frame) - 512} more bytes"


@pytest.mark.parametrize("link", [1, 276, 113])
def test_what_is_no_frame_is_shown_all_the_same(link: int) -> None:
    dice = random.Random(link)
    for size in (0, 1, 13, 20, *range(21, 120)):
        assert dissect(dice.randbytes(size), link).summary
        assert dissect(FRAME[:size] + dice.randbytes(3), link).summary


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(b"no pcap at all, but long enough")
    with pytest.raises(UnreadableCapture, match="is no pcap file"):
        frames(tmp_path / "a.pcap", {1})


def test_scapy_is_imported_by_whoever_needs_it_and_is_quiet(tmp_path: Path) -> None:
    wire.write_pcap(tmp_path / "a.pcap", [(1, FRAME), (2, FRAME)])
    with (tmp_path / "a.pcap").open("ab") as file:
        file.write(b"half a record")
    program = (
        "import sys, conformance.cli, conformance.plugin\n"
        "from conformance.evidence.packets import dissect, pcap\n"
        "assert not [name for name in sys.modules if name.startswith('scapy')]\n"
        "from pathlib import Path\n"
        f"assert len(list(pcap.Pcap(Path({str(tmp_path / 'a.pcap')!r})))) == 2\n"
        f"assert dissect.frames(Path({str(tmp_path / 'a.pcap')!r}), [1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

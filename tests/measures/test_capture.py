"""What a capture costs is reckoned rightly from turns, and measured on a real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from conformance.errors import EnvironmentProblem
from conformance.measures import capture
from conformance.measures import pair as pair_of
from conformance.measures.capture import Round, Turn, figures, lacking, main, ratio, turn
from conformance.measures.pair import TOOLS, Captured
from tests.forge import wire


def test_a_ratios_interval_is_by_order() -> None:
    found = ratio([float(one) for one in range(20, 0, -1)])
    # The 6th of 20 from each end: 95.9 % (tables of the sign test).
    assert (found.middle, found.low, found.high) == (10.5, 6.0, 15.0)
    wild = ratio([*(float(one) for one in range(1, 20)), 1e9])
    assert wild.high == 15.0
    few = ratio([1.0, 2.0, 4.0])
    assert (few.middle, few.low, few.high) == (2.0, 1.0, 4.0)


def test_a_turn_is_its_requests() -> None:
    found = turn({"seconds": 2.0, "latencies": [*range(1, 201)], "outcomes": {"ok": 200}})
    assert found == Turn(200, 100.0, 100.5, 198)
    for outcomes in ({"ok": 199, "timeout": 1}, {}):
        with pytest.raises(EnvironmentProblem, match="ended as"):
            turn({"seconds": 2.0, "latencies": [1, 2], "outcomes": outcomes})


@pytest.mark.parametrize(("counted", "requests", "lost"), [(3, 2, 0), (4, 2, 1), (3, 4, 2)])
def test_what_a_file_lacks_is_counted(
    tmp_path: Path, counted: int, requests: int, lost: int
) -> None:
    made = [(1, b"POST /echo/cny"), (2, b"HTTP/1.1 200"), (3, b".POST /echo/cny")]
    wire.write_pcap(tmp_path / "eth0.pcap", made)
    assert lacking(Captured(counted, 0, tmp_path / "eth0.pcap"), requests) == lost


def test_pairs_are_compared_with_each_other_alone() -> None:
    """A machine that is twice as slow in one pair is so in both of its turns."""
    rounds = [
        Round(
            Turn(10, 100 / slow, 1e6 * slow, 5e6), Turn(8, 80 / slow, 1.1e6 * slow, 10e6),
            Captured(50, number % 2, Path("x")), 0, {"a ring": Turn(9, 1.0, 1.03e6 * slow, 1e6)},
        )
        for number, slow in enumerate([1, 2, 1, 5, 1, 1])
    ]  # fmt: skip
    dropped, rate, median, p99, ring = figures("", rounds)
    assert (dropped.value, dropped.more["packets"], dropped.more["requests"]) == (3, 300, 48)
    assert (rate.value, median.value, p99.value) == (0.8, 1.1, 2.0)
    assert (median.more["low"], median.more["high"]) == (1.1, 1.1)
    assert ring.name.startswith("a ring in the capture's place") and ring.value == 1.03


def test_a_folder_that_is_not_there_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere/bench.json"]) == main(["a", "b"]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_without_tcpdump_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "tcpdump" else tool)
    assert main([str(tmp_path / "bench.json")]) == 3
    assert "no tcpdump on PATH" in capsys.readouterr().err


needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(tool) is None for tool in TOOLS),
    reason="needs root, network namespaces and tcpdump",
)


@needs_namespaces
def test_a_real_capture_is_measured() -> None:
    found = list(capture.measured(dict.fromkeys(capture.RATES, 1), 0.5, lambda _: None))
    paced, (dropped, rate, median, _) = found[:6], found[6:]
    assert all(one.value > 0 for one in paced[1:])
    assert found[0].more["requests"] < dropped.more["requests"]
    assert dropped.more["packets"] + dropped.value > 10 * dropped.more["requests"] / 2 > 0
    assert not dropped.more["lacking"] or dropped.value
    assert rate.value > 0 and median.value > 0


@needs_namespaces
@pytest.mark.parametrize(("frames", "dropped"), [(9, 1), (0, 0)])
def test_a_socket_that_was_spared_work_is_no_measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frames: int, dropped: int
) -> None:
    told = {"frames": frames, "dropped": dropped}
    program = "import sys; print('listening', flush=True); sys.stdin.readline(); "
    monkeypatch.setattr(pair_of, "RING", ["-c", program + f"print({json.dumps(json.dumps(told))})"])
    with (
        pair_of.pair(tmp_path) as both,
        pytest.raises(
            EnvironmentProblem, match=f"kept {frames} frames and not the other {dropped}"
        ),
        both.kept(),
    ):
        pass


@needs_namespaces
def test_an_interrupted_bench_leaves_no_process(tmp_path: Path) -> None:
    marked = {**os.environ, "TMPDIR": str(tmp_path)}
    bench = [sys.executable, "-m", "conformance.measures.capture", str(tmp_path / "bench.json")]
    with subprocess.Popen(bench, env=marked, stderr=subprocess.PIPE, text=True) as started:
        try:
            begun = stop_after_delay(30)
            Retrying(stop=begun, wait=wait_fixed(0.1), retry=retry_if_result(lambda one: not one))(
                lambda: [*tmp_path.glob("*/cell/capture/*/eth0.pcap")]
            )
        finally:
            started.terminate()
        said = started.communicate(timeout=30)[1]
    assert (started.returncode, "interrupted" in said) == (130, True)
    assert not list(tmp_path.iterdir())
    # All of them have inherited where temporary files go.
    mark = f"TMPDIR={tmp_path}".encode()
    assert not [one for one in Path("/proc").glob("[0-9]*/environ") if mark in _read(one)]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""

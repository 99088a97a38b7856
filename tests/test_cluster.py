"""The whole line on a real cluster: both patterns, and what happens when evidence is taken away.

Marked ``cluster``; each test is a run of the command line of its own, as a user would start it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.paths import CHECKOUT

pytestmark = pytest.mark.cluster
Run = Callable[..., tuple[int, dict[str, Any], Path]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Start the command line; its exit code, its report and its folder."""

    def start(*arguments: str) -> tuple[int, dict[str, Any], Path]:
        command = [sys.executable, "-m", "conformance", "run", "--k8s", "1.33"]
        answer = subprocess.run(
            [*command, "--sidecar", "envoy", "--results", str(tmp_path / "results"), *arguments],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        print(answer.stdout[-4000:], answer.stderr[-8000:])
        folder = (tmp_path / "results" / "latest").resolve()
        return answer.returncode, json.loads((folder / "report.json").read_text()), folder

    return start


def by_place(report: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(cell["pattern"], cell["behaviour"]): cell for cell in report["cells"]}


def test_both_patterns_show_what_the_table_expects(run: Run) -> None:
    code, report, folder = run("--mode", "fallback")
    cells = by_place(report)
    assert code == 0, report["summary"]
    assert {cell["verdict"] for (pattern, _), cell in cells.items() if pattern == "native"} == {
        "pass"
    }
    leak = cells["classic", "start.no-plaintext"]
    assert leak["verdict"] == "reproduced"
    assert leak["measured"]["leaked_bytes"] > 0
    frame = next(one for one in leak["evidence"] if "frame" in one)
    packet = tcpdump(report, folder / leak["bundle"] / frame["file"], frame["frame"])
    assert "cny." in packet  # the token, in clear, in the very frame that the report names
    assert report["run"]["clusters"]["1.33"]["versions"]["server"].startswith("v1.33.")
    assert (folder / "junit.xml").exists() and (folder / "report.html").exists()


def test_a_job_completes_beside_a_native_sidecar_only(run: Run) -> None:
    code, report, _ = run("--scenario", "job")
    cells = by_place(report)
    assert code == 0, report["summary"]
    assert cells["native", "job.completes"]["verdict"] == "pass"
    assert cells["classic", "job.completes"]["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("taken", "said"),
    [("beacon", "beacon"), ("capture", "capture"), ("sidecar", "never injected")],
)
def test_what_is_taken_away_is_noticed(run: Run, taken: str, said: str) -> None:
    code, report, _ = run(
        *("--take-away", taken, "--pattern", "native", "--mode", "init-rules"),
        *("--behaviour", "start.no-plaintext"),
    )
    (cell,) = report["cells"]
    assert code == 5
    assert cell["verdict"] == "inconclusive"
    assert said in cell["reason"]


def tcpdump(report: dict[str, Any], pcap: Path, frame: int) -> str:
    """What tcpdump prints of one frame (with the observer's own tcpdump, by scapy's reader)."""
    from scapy.utils import RawPcapReader

    del report
    with RawPcapReader(str(pcap)) as reader:
        for number, (data, _) in enumerate(reader, start=1):
            if number == frame:
                return bytes(data).decode("latin-1")
    raise AssertionError(f"{pcap} has no frame {frame}")

"""The whole line on real clusters: both patterns, and what happens when evidence is taken away.

Marked ``cluster``. Every run here is the command line as a user would start it, with a cluster of
its own; runs that say nothing of each other's verdicts go at the same time, as two users' would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapReader

from conformance.evidence import compressed
from conformance.machine.paths import CHECKOUT
from conformance.report.pack import secrets

pytestmark = pytest.mark.cluster
TAKEN = {"beacon": "beacon", "capture": "capture", "sidecar": "never injected"}


@dataclass
class Run:
    """A run of the command line that has been started."""

    results: Path
    child: subprocess.Popen[str]

    def end(self) -> tuple[int, dict[str, Any], Path]:
        """Wait for it: its exit code, its report, its folder."""
        said, _ = self.child.communicate()
        print(said[-6000:])
        folder = (self.results / "latest").resolve()
        return self.child.returncode, json.loads((folder / "report.json").read_text()), folder


def start(results: Path, *arguments: str) -> Run:
    command = [sys.executable, "-m", "conformance", "run", "--k8s=1.33", "--sidecar=envoy"]
    child = subprocess.Popen(
        [*command, f"--results={results}", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Run(results, child)


def test_both_patterns_show_what_the_table_expects(tmp_path: Path) -> None:
    code, report, folder = start(tmp_path, "--mode=fallback", "--scenario=lifecycle").end()
    cells = {(cell["pattern"], cell["behaviour"]): cell for cell in report["cells"]}
    native = {cell["verdict"] for (pattern, _), cell in cells.items() if pattern == "native"}
    assert code == 0, report["summary"]
    assert native == {"pass", "measured"}  # what a start costs is no promise
    leak = cells["classic", "start.no-plaintext"]
    assert leak["verdict"] == "reproduced" and leak["measured"]["leaked_bytes"] > 0
    for one in leak["evidence"]:
        if "frame" in one:  # the token, in clear, in the very frame that the report names
            token = one["text"].partition(" ")[0].encode()
            assert token.startswith(b"cny.")
            assert token in frame(folder / leak["bundle"] / one["file"], one["frame"])
    assert report["run"]["clusters"]["1.33"]["versions"]["server"].startswith("v1.33.")
    assert (folder / "junit.xml").exists() and (folder / "report.html").exists()
    assert not with_secrets(folder)


def test_what_is_taken_away_is_noticed(tmp_path: Path) -> None:
    narrow = ("--pattern=native", "--mode=init-rules", "--behaviour=start.no-plaintext")
    runs = {taken: start(tmp_path / taken, f"--take-away={taken}", *narrow) for taken in TAKEN}
    ended = {taken: run.end() for taken, run in runs.items()}
    for taken, (code, report, _) in ended.items():
        (cell,) = report["cells"]
        assert (taken, code, cell["verdict"]) == (taken, 5, "inconclusive")
        assert TAKEN[taken] in cell["reason"]


def with_secrets(folder: Path) -> list[str]:
    """The files of a run in which there is what looks like a token, a private key or a password, or
    which are one; the evidence itself, before anything is written over."""
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
        if secrets.is_secret(file.name) or any(secrets.spans(compressed.content(file)))
    ]


def frame(pcap: Path, number: int) -> bytes:
    """The bytes of one frame, counted as tcpdump and Wireshark count."""
    with RawPcapReader(str(compressed.kept(pcap))) as reader:  # scapy reads gzip too
        for seen, (data, _) in enumerate(reader, start=1):
            if seen == number:
                return bytes(data)
    raise AssertionError(f"{pcap} has no frame {number}")

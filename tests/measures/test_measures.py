"""The figures come from real work on a run's evidence, and say so when there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.measures import __main__ as measures
from conformance.measures import figures
from conformance.measures.spent import spent, work
from tests.forge.bundle import token
from tests.report.made import report
from tests.worlds import lifecycle as worlds


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one cell, with a leak."""
    world = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    folder = tmp_path_factory.mktemp("results") / "run"
    report(folder, (world, "native", "start.order stop.order stop.no-plaintext"))
    cluster = folder / "clusters/1.33"
    cluster.mkdir(parents=True)
    (cluster / "state.json").write_text(json.dumps({"state": "ready", "reason": ""}))
    return folder


def test_what_is_measured_is_what_a_command_needs() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\nheld = b'x' * (64 << 20)\nprint(1)"
    found = spent([sys.executable, "-c", burn])
    assert 0.5 <= found.cpu < 5 and found.memory > 64 << 20 and found.said == "1\n"
    with pytest.raises(EnvironmentProblem, match="gave exit code 3"):
        spent([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_leak_judge_and_scapy_read_the_same_frames(run: Path) -> None:
    (bundle,) = (file.parent for file in run.glob("evidence/*/*/cell.json"))
    ours = json.loads(work("leaks", str(bundle)).said)
    theirs = json.loads(work("scapy", "100000", str(bundle / "capture/subject/eth0.pcap")).said)
    assert 0 < ours["packets"] == theirs["packets"] and ours["in_clear"]


def test_all_of_it_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measures.main([str(run)]) == 0
    told = json.loads((run.parent / "bench.json").read_text())["figures"]
    names = {one["name"] for one in told}
    assert {"judging a bundle", "report of 8 versions"} <= names
    assert all(one["value"] > 0 or one["name"] == "report of 8 versions" for one in told)
    said = capsys.readouterr()
    assert "processor seconds" in said.out
    # A forged capture is a few packets: no ratio is made of them.
    assert "leak judge" in names or "packets are too few" in said.err


def test_eight_versions_are_eight_times_the_verdicts(run: Path, tmp_path: Path) -> None:
    assert figures.eight(run, tmp_path) == 8 * 3
    cells = json.loads((tmp_path / "report.json").read_text())["cells"]
    assert len({one["k8s"] for one in cells}) == 8


def test_a_folder_without_evidence_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measures.main([str(tmp_path)]) == 2 and measures.main([]) == 2
    said = capsys.readouterr().err
    assert "has no evidence that was judged" in said and "Name one run's folder" in said

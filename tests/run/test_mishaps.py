"""What befalls a run of several workers, without a cluster: the words, the codes, what is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from conformance.machine.paths import CHECKOUT

CELL = "1.33-envoy-native-init-rules-lifecycle"


def run(folder: Path, results: Path, more: Mapping[str, str]) -> tuple[int, str]:
    """Exit code, and all that was said."""
    (folder / "seen").mkdir()
    (folder / "findings.json").write_text("{}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "conformance", "run", "--k8s=1.33", "--sidecar=envoy"),
            *("--mode=init-rules", "--scenario=lifecycle", f"--results={results}"),
        ],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "PYTEST_ADDOPTS": "-p tests.stand_ins.clusterless",
            "PYTHONPATH": str(CHECKOUT),
            "SC_SEEN": str(folder / "seen"),
            "SC_FINDINGS": str(folder / "findings.json"),
            **more,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout)
    return done.returncode, done.stdout


def test_a_workers_death_costs_no_verdict(tmp_path: Path) -> None:
    code, said = run(tmp_path, tmp_path / "results", {"SC_DIES": CELL})
    report = json.loads((tmp_path / "results/run/report.json").read_text())
    assert code == 0 and report["summary"]["inconclusive"] == 0
    assert said.count("A worker of the run has died while it observed or judged ") == 1
    assert len(list((tmp_path / "seen").glob(f"{CELL}.*"))) == 2
    assert "Traceback" not in said


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m,mode=700", "sc-mishaps", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_said_and_no_traceback(small: Path, tmp_path: Path) -> None:
    code, said = run(tmp_path, small / "results", {"SC_FILLS": str(small / "filler")})
    assert code == 3
    assert (
        "There is no report of this run. The disk of the results is full: 0.0 MB are free" in said
    )
    assert said.splitlines()[-1].startswith("sidecar-conformance: exit code 3 (")
    assert "Traceback" not in said and "INTERNALERROR" not in said
    assert (tmp_path / "seen" / "taken-down").exists()

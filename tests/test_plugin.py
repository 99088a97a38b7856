"""Verdicts in pytest's terms, and cells spread over workers: real pytest runs without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from conformance.machine.paths import CHECKOUT

SUITES = CHECKOUT / "conformance" / "suites"
Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with findings as told: exit code, report, output."""

    def start(findings: dict[str, list[str]], *arguments: str) -> tuple[int, dict[str, Any], str]:
        (tmp_path / "findings.json").write_text(json.dumps(findings))
        (tmp_path / "seen").mkdir()
        answer = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "tests.stand_ins.clusterless"),
                *("-c", str(SUITES / "pytest.ini"), "-q", "-s", str(SUITES), "--k8s=1.33"),
                *("--sidecar=envoy", f"--results={tmp_path / 'results'}", *arguments),
            ],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "SC_FINDINGS": str(tmp_path / "findings.json"),
                "SC_SEEN": str(tmp_path / "seen"),
            },
            capture_output=True,
            text=True,
        )
        print(answer.stdout, answer.stderr)
        report = json.loads((tmp_path / "results/run/report.json").read_text())
        return answer.returncode, report, answer.stdout + answer.stderr

    return start


def test_a_cell_is_observed_once_whatever_the_number_of_workers(run: Run, tmp_path: Path) -> None:
    code, report, _ = run({}, "--mode=init-rules", "--workers=3")
    seen = [path.name.rpartition(".")[0] for path in (tmp_path / "seen").glob("1.33-*")]
    assert code == 0
    assert sorted(seen) == sorted({name for name, _ in enumerated(report)})
    assert (tmp_path / "seen" / "taken-down").exists()
    # The cluster may go when all of its verdicts are there, and not before.
    assert (tmp_path / "seen" / "released-1.33").read_text() == str(len(report["cells"]))


def enumerated(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    names = ("k8s", "sidecar", "pattern", "mode", "scenario")
    return [("-".join(cell[name] for name in names), cell) for cell in report["cells"]]


def test_a_reproduced_hazard_is_an_expected_failure_with_its_verdict(
    run: Run, tmp_path: Path
) -> None:
    code, report, _ = run({}, "--mode=init-rules", "--behaviour=stop.order")
    assert code == 0 and report["summary"]["reproduced"] == 1 and report["summary"]["pass"] == 1
    junit = ElementTree.parse(tmp_path / "results/run/junit.xml")
    by_name = {case.get("name", ""): case for case in junit.iter("testcase")}
    (classic,) = (case for name, case in by_name.items() if "classic" in name)
    assert classic.find("skipped") is not None  # how junit writes an expected failure
    properties = {one.get("name"): one.get("value") for one in classic.iter("property")}
    assert properties["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("told", "outcome", "code"),
    [
        ({"classic stop.order": ["holds", ""]}, "not-reproduced", 1),
        ({"classic stop.order": ["broken", "plaintext"]}, "fail", 1),
        ({"classic stop.order": ["inconclusive", ""]}, "inconclusive", 5),
        ({"classic stop.order": ["not-verified", ""]}, "not-verified", 4),
    ],
)
def test_a_control_arm_that_shows_anything_else_is_no_success(
    run: Run, told: dict[str, list[str]], outcome: str, code: int
) -> None:
    options = ("--mode=init-rules", "--behaviour=stop.order", "--pattern=classic")
    seen_code, report, _ = run(told, *options)
    assert report["cells"][0]["verdict"] == outcome
    assert seen_code == code


def test_a_broken_promise_fails(run: Run) -> None:
    told = {"native stop.order": ["broken", "wrong-order"]}
    options = ("--mode=init-rules", "--behaviour=stop.order", "--pattern=native")
    code, report, said = run(told, *options)
    assert code == 1 and report["cells"][0]["verdict"] == "fail"
    assert "fail" in said

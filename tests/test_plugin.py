"""Verdicts in pytest's terms, and cells spread over workers: real pytest runs without a cluster.

And runs of other tests in the same environment, which must not notice that the suite is there.
"""

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
from conformance.plan import cells as plan
from conformance.plan.catalogue import behaviours
from conformance.plan.selection import select
from conformance.plan.sidecars import REGISTRY

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
    # A file for each cell and process: each was observed by one worker, and by no other.
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
    code, report, _ = run({}, "-n0", "--mode=init-rules", "--behaviour=stop.order")
    assert code == 0 and report["summary"]["reproduced"] == 1 and report["summary"]["pass"] == 1
    junit = ElementTree.parse(tmp_path / "results/run/junit.xml")
    by_name = {case.get("name", ""): case for case in junit.iter("testcase")}
    (classic,) = (case for name, case in by_name.items() if "classic" in name)
    assert classic.find("skipped") is None and classic.find("failure") is None
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
    options = ("-n0", "--mode=init-rules", "--behaviour=stop.order", "--pattern=classic")
    seen_code, report, _ = run(told, *options)
    assert report["cells"][0]["verdict"] == outcome
    assert seen_code == code


def test_a_broken_promise_fails(run: Run) -> None:
    told = {"native stop.order": ["broken", "wrong-order"]}
    options = ("-n0", "--mode=init-rules", "--behaviour=stop.order", "--pattern=native")
    code, report, said = run(told, *options)
    assert code == 1 and report["cells"][0]["verdict"] == "fail"
    assert "fail" in said


@pytest.mark.parametrize("state", ["failed", "ready"])
def test_a_redirected_log_says_a_cause_once_and_ends_with_the_exit_code(
    tmp_path: Path, state: str
) -> None:
    """Of a cluster that did not come, whoever made it has said why; of the rest, the first line."""
    why = "Nothing came of it: it rains."
    told: dict[str, Any] = {"state": state, "reason": why, "cluster": None, "sidecars": {}}
    (tmp_path / "seen").mkdir()
    (tmp_path / "tmp").mkdir()
    with (tmp_path / "log").open("w") as log:
        subprocess.run(
            [
                *(sys.executable, "-m", "conformance", "run", "--k8s=1.33", "--sidecar=envoy"),
                *("--mode=init-rules", "--scenario=lifecycle", "--workers=2"),
                f"--results={tmp_path / 'results'}",
            ],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "PYTEST_ADDOPTS": "-p tests.stand_ins.clusterless",
                "SC_SEEN": str(tmp_path / "seen"),
                "SC_MISSING": why,
                "TMPDIR": str(tmp_path / "tmp"),
                "SC_STATE": json.dumps(told),
            },
            stdout=log,
            stderr=log,
        )
    said = (tmp_path / "log").read_text()
    print(said)
    assert not list((tmp_path / "tmp").iterdir())  # pytest would leave folders there
    # Once when it falls, and once in the answer, where all are named that it leaves open.
    assert said.count(why) == (1 if state == "failed" else 2)
    assert ", stop.no-plaintext, " in said.rpartition(f": {why}")[0].splitlines()[-1]
    assert "bringing up nodes" not in said
    *_, report, last = filter(None, said.splitlines())
    assert "\n20 inconclusive; " in said and report.startswith("report: ")
    assert last.startswith("sidecar-conformance: exit code ")


def test_what_k_leaves_out_is_no_part_of_the_run(run: Run, tmp_path: Path) -> None:
    """Neither missing from the report nor a reason for a cluster or an image."""
    code, report, _ = run({}, "--workers=2", "--k8s=1.29,1.33", "-k", "stop.order-1.33 and native")
    assert code == 0
    assert {(cell["k8s"], cell["behaviour"]) for cell in report["cells"]} == {
        ("1.33", "stop.order")
    }
    assert {cell["verdict"] for cell in report["cells"]} == {"pass"}
    assert report["run"]["options"]["k8s"] == ["1.33"]
    assert not list(tmp_path.glob("seen/1.29-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-k", "no-such-thing"], "Nothing to run"),
        (["--k8s", "9.99"], "K8S=9.99 is not valid"),
        ([str(CHECKOUT / "tests" / "test_layers.py")], "The suites are run alone"),
    ],
)
def test_wrong_use_is_pytests_own_and_creates_nothing(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    answer = pytest_run(
        *(str(SUITES), "-s", "-n0", "-p", "tests.stand_ins.clusterless"),
        *(f"--results={tmp_path / 'results'}", *arguments),
    )
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in answer.stdout + answer.stderr
    assert not (tmp_path / "results").exists()


def test_a_test_that_is_not_there_is_named() -> None:
    answer = pytest_run(f"{SUITES}/test_behaviours.py::test_behaviour[nope]", "-n0")
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    assert "not found" in answer.stderr


def test_every_behaviour_is_collected_in_some_cell() -> None:
    together = ",".join(name for name, one in REGISTRY.items() if not one.exclusive)
    collected: set[str] = set()
    for sidecars in (together, *(name for name, one in REGISTRY.items() if one.exclusive)):
        given = {"k8s": "all", "sidecar": sidecars, "nodes": "2"}
        options = [f"--{name}={value}" for name, value in given.items()]
        answer = pytest_run(str(SUITES), "--collect-only", "-q", *options)
        assert answer.returncode == 0, answer.stdout
        tests = [line for line in answer.stdout.splitlines() if "::" in line]
        items = plan.items(select(given))
        ids = [item.id for item in items]
        assert [test.partition("[")[2].removesuffix("]") for test in tests] == ids
        assert len(set(ids)) == len(ids)
        collected |= {item.behaviour for item in items}
    assert collected == set(behaviours())


def test_another_plugin_may_have_the_same_options(tmp_path: Path) -> None:
    """Where the suites are not run, this environment's pytest is as it would be without them."""
    (tmp_path / "test_other.py").write_text(
        "import pytest\n"
        "def test_other(pytestconfig, request):\n"
        "    assert pytestconfig.getoption('keep') == 'theirs'\n"
        "    assert not hasattr(pytestconfig.option, 'sc_k8s')\n"
        "    with pytest.raises(pytest.FixtureLookupError):\n"
        "        request.getfixturevalue('evidence')\n"
    )
    (tmp_path / "keeper.py").write_text(
        "from conformance.plan.options import OPTIONS\n"
        "def pytest_addoption(parser):\n"
        "    for option in OPTIONS:\n"
        "        parser.addoption(f'--{option.name}', dest=option.dest)\n"
    )
    given = ("-p", "keeper", "--keep=theirs", "--strict-markers", "-p", "no:cacheprovider")
    answer = pytest_run(*given, "test_other.py", cwd=tmp_path, path=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    answer = pytest_run(*given, str(SUITES), cwd=tmp_path, path=tmp_path)
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    assert "-p no:NAME" in answer.stderr and "Traceback" not in answer.stderr


def test_a_run_of_a_folder_above_leaves_the_suites_alone() -> None:
    answer = pytest_run("conformance", "--collect-only", "-q")
    assert answer.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, answer.stdout


def pytest_run(
    *arguments: str, cwd: Path = CHECKOUT, path: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    """A pytest run without a cluster."""
    environment = {**os.environ, "PYTHONPATH": f"{path}:{CHECKOUT}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )

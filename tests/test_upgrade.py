"""upgrade-check: two runs that differ in one thing, checked before the first begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance import child, upgrade
from conformance.cli import main
from conformance.plan.sidecars import REGISTRY

WRONG = [
    ([], "Nothing differs between the two runs"),
    (["--from=1.29.2", "--to=1.29.2"], "Nothing differs"),
    (["--values=VALUES"], "Nothing differs"),
    (["--from=1.2", "--to=1.29.2"], "ISTIO_VERSION=1.2 is not valid"),
    (["--from=", "--to=1.29.2"], "FROM= is not valid"),
    (["--from=1.29.1,1.29.2", "--to=1.29.2"], "FROM=1.29.1,1.29.2 is not valid"),
    (["--values=a,b,c"], "VALUES=a,b,c is not valid"),
    (["--values=,"], "VALUES=, is not valid"),
    (["--values=,/nowhere.yaml"], "ISTIO_VALUES=/nowhere.yaml cannot be read"),
    (["--sidecar=envoy", "--from=1", "--to=2"], "SIDECAR=envoy cannot be upgraded by this"),
    (["--from=1.29.1", "--to=1.29.2", "--k8s=9.9"], "K8S=9.9 is not valid"),
    (["--sidecar=linkerd", "--from=2.15", "--to=9.9"], "LINKERD_VERSION=9.9 is not valid"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "run", lambda _: pytest.fail("a run was begun"))
    values = tmp_path / "values.yaml"
    values.write_text("pilot: {}\n")
    given = [one.replace("VALUES", str(values)) for one in arguments]
    answer = CliRunner().invoke(main, ["upgrade-check", *given])
    assert answer.exit_code == 2
    assert said.replace("VALUES", str(values)) in answer.stderr or said in answer.stderr


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The options of each run; every run comes to verdicts with code 1."""
    begun: list[list[str]] = []

    def run(options: list[str]) -> int:
        begun.append(options)
        (results,) = [one.partition("=")[2] for one in options if one.startswith("--results=")]
        folder = Path(results) / "20260101-000000-aaaa"
        folder.mkdir(parents=True)
        (Path(results) / "latest").symlink_to(folder.name)
        return 1

    monkeypatch.setattr(child, "run", run)
    return begun


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    seen: list[list[str]] = []

    def compare(arguments: list[str], **_: Any) -> None:
        seen.append(arguments)
        raise SystemExit(5)

    monkeypatch.setattr("conformance.report.commands.compare.main", compare)
    return seen


def test_two_versions_are_two_runs_and_a_comparison(
    tmp_path: Path, runs: list[list[str]], compared: list[list[str]]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("pilot: {}\n")
    answer = CliRunner().invoke(
        main,
        ["upgrade-check", "--from=1.29.2", "--to=1.30.0", f"--values={values}", "--k8s=1.33",
         f"--results={tmp_path}/r", "--keep"],
    )  # fmt: skip
    assert answer.exit_code == 5, answer.output
    for options, version, side in zip(runs, ("1.29.2", "1.30.0"), upgrade.SIDES, strict=True):
        assert {"--sidecar=istio", "--k8s=1.33", "--keep", f"--istio-version={version}",
                f"--istio-values={values}"} <= set(options)  # fmt: skip
        (results,) = [one for one in options if one.startswith("--results=")]
        assert results.endswith(side)
    (folders,) = compared
    assert [Path(one).parent.name for one in folders[:2]] == ["before", "after"]
    assert folders[2] == "--html"


def test_a_run_with_two_versions_is_the_same(
    tmp_path: Path, runs: list[list[str]], compared: list[list[str]]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("pilot: {}\n")
    given = ["--sidecar=istio", "--istio-version=1.29.2, 1.30.0", f"--istio-values={values}"]
    answer = CliRunner().invoke(main, ["run", *given, f"--results={tmp_path}/r"])
    assert answer.exit_code == 5, answer.output
    asked = [one for options in runs for one in options if one.startswith("--istio-v")]
    assert asked == [
        "--istio-version=1.29.2", f"--istio-values={values}",
        "--istio-version=1.30.0", f"--istio-values={values}",
    ]  # fmt: skip
    assert len(compared) == 1
    both = CliRunner().invoke(main, ["run", *given[1:], "--sidecar=istio,envoy"])
    assert both.exit_code == 2
    assert "Two versions of istio are compared alone; leave envoy out" in both.stderr


def test_settings_alone_may_differ(
    tmp_path: Path, runs: list[list[str]], compared: list[list[str]]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("pilot: {}\n")
    given = ["--from=1.31-dev", "--to=1.31-dev", f"--values=,{values}", f"--results={tmp_path}/r"]
    assert CliRunner().invoke(main, ["upgrade-check", *given]).exit_code == 5
    assert [any(one.startswith("--istio-values") for one in options) for options in runs] == [
        False, True,
    ]  # fmt: skip
    assert compared


def test_a_run_without_verdicts_ends_it_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: list[list[str]]
) -> None:
    monkeypatch.setattr(child, "run", lambda _: 3)
    given = ["--from=1.29.2", "--to=1.30.0", f"--results={tmp_path}/r"]
    answer = CliRunner().invoke(main, ["upgrade-check", *given])
    assert answer.exit_code == 3
    assert "The run before came to no verdicts (exit code 3): nothing is compared." in answer.stderr
    assert not compared


def test_a_signal_reaches_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal
    import subprocess
    import sys
    import threading

    program = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(42))\ntime.sleep(30)"
    real = subprocess.Popen

    def stand_in(_: list[str]) -> Any:
        child = real([sys.executable, "-c", program])
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        return child

    monkeypatch.setattr(subprocess, "Popen", stand_in)
    assert child.run([]) == 42


def test_a_default_pattern_that_flips_is_told(tmp_path: Path) -> None:
    for side, pattern in (("before", "classic"), ("after", "native")):
        for k8s in ("1.29", "1.33"):
            folder = tmp_path / side / "clusters" / k8s
            folder.mkdir(parents=True)
            its = pattern if k8s == "1.33" else "classic"
            told = {"sidecars": {"istio": {"pattern_without_annotation": its}}}
            (folder / "versions.json").write_text(json.dumps(told))
    runs = tmp_path / "before", tmp_path / "after"
    (said,) = upgrade.flips("istio", runs)
    assert said.startswith(
        "On Kubernetes 1.33 the default pattern of istio flips from classic to native"
    )
    assert not upgrade.flips("istio", (runs[0], runs[0]))
    assert not upgrade.flips("linkerd", runs)


def test_every_mesh_with_versions_and_settings_can_be_asked() -> None:
    assert set(upgrade.MESHES) == {
        one.name for one in REGISTRY.values() if one.values_option and one.version_option
    }

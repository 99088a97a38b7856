"""Wrong inputs, as users make them: one sentence, exit code 2, and nothing created."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.errors import UsageProblem
from conformance.plan import check, size
from conformance.plan import selection as choices
from conformance.plan.options import Options
from conformance.report.document import SCHEMA

# The options, and what the sentence must say.
WRONG_OPTIONS = [
    (["--k8s", "9.99"], "K8S=9.99 is not valid"),
    (["--k8s", "1.33.x"], "did you mean 1.33?"),
    (["--k8s", ""], "K8S is empty"),
    (["--k8s", " , "], "is empty"),
    (["--k8s", "1.33,nope"], "K8S=nope is not valid"),
    (["--k8s", "2.*"], "K8S=2.* is not valid"),
    (["--sidecar", "Envoy"], "did you mean envoy?"),
    (["--sidecar", "itsio"], "did you mean istio?"),
    (["--sidecar", ""], "SIDECAR is empty"),
    (["--pattern", "natvie"], "did you mean native?"),
    (["--pattern", "NATIVE"], "did you mean native?"),
    (["--mode", "fall-back"], "did you mean fallback?"),
    (["--mode", ""], "MODE is empty"),
    (["--scenario", "lifecyle"], "did you mean lifecycle?"),
    (["--scenario", "x*"], "SCENARIO=x* is not valid"),
    (["--behaviour", "stpo.order"], "did you mean stop.order?"),
    (["--behaviour", "stop"], "BEHAVIOUR=stop is not valid"),
    (["--behaviour", ""], "BEHAVIOUR is empty"),
    (["--level", "Core"], "did you mean core?"),
    (["--level", "core", "--behaviour", "move.rollout"], "Nothing to run"),
    (["--scenario", "job", "--behaviour", "start.order"], "Nothing to run"),
    (["--sidecar", "fluent-bit", "--scenario", "crash"], "Nothing to run"),
    (["--behaviour", "start.sequence"], "together; SIDECAR=fixture would do."),
    (["--behaviour", "move.drain"], "SIDECAR=fixture NODES=2 would do"),
    (["--k8s", "1.33", "--behaviour", "leak.ipv6"], "together; K8S=1.33-dual would do."),
    (["--behaviour", "wire.steady"], "together; SIDECAR=cilium would do."),
    (["--sidecar", "fluent-bit", "--behaviour", "crash.*"], "SIDECAR=envoy or SIDECAR=fixture or"),
    (["--mode", "fallback", "--behaviour", "start.sequence"], "together; leave one out."),
    (["--repeat", "0"], "whole number from 1 to 1000"),
    (["--repeat", "-1"], "whole number from 1 to 1000"),
    (["--repeat", "999999999999"], "whole number from 1 to 1000"),
    (["--repeat", "9" * 5000], "whole number from 1 to 1000"),
    (["--repeat", "1e3"], "whole number from 1 to 1000"),
    (["--repeat", "٣"], "whole number from 1 to 1000"),
    (["--repeat", ""], "REPEAT= is not valid"),
    (["--repeat", "1000"], "cells, about"),
    (["--workers", "65"], "whole number from 1 to 64"),
    (["--workers", "two"], "whole number from 1 to 64"),
    (["--images", "pull,build"], "IMAGES=pull,build is not valid"),
    (["--images", ""], "choose from auto, pull, build"),
    (["--take-away", "beacons"], "did you mean beacon?"),
    (["--sidecar", "istio", "--istio-version", "1.19.0"], "ISTIO_VERSION=1.19.0 is not valid"),
    (["--results", ""], "RESULTS is empty"),
    (["--results", "/etc/passwd"], "/etc/passwd is no folder"),
    (["--results", "/etc/passwd/results"], "/etc/passwd is no folder"),
    (["--results", "/nowhere/" + "x" * 300], "RESULTS="),
    (["--results", "/proc/nowhere"], "/proc cannot be written to"),
    (["--results", "~nobody-of-this-name/results"], "RESULTS="),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), WRONG_OPTIONS)
def test_a_wrong_option(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command; make's check says the same before there is any environment."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    given = arguments if "--results" in arguments else [*arguments, f"--results={tmp_path}/r"]
    answer = CliRunner().invoke(main, ["run", *given])
    assert_refused(answer.exit_code, answer.stderr, said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "said"), WRONG_OPTIONS)
def test_make_refuses_likewise(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = check.main(arguments)
    assert code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("K8s", "did you mean K8S?"),
        ("k8s", "did you mean K8S?"),
        ("BEHAVIOR", "did you mean BEHAVIOUR?"),
        ("BEHAVIOURS", "did you mean BEHAVIOUR?"),
        ("SIDECARS", "did you mean SIDECAR?"),
        ("KEPT", "did you mean KEEP?"),
        ("RESULT", "did you mean RESULTS?"),
        ("FOO", "choose from K8S"),
    ],
)
def test_a_variable_that_make_does_not_know(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([f"--variable={name}"]) == 2
    assert f"make knows no variable {name}" in (told := capsys.readouterr().err)
    assert said in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variable=FAILURE", "--target=conformance"], "make conformance takes no FAILURE; it"),
        (["--variable=BEHAVIOUR", "--target=reproduce"], "make reproduce takes no BEHAVIOUR; it"),
        (["--variable=FROM", "--target=reproduce"], "make reproduce takes no FROM; it takes K8S"),
        (["--variable=BEHAVIOR", "--target=reproduce"], "did you mean BEHAVIOUR?"),
        (["--switch=KEEP=maybe"], "KEEP=maybe is not valid; choose from 1, yes, true, or 0, no"),
        (["--switch=STRICT=2"], "STRICT=2 is not valid"),
        (["--failure=startup-rac"], "did you mean startup-race?"),
        (["--failure=startup-race", "--k8s="], "K8S is empty"),
        (["--failure=startup-race", "--sidecar="], "SIDECAR is empty"),
        (["--failure=startup-race", "--pattern="], "PATTERN is empty"),
        (["--failure=startup-race", "--pattern=sidecarless"], "choose from classic, native"),
    ],
)
def test_what_a_target_would_ignore_or_misread(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--variable=FAILURE", "--variable=K8S", "--target=reproduce", "--failure=startup-race"],
        ["--variable=FROM", "--variable=SIDECAR", "--target=upgrade-check"],
        ["--variable=N", "--variable=NODES", "--target=soak"],
        ["--switch=KEEP=1", "--switch=STRICT=no", "--switch=WITH_CONTROLS=false"],
    ],
)
def test_what_a_target_takes(arguments: list[str]) -> None:
    assert check.main(arguments) == 0


def test_a_folder_that_is_a_link_to_nowhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was to lead to is not what would be made in its place."""
    link = tmp_path / "link"
    link.symlink_to("/nowhere/at/all")
    for folder in (link, link / "below"):
        with pytest.raises(UsageProblem, match=r"RESULTS=.*link to /nowhere/at/all, which is not"):
            Options.check({"results": str(folder)})
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", "/proc/cache")
    with pytest.raises(UsageProblem, match="SIDECAR_CONFORMANCE_CACHE=/proc/cache is not valid"):
        Options.check({"results": str(tmp_path)})


# A file of digests of one's own, None for one that is missing. Its shapes: test_digests.
WRONG_DIGESTS = [
    (None, "No such file"),
    ("not TOML", "cannot be read"),
    ('["kindest/node:v1.33.12"]', "has no digest of the form sha256:"),
    ('"kindest/node:v1.33.12" = "latest"', "has no digest of the form sha256:"),
]


@pytest.mark.parametrize(("content", "said"), WRONG_DIGESTS)
def test_a_wrong_file_of_digests_is_found_before_any_image(
    content: str | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command, and by make's check."""
    if content is not None:
        (tmp_path / "own.toml").write_text(content)
    monkeypatch.setenv("SIDECAR_CONFORMANCE_DIGESTS", str(tmp_path / "own.toml"))
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    there = sorted(tmp_path.iterdir())
    answer = CliRunner().invoke(main, ["run", f"--results={tmp_path}/r"])
    assert_refused(answer.exit_code, answer.stderr, said)
    assert check.main([f"--results={tmp_path}/r"]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize("name", ["SIDECAR_CONFORMANCE_CACHE", "https_proxy", "GOPROXY", "K8S"])
def test_a_variable_for_others_is_none_of_ours(name: str) -> None:
    assert check.main([f"--variable={name}"]) == 0


CELL = {
    "k8s": "1.33", "sidecar": "envoy", "pattern": "native", "mode": "init-rules",
    "scenario": "lifecycle",
}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "is neither a run's folder"),
        ({"cell.json": "{"}, "does not say which cell it is"),
        ({"cell.json": "[]"}, "does not say which cell it is"),
        ({"cell.json": json.dumps({"cell": {**CELL, "sidecar": "x"}})}, "does not say which cell"),
        ({"verdicts/1.33/envoy/stop.order.json": "{"}, "is no verdict"),
        ({"verdicts/1.33/envoy/stop.order.json": "[]"}, "is no verdict"),
        ({"verdicts/1.33/envoy/stop.order.json": '{"a": 1}'}, "is no verdict"),
        ({"verdicts/1.33/envoy/stop.order.json": "\udcff"}, "is no verdict"),
    ],
)
def test_judging_what_is_no_evidence(files: dict[str, str], said: str, tmp_path: Path) -> None:
    place(tmp_path, files)
    answer = CliRunner().invoke(main, ["judge", str(tmp_path)])
    assert_refused(answer.exit_code, answer.stderr, said)


def test_judging_a_bundle_that_is_cut_short_decides_nothing(tmp_path: Path) -> None:
    place(tmp_path, {"cell.json": json.dumps({"cell": CELL})})
    answer = CliRunner().invoke(main, ["judge", str(tmp_path)])
    assert answer.exit_code == 5 and "Traceback" not in answer.output


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "is no report of a run"),
        ({"report.json": "{"}, "is no report of a run"),
        ({"report.json": "[]"}, "is no report of a run"),
        ({"report.json": "\udcff"}, "is no report of a run"),
        ({"report.json": '{"schema": 0}'}, "has schema 0"),
        ({"report.json": json.dumps({"schema": SCHEMA})}, "is damaged"),
        ({"report.json": json.dumps({"schema": SCHEMA, "cells": [1]})}, "is damaged"),
    ],
)
def test_comparing_what_is_no_report(files: dict[str, str], said: str, tmp_path: Path) -> None:
    place(tmp_path, files)
    answer = CliRunner().invoke(main, ["compare", str(tmp_path), str(tmp_path)])
    assert_refused(answer.exit_code, answer.stderr, said)


OF_A_RUN = "1.33-envoy-native-init-rules-lifecycle.stop.order"
# The other commands: their arguments, where {} is an empty folder, and what the sentence must say.
WRONG_COMMANDS = [
    (["reproduce", "startup-rac"], "did you mean startup-race?"),
    (["reproduce", "startup-race", "--k8s", "1.33,1.34"], "names several versions"),
    (["reproduce", "startup-race", "--k8s", "2"], "K8S=2 is not valid"),
    (["reproduce", "startup-race", "--sidecar", "fluent-bit"], "choose from envoy, fixture"),
    (["reproduce", "startup-race", "--pattern", "both"], "PATTERN=both is not valid"),
    (["reproduce", "startup-race", "--results", "/etc/passwd"], "/etc/passwd is no folder"),
    (["judge", "--pack", "{}"], "is no run's folder"),
    (["judge", "--pack", "{}/nowhere"], "is no run's folder"),
    (["judge", "/etc/passwd"], "is neither a run's folder"),
    (["report", "{}"], "has no verdicts"),
    (["report", "/etc/passwd"], "has no verdicts"),
    (["report-bug", OF_A_RUN, "--run", "{}"], "has no verdicts"),
    (["compare", "/etc/passwd", "{}"], "is no report of a run"),
    (["list", "stop.ordr"], "stop.order"),
    (["list", "--sidecar", "itsio"], "istio"),
    (["images"], "Say one of --list"),
    (["images", "--load", "/etc/passwd"], "was not written by images --save"),
    (["images", "--save", "/etc/passwd"], "/etc/passwd exists"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG_COMMANDS)
def test_a_wrong_word_for_another_command(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SIDECAR_CONFORMANCE_RESULTS", str(tmp_path / "results"))
    answer = CliRunner().invoke(main, [one.replace("{}", str(tmp_path)) for one in arguments])
    assert_refused(answer.exit_code, answer.stderr, said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--threshold", "1"], "a threshold is a factor above 1"),
        (["--threshold", "nan"], "a threshold is a factor above 1"),
        (["--share", "0"], "a share is above 0"),
        (["--share", "nan"], "a share is above 0"),
    ],
)
def test_a_threshold_that_lets_everything_pass(
    option: list[str], said: str, tmp_path: Path
) -> None:
    cell = {**CELL, "behaviour": "stop.order", "turn": 1, "observed": "holds", "hazard": "",
            "verdict": "pass", "reason": "", "expected_hazards": [], "expected": "holds",
            "measured": {"leaked_requests": 1, "requests_tried": 9}}  # fmt: skip
    made = {"schema": SCHEMA, "run": {"clusters": {}}, "cells": [cell]}
    place(tmp_path, {"report.json": json.dumps(made)})
    answer = CliRunner().invoke(main, ["compare", str(tmp_path), str(tmp_path), *option])
    assert_refused(answer.exit_code, answer.stderr, said)


def test_globs_name_what_they_fit() -> None:
    chosen = choices.select({"behaviour": "node.*,*.no-plaintext", "k8s": "1.3[34]"})
    assert chosen.behaviours == (
        "start.no-plaintext", "stop.no-plaintext", "node.kubelet-restart",
        "node.runtime-restart", "crash.no-plaintext", "wire.no-plaintext",
    )  # fmt: skip
    assert chosen.k8s == ("1.33", "1.34")


def test_a_folder_that_is_not_there_yet_is_welcome(tmp_path: Path) -> None:
    options = Options.check({"results": str(tmp_path / "new" / "deep")})
    assert options.results == tmp_path / "new" / "deep"
    assert not list(tmp_path.iterdir())


def test_the_size_is_said_in_words() -> None:
    assert size.estimate(378) == "about 58 min"
    assert size.estimate(1) == "about 1 min"
    assert size.estimate(3000) == "about 8 h"


def place(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))


def assert_refused(code: int, told: str, said: str) -> None:
    assert code == 2, told
    first, last = told.splitlines()
    assert said in first and first.startswith("sidecar-conformance: ")
    assert last == "sidecar-conformance: exit code 2 (wrong use)"

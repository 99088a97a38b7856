"""Words that pods and proxies wrote are shown by commands and kept in pages: no order to a terminal
comes through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance import cli
from conformance.report import words
from tests.forge.bundle import token
from tests.report.made import report
from tests.worlds import lifecycle as worlds

ORDER = "\x1b]0;taken\x07\x1b[2J\x9b31m"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a leak, whose reasons, stamps, logs, steps and versions hold orders."""
    world = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    place = tmp_path / "run"
    report(place, (world, "native", "start.order stop.no-plaintext"))
    for file in [*place.rglob("*.json"), *place.rglob("steps.jsonl"), *place.rglob("*.log")]:
        text = file.read_text(errors="surrogateescape")
        spelt = json.dumps(ORDER)[1:-1]
        for known in ("Plaintext in the", "subject.create", "no plaintext", "v1.33.", "runc"):
            text = text.replace(known, f"{known}{ORDER if file.suffix == '.log' else spelt}")
        file.write_text(text, errors="surrogateescape")
    return place


@pytest.mark.parametrize("command", ["judge", "report", "bundle"])
def test_a_command_shows_none(run: Path, command: str) -> None:
    (bundle,) = {file.parent for file in run.glob("evidence/*/*/cell.json")}
    arguments = ["judge", str(bundle)] if command == "bundle" else [command, str(run)]
    shown = CliRunner().invoke(cli.main, arguments)
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.output
    assert not set(ORDER) & set("\x1b\x07\x9b") & set(shown.output)
    if command != "judge":
        assert "\\x1b" in shown.output, shown.output  # it was there to be shown


def test_what_is_made_to_be_read_in_a_terminal_has_none(run: Path, tmp_path: Path) -> None:
    CliRunner().invoke(cli.main, ["report", str(run)])
    entries = json.loads((run / "report.json").read_text())["cells"]
    (bad,) = (one for one in entries if one["verdict"] == "fail")
    asked = ["report-bug", words.fragment(bad), "--run", str(run), "--out", str(tmp_path / "bug")]
    told = CliRunner().invoke(cli.main, asked)
    assert told.exit_code == 0, told.output
    made = [run / "summary.md", run / "junit.xml", tmp_path / "bug/README.md"]
    for file in [*made, tmp_path / "bug/logs.txt", tmp_path / "bug/manifest.yaml"]:
        assert not set("\x1b\x07\x9b") & set(file.read_text()), file.name

"""The summary that CI pages show."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.report.decision import markdown
from tests.report.decision.test_decide import CONTROL, HELD, entry, told


def test_the_answer_stands_first_and_tables_stay_whole() -> None:
    lost = entry("stop.app-egress", "broken", reason="48 | 50 were lost <b>.\nAll.")
    weak = entry("start.no-plaintext", measured={"rate_bound_95": 1.0})
    text = markdown.render(told([HELD, CONTROL, lost, weak]))
    assert text.index("Not safe: the native pattern breaks 1 promise") < text.index("|")
    assert "1 of 1 control arms" in text and "Exit code 0" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 2 and "48 \\| 50 were lost &lt;b>. All." in rows[0]
    assert "`REPEAT=2` would do" in rows[1]


def test_it_is_added_to_the_file_that_the_runner_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = tmp_path / "step.md"
    offered.write_text("before\n")
    monkeypatch.setenv(markdown.VARIABLE, str(offered))
    markdown.publish(tmp_path, told([HELD, CONTROL]))
    assert offered.read_text() == "before\n" + (tmp_path / "summary.md").read_text()
    monkeypatch.setenv(markdown.VARIABLE, str(tmp_path / "none" / "step.md"))
    with pytest.raises(EnvironmentProblem, match="could not be added"):
        markdown.publish(tmp_path, told([HELD, CONTROL]))

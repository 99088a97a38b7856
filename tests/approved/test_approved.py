"""What holds the answers of other tests does so, and holds nothing of tests that are gone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from conformance.model import Evidence, Finding
from tests.approved import files, given, words

TESTS = "tests/judges/test_x.py"
FOUND = Finding(
    "stop.order", "broken", "Too early.", "wrong-order", {"gap_s": 1.5},
    (Evidence("runtime.log", 3, ns=7, text="/tasks/exit"),),
)  # fmt: skip


def text(**changed: object) -> str:
    return words.joined([words.of_finding(Finding(**{**vars(FOUND), **changed}))])


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "HERE", tmp_path)
    monkeypatch.setattr(given, "HERE", tmp_path)
    files.approved.cache_clear()
    files.write(TESTS, {"test_b[1]": text(), "test_a": text(), "test_c": text(reason="Else.")})


@pytest.mark.usefixtures("known")
def test_what_was_written_is_approved() -> None:
    assert set(files.approved(TESTS)) == {"test_a", "test_b[1]", "test_c"}
    for name in ("test_a", "test_b[1]"):
        given.require_approved(TESTS, name, text())
    given.require_approved(TESTS, "test_that_asked_nobody", "")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "Too late."}, {"observed": "holds"}, {"hazard": "sidecar-gone"}, {"retry": True},
        {"measured": {"gap_s": 1.50001}}, {"measured": {"gap": 1.5}}, {"measured": {}},
        {"evidence": ()}, {"evidence": (Evidence("runtime.log", 4, ns=7, text="/tasks/exit"),)},
        {"evidence": (Evidence("runtime.log", 3, ns=8, text="/tasks/exit"),)},
        {"evidence": (Evidence("runtime.log", 3, ns=7, text="/tasks/create"),)},
    ],
)  # fmt: skip
def test_whatever_changes_is_shown_with_what_to_do(changed: dict[str, object]) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"-m tests\.approved tests/judges/test_x\.py"):
        given.require_approved(TESTS, "test_b[1]", text(**changed))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("name", "came"), [("test_new", text()), ("test_a", "")])
def test_neither_a_new_answer_nor_a_lost_one_goes_unnoticed(name: str, came: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=name):
        given.require_approved(TESTS, name, came)


def test_nothing_is_approved_of_tests_that_are_gone() -> None:
    for file in files.HERE.rglob(f"*{files.SUFFIX}"):
        tests = Path("tests") / file.relative_to(files.HERE).with_suffix(".py")
        there = {
            one.name
            for one in ast.walk(ast.parse(tests.read_text()))
            if isinstance(one, ast.FunctionDef)
        }
        approved = files.approved(str(tests))
        gone = {one.partition("[")[0].rpartition("::")[2] for one in approved} - there
        assert not gone, f"python -m tests.approved {tests}: nothing there is named {gone}"

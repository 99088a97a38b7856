"""Verdicts side by side: what shares a line, and what springs to the eye."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from conformance.model import Cell, Finding
from conformance.plan.cells import Item
from conformance.report import document, table
from conformance.report.page import groups, html
from conformance.verdicts import expectations
from conformance.verdicts import store as verdicts

Json = dict[str, Any]
MODES = ("init-rules", "fallback")


def entry(
    k8s: str,
    mode: str,
    observed: str,
    hazard: str = "",
    *,
    pattern: str = "native",
    turn: int = 1,
) -> Json:
    """An entry of report.json about stop.order."""
    cell = Cell(k8s, "envoy", pattern, mode, "lifecycle", turn)  # type: ignore[arg-type]
    finding = Finding("stop.order", observed, "As told.", hazard)  # type: ignore[arg-type]
    expected = expectations.expected("stop.order", cell)
    return document.entry(expectations.hold(cell, finding, expected), None)


def side_by_side() -> list[Json]:
    return [
        entry(k8s, mode, *(("broken", "wrong-order") if k8s == "1.28" else ("holds", "")))
        for k8s in ("1.33", "1.28", "1.28-nogate", "1.9")
        for mode in MODES
    ]


def test_versions_stand_from_the_oldest_on() -> None:
    assert groups.versions(side_by_side()) == ["1.9", "1.28", "1.28-nogate", "1.33"]
    (line,) = groups.lines(side_by_side())
    assert list(line.entries) == ["1.9", "1.28", "1.28-nogate", "1.33"]


def test_modes_that_came_out_alike_share_a_line() -> None:
    (line,) = groups.lines(side_by_side())
    assert line.who == "envoy" and line.differs


def test_modes_that_did_not_have_lines_of_their_own() -> None:
    entries = [*side_by_side(), entry("1.33", "sidecar-rules", "broken", "wrong-order")]
    assert [line.who for line in groups.lines(entries)] == [
        "envoy init-rules, fallback",
        "envoy sidecar-rules",
    ]


def test_another_kind_of_breakage_is_a_difference() -> None:
    entries = [
        entry("1.29", "fallback", "broken", "wrong-order", pattern="classic"),
        entry("1.33", "fallback", "broken", "late", pattern="classic"),
    ]
    (line,) = groups.lines(entries)
    assert line.differs
    said = "\n".join(text.plain for text in table.across(entries))
    assert "1.29 ✗ expected (wrong-order)" in said and "1.33 ✗ broken (late)" in said


def test_hazards_that_are_expected_beside_each_other_are_no_difference() -> None:
    both = [
        {**entry(k8s, "init-rules", "broken", hazard, pattern="classic"), "verdict": "reproduced"}
        for k8s, hazard in (("1.29", "refused"), ("1.33", "reset"))
    ]
    (line,) = groups.lines(both)
    assert not line.differs


def test_a_version_that_could_not_be_had_is_no_difference() -> None:
    entries = [entry("1.29", "fallback", "holds"), entry("1.30", "fallback", "not-verified")]
    (line,) = groups.lines(entries)
    assert not line.differs and list(line.entries) == ["1.29", "1.30"]
    told = {"1.30": {"state": "unobtainable", "versions": None}}
    assert list(table.versions(told)) == ["Kubernetes 1.30: not verified here"]


def test_a_pattern_shares_no_line_with_the_other() -> None:
    entries = [*side_by_side(), entry("1.33", "fallback", "broken", "late", pattern="classic")]
    assert [line.pattern for line in groups.lines(entries)] == ["native", "classic"]


def test_what_differs_is_told_first_in_one_line() -> None:
    alike = [entry(k8s, "fallback", "holds", pattern="classic") for k8s in ("1.28", "1.33")]
    said = [text.plain for text in table.across([*alike, *side_by_side()])]
    assert said[0].strip() == "Differs between Kubernetes versions:"
    assert said[1].split() == [
        *("stop.order", "native", "envoy", "1.9", "✓", "1.28", "✗", "expected"),
        *("1.28-nogate", "✓", "1.33", "✓"),
    ]
    assert said[2].strip() == "The same in every version:" and "classic" in said[3]


def test_a_place_has_a_column_for_each_pattern_that_was_judged() -> None:
    both = [
        entry("1.33", "fallback", "holds"),
        entry("1.33", "fallback", "holds", pattern="classic"),
    ]
    (place,) = groups.places(both)
    assert (
        place.patterns == ["classic", "native"]
        and place.title == "Kubernetes 1.33 · envoy · fallback"
    )
    (one,) = groups.places(both[:1])
    assert one.patterns == ["native"] and not one.bad


def test_turns_of_a_cell_count_as_their_worst() -> None:
    seen = ("holds", "inconclusive", "holds")
    turns = [entry("1.33", "fallback", one, turn=n) for n, one in enumerate(seen, 1)]
    (one,) = groups.settled(turns)
    assert one["verdict"] == "inconclusive" and one["reason"].startswith("1 of 3 turns: ")
    assert groups.unstable(turns) == [one]
    alike = [entry("1.33", "fallback", "holds", turn=n) for n in (1, 2, 3)]
    assert groups.settled(alike)[0]["reason"].startswith("3 of 3 turns: ")
    assert groups.unstable(alike) == []


def test_a_report_names_what_was_not_stable(tmp_path: Path) -> None:
    items = [
        Item(Cell("1.33", "envoy", "native", "fallback", "lifecycle", turn), "stop.order")
        for turn in (1, 2)
    ]
    for item, observed, hazard in zip(items, ("holds", "broken"), ("", "late"), strict=True):
        found = Finding("stop.order", observed, "As told.", hazard)  # type: ignore[arg-type]
        verdicts.keep(tmp_path, verdicts.hold(item, found), None)
    report = document.document(tmp_path, document.collect(tmp_path, items), run={})
    attempts = report["run"]["attempts"]
    assert attempts["turns"] == 2 and attempts["cells"] == 2
    (one,) = attempts["unstable"]
    assert one.endswith("stop.order: 1 pass, 1 fail")


@pytest.mark.parametrize("versions", [("1.33",), ("1.28", "1.33")])
def test_the_page_sets_versions_side_by_side(tmp_path: Path, versions: tuple[str, ...]) -> None:
    items = [
        Item(Cell(k8s, "envoy", "native", "fallback", "lifecycle"), "stop.order")
        for k8s in versions
    ]
    run = {
        "id": "r", "started": "2026-01-01T00:00:00Z", "duration_seconds": 1.0,
        "exit_code": 0, "exit_meaning": "well",
    }  # fmt: skip
    for item in items:
        found = verdicts.hold(item, Finding("stop.order", "holds", "Yes."))
        verdicts.keep(tmp_path, found, None)
    report = document.document(tmp_path, document.collect(tmp_path, items), run=run)
    text = html.write(tmp_path, report).read_text()
    assert re.findall(r'<th colspan="1">([^<]+)</th>', text) == list(versions)

"""The table, and how findings are held against it."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import pytest

from conformance.errors import UsageProblem
from conformance.model import Cell, Expectation, Finding
from conformance.plan.catalogue import behaviours, scenarios
from conformance.plan.sidecars import REGISTRY
from conformance.verdicts import expectations

CELL = Cell("1.33", "envoy", "classic", "fallback", "lifecycle")
HOLDS = Expectation("holds")
BROKEN = Expectation("broken", ("plaintext",), "because", "source")
MEASURED = Expectation("measured")


def finding(observed: str, hazard: str = "") -> Finding:
    return Finding("start.no-plaintext", observed, "Seen.", hazard)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "expected", "outcome"),
    [
        (finding("holds"), HOLDS, "pass"),
        (finding("broken", "plaintext"), HOLDS, "fail"),
        (finding("broken", "plaintext"), BROKEN, "reproduced"),
        (finding("broken", "refused"), BROKEN, "fail"),
        (finding("holds"), BROKEN, "not-reproduced"),
        (finding("inconclusive"), BROKEN, "inconclusive"),
        (finding("inconclusive"), HOLDS, "inconclusive"),
        (finding("not-verified"), HOLDS, "not-verified"),
        (finding("broken", "plaintext"), MEASURED, "measured"),
        (finding("measured"), MEASURED, "measured"),
        (finding("measured"), HOLDS, "inconclusive"),
        (finding("measured"), BROKEN, "inconclusive"),
    ],
)
def test_outcomes(seen: Finding, expected: Expectation, outcome: str) -> None:
    assert expectations.hold(CELL, seen, expected).outcome == outcome


def test_another_hazard_is_named() -> None:
    verdict = expectations.hold(CELL, finding("broken", "refused"), BROKEN)
    assert "refused" in verdict.reason and "plaintext" in verdict.reason


def test_every_row_speaks_of_things_that_exist() -> None:
    cells = every_cell()
    for row in expectations.table():
        assert row.expectation.reason and row.expectation.source
        meant = [id_ for id_ in behaviours() if fnmatch.fnmatchcase(id_, row.behaviour)]
        assert meant and any(row.matches(meant[0], cell) for cell in cells), row


def every_cell() -> list[Cell]:
    return [
        Cell(k8s, driver.name, pattern, mode, scenario)  # type: ignore[arg-type]
        for k8s in ("1.28", "1.28-nogate", "1.29", "1.29-skew", "1.31", "1.33", "1.35", "1.37")
        for driver in REGISTRY.values()
        for pattern in driver.patterns
        for mode in driver.modes
        for scenario in scenarios()
    ]


def test_the_last_matching_row_wins() -> None:
    assert expectations.expected("start.no-plaintext", CELL).expect == "broken"
    other = Cell("1.33", "envoy", "classic", "init-rules", "lifecycle")
    assert expectations.expected("start.no-plaintext", other).expect == "holds"


def test_versions_are_compared_by_number() -> None:
    row = expectations.Row("*", {"k8s": ("<1.29",)}, HOLDS)
    assert row.matches("stop.order", Cell("1.28-nogate", "e", "native", "m", "s"))
    assert not row.matches("stop.order", Cell("1.29", "e", "native", "m", "s"))


def test_strict_promises_judges_native_cells_against_the_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = expectations.Row("stop.order", {}, BROKEN)
    monkeypatch.setattr(expectations, "table", lambda: (row,))
    native = Cell("1.28", "envoy", "native", "init-rules", "lifecycle")
    classic = Cell("1.28", "envoy", "classic", "init-rules", "lifecycle")
    strict = expectations.expected("stop.order", native, strict_promises=True)
    assert strict.expect == "holds" and not strict.hazards
    for hazard, known in ((BROKEN.hazards[0], True), ("another", False)):
        seen = Finding("stop.order", "broken", "So.", hazard)
        verdict = expectations.hold(native, seen, strict)
        assert verdict.outcome == "fail"
        assert ("known to break" in verdict.reason) == known
    assert expectations.expected("stop.order", classic, strict_promises=True).expect == "broken"


ROW = {
    "behaviour": "stop.order",
    "expect": "broken",
    "hazard": ["wrong-order"],
    "reason": "because",
    "source": "source",
}


def written(folder: Path, **changes: object) -> Path:
    """A table with the one row, changed; a key that becomes None is left out."""
    row = {key: value for key, value in (ROW | changes).items() if value is not None}
    file = folder / "expectations.toml"
    file.write_text("[[row]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in row.items()))
    return file


def test_all_rows_of_a_drivers_file_are_about_its_sidecar(tmp_path: Path) -> None:
    (row,) = expectations.rows(written(tmp_path), sidecar="toy")
    assert row.matches("stop.order", Cell("1.33", "toy", "native", "default", "lifecycle"))
    assert not row.matches("stop.order", Cell("1.33", "envoy", "native", "default", "lifecycle"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sidecar": "envoy"}, "all rows here are about fixture"),
        ({"expect": "perhaps"}, "may be holds, broken or measured"),
        ({"hazard": None}, "names the hazards"),
        ({"expect": "holds"}, "names the hazards"),
        ({"reason": None}, "it has no reason"),
        ({"colour": "red"}, "it has colour, and may have"),
        ({"behaviour": "stop.oder"}, "did you mean stop.order"),
        ({"pattern": "nativ"}, "no pattern is called nativ, did you mean native"),
        ({"scenario": ["job", "lifecicle"]}, "did you mean lifecycle"),
        ({"mode": "defalt"}, "no mode is called defalt, did you mean default"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_file(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    file = written(tmp_path, **changes)
    with pytest.raises(UsageProblem, match=f"{file}: the row for .* is wrong: .*{said}"):
        expectations.rows(file, sidecar="fixture")


def test_a_drivers_rows_are_read_after_the_common_ones() -> None:
    rows = expectations.table()
    common = [row for row in rows if "sidecar" not in row.conditions]
    assert list(rows[: len(common)]) == common
    assert rows[len(common) :]


def test_the_common_table_speaks_of_no_sidecar() -> None:
    for row in expectations.rows(expectations.TABLE):
        assert "sidecar" not in row.conditions, row

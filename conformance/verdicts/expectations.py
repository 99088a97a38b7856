"""The expectations table, and how a finding is held against it.

The table is the common one (expectations.toml beside this module: the patterns, Kubernetes), and
after it each driver's own rows. Standard library only. The table is data: a change of expectation
is a commit of its own, with a reason and a source.
"""

from __future__ import annotations

import fnmatch
import operator
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from conformance.errors import UsageProblem
from conformance.machine.paths import is_patch
from conformance.model import Cell, Expectation, Finding, Outcome, Verdict
from conformance.plan.catalogue import behaviours, scenarios
from conformance.plan.selection import PATTERNS, minor_number
from conformance.plan.sidecars import REGISTRY
from conformance.plan.spelling import did_you_mean, matching

TABLE = Path(__file__).with_name("expectations.toml")
_OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
STRICT = "--strict-promises"
_CONDITIONS = ("k8s", "sidecar", "pattern", "mode", "scenario")
_KEYS = ("behaviour", "expect", "hazard", "reason", "source", "changed")


@dataclass(frozen=True)
class Row:
    """One row of the table, as it stands in the file."""

    behaviour: str
    conditions: Mapping[str, tuple[str, ...]]
    expectation: Expectation
    changed: str = ""

    def matches(self, behaviour: str, cell: Cell) -> bool:
        return fnmatch.fnmatchcase(behaviour, self.behaviour) and all(
            any(_fits(name, value, getattr(cell, name)) for value in values)
            for name, values in self.conditions.items()
        )


def _fits(condition: str, wanted: str, actual: str) -> bool:
    return fits_k8s(wanted, actual) if condition == "k8s" else wanted == actual


def fits_k8s(wanted: str, actual: str) -> bool:
    """Whether a Kubernetes version is the one that is wanted, or in the range (">=1.29")."""
    match = re.fullmatch(r"([<>]=?)(1\.\d+)", wanted)
    if match:
        return bool(_OPERATORS[match.group(1)](minor_number(actual), minor_number(match.group(2))))
    return wanted == actual or (is_patch(actual) and actual.startswith(f"{wanted}."))


def table() -> Sequence[Row]:
    """All rows: the common ones, then those of each driver, each file in its own order.

    Raises UsageProblem, naming the file, for a row that is wrong.
    """
    return _table(tuple((driver.name, driver.tables) for driver in REGISTRY.values()))


@cache
def _table(drivers: tuple[tuple[str, tuple[Path, ...]], ...]) -> Sequence[Row]:
    own = [row for name, files in drivers for file in files for row in rows(file, sidecar=name)]
    return (*rows(TABLE), *own)


def rows(file: Path, *, sidecar: str = "") -> Sequence[Row]:
    """The rows of one file. sidecar: the one whose file it is; all its rows are about that one."""
    with file.open("rb") as source:
        return tuple(_row(raw, file, sidecar) for raw in tomllib.load(source).get("row", ()))


def _row(raw: dict[str, Any], file: Path, sidecar: str) -> Row:
    wrong = _wrong(raw, sidecar)
    if wrong:
        about = raw.get("behaviour", "nothing")
        raise UsageProblem(f"{file}: the row for {about} is wrong: {wrong.rstrip('?')}.")
    if sidecar:
        raw = {**raw, "sidecar": sidecar}
    conditions = {name: _words(raw[name]) for name in _CONDITIONS if name in raw}
    return Row(
        raw["behaviour"],
        conditions,
        Expectation(raw["expect"], tuple(raw.get("hazard", ())), raw["reason"], raw["source"]),
        raw.get("changed", ""),
    )


def _wrong(raw: Mapping[str, Any], sidecar: str) -> str:
    """What is wrong with a row as it stands in a file, and what to do; "" for nothing."""
    missing = [key for key in ("behaviour", "expect", "reason", "source") if not raw.get(key)]
    unknown = sorted(set(raw) - {*_CONDITIONS, *_KEYS})
    if missing:
        return f"it has no {' and no '.join(missing)}"
    if unknown:
        return f"it has {', '.join(unknown)}, and may have {', '.join((*_CONDITIONS, *_KEYS))}"
    if raw["expect"] not in ("holds", "broken", "measured"):
        return f"expect is {raw['expect']!r}, and may be holds, broken or measured"
    if (raw["expect"] == "broken") != bool(raw.get("hazard")):
        return "broken, and nothing else, names the hazards that count (hazard)"
    if not matching(raw["behaviour"], behaviours()):
        return f"no behaviour is called so{did_you_mean(raw['behaviour'], behaviours())}"
    if sidecar and "sidecar" in raw:
        return f"all rows here are about {sidecar}, and need not say it (sidecar)"
    known = {"pattern": PATTERNS, "scenario": tuple(scenarios())}
    if sidecar in REGISTRY:
        known["mode"] = REGISTRY[sidecar].modes
    for name, valid in known.items():
        for word in _words(raw.get(name, ())):
            if word not in valid:
                return f"no {name} is called {word}{did_you_mean(word, valid)}"
    return ""


def _words(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def expected(behaviour: str, cell: Cell, *, strict_promises: bool = False) -> Expectation:
    """What the table expects of a behaviour in a cell.

    strict_promises: native cells are held against the promise alone, whatever the table says.
    """
    last = next(row for row in reversed(table()) if row.matches(behaviour, cell))
    if strict_promises and cell.pattern == "native" and last.expectation.expect == "broken":
        known = last.expectation
        why = f"{STRICT}: the promise, which is known to break: {known.reason}"
        return replace(known, expect="holds", hazards=(), reason=why, known=known.hazards)
    return last.expectation


def hold(cell: Cell, finding: Finding, expectation: Expectation, attempts: int = 1) -> Verdict:
    """The verdict: the finding held against the expectation."""
    outcome, why = _outcome(finding, expectation)
    reason = f"{finding.reason} {why}".strip()
    return Verdict(cell, finding, expectation, outcome, reason, attempts)


def _outcome(finding: Finding, expectation: Expectation) -> tuple[Outcome, str]:
    match finding.observed, expectation.expect:
        case ("inconclusive" | "not-verified") as outcome, _:
            return outcome, ""
        case "measured", "measured":
            return "measured", ""
        case (("holds" | "broken"), "measured"):
            return "measured", ""
        case "holds", "holds":
            return "pass", ""
        case "broken", "holds":
            known = finding.hazard in expectation.known
            return "fail", (f"That is known to break, and {STRICT} counts it." if known else "")
        case "holds", "broken":
            return "not-reproduced", (
                f"Expected {' or '.join(expectation.hazards)} because {expectation.reason}: "
                "the expectation or the judge is wrong."
            )
        case "broken", "broken":
            if finding.hazard in expectation.hazards:
                return "reproduced", ""
            return "fail", (
                f"Another hazard than expected: {finding.hazard}, "
                f"not {' or '.join(expectation.hazards)}."
            )
        case _:
            return "inconclusive", (
                f"That neither keeps nor breaks the promise; {expectation.expect} was expected."
            )

"""What each judge says of a world as it is: its sentence, figures, and the evidence that it names.
Sentences are read, figures are compared between runs, and evidence is looked up by hand: none of
them changes by accident.

Where a change is meant: python -m tests.judges.test_figures
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from conformance.model import Evidence
from conformance.plan.catalogue import behaviours
from tests.judges.test_judge import world_of

FILE = Path(__file__).with_name("figures.json")
CASES = [(one, pattern) for one in behaviours() for pattern in ("native", "classic")]
_SHOWN = 8  # pieces of evidence; of all of them, how many there are


def found_in(behaviour: str, pattern: str, folder: Path) -> dict[str, Any]:
    """What a behaviour's own world shows, as it stands in the file."""
    found = world_of(behaviour, pattern).judged(behaviour, folder)
    told = {
        "observed": f"{found.observed} {found.hazard}".strip(),
        "reason": found.reason,
        "measured": found.measured,
        "evidence": [_place(one) for one in found.evidence[:_SHOWN]],
        "pieces": len(found.evidence),
    }
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def _place(one: Evidence) -> str:
    kind, number = ("frame", one.frame) if one.frame else ("line", one.line)
    return f"{one.file}, {kind} {number}: {one.text}"


def known() -> dict[str, Any]:
    """What the file holds, by behaviour and pattern."""
    read: dict[str, Any] = json.loads(FILE.read_text())
    return read


@pytest.mark.parametrize(("behaviour", "pattern"), CASES)
def test_what_is_said_stays(tmp_path: Path, behaviour: str, pattern: str) -> None:
    assert found_in(behaviour, pattern, tmp_path) == known()[f"{behaviour} {pattern}"]


def test_no_figures_of_what_is_no_behaviour() -> None:
    assert list(known()) == [f"{behaviour} {pattern}" for behaviour, pattern in CASES]


def _write() -> None:
    found = {}
    for behaviour, pattern in CASES:
        with TemporaryDirectory() as folder:
            found[f"{behaviour} {pattern}"] = found_in(behaviour, pattern, Path(folder))
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _write()

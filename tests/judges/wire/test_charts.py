"""see.chart-value: where it was looked, and what was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds import between
from tests.worlds.stop import shown

CHART = "see.chart-value"
FILE = "mesh/charts.jsonl"


def test_no_chart_has_it(tmp_path: Path) -> None:
    found = between.between().held(CHART, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["charts"] == ["v1.15.19", "v1.20.2"]


def test_any_chart_that_has_it(tmp_path: Path) -> None:
    world = between.between()
    whole = world.extra[FILE]
    world.extra[FILE] = whole[::-1].replace("][", '] "7:lmay.seulav" ['.replace(" ", ""), 1)[::-1]
    found = world.judged(CHART, tmp_path)
    assert shown(found) == ("broken", "value-found"), world.extra[FILE]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"used": true', '"used": false'),
        ('"files": 200', '"files": 0'),
        ('"values_lines": 3000', '"values_lines": 0'),
        ('"version": "v1.15.19"', '"version": "v1.15.19", "missing": "no network"'),
    ],
)
def test_the_chart_that_was_used_must_have_been_read(
    tmp_path: Path, before: str, after: str
) -> None:
    world = between.between()
    world.extra[FILE] = world.extra[FILE].replace(before, after, 1)
    assert world.judged(CHART, tmp_path).observed == "inconclusive"


def test_one_that_could_not_be_had_is_named(tmp_path: Path) -> None:
    world = between.between()
    world.extra[FILE] = world.extra[FILE].replace(
        '"version": "v1.20.2"', '"version": "v1.20.2", "missing": "no network"'
    )
    found = world.judged(CHART, tmp_path)
    assert found.observed == "holds"
    assert found.measured["missing"] == ["v1.20.2"]

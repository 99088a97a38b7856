"""The grid of all verdicts: a square's place says which mode it is."""

from __future__ import annotations

from typing import Any

from conformance.report.page import matrix


def entry(pattern: str, mode: str, behaviour: str = "stop.order", turn: int = 1) -> dict[str, Any]:
    return {
        "k8s": "1.33", "sidecar": "linkerd", "pattern": pattern, "mode": mode, "turn": turn,
        "scenario": "lifecycle", "behaviour": behaviour,
    }  # fmt: skip


def test_modes_stand_in_the_same_places_in_every_column() -> None:
    """Also those that one pattern alone has, between others."""
    played = [("native", "default"), ("native", "short-drain")]
    played += [("classic", one) for one in ("default", "no-await", "short-drain")]
    (grid,) = matrix.grids([entry(*one) for one in played])
    assert set(grid.modes) == {"default", "no-await", "short-drain"}
    ((_, _, fields),) = grid.rows
    for column, field in zip(grid.columns, fields, strict=True):
        assert [mode for mode, _ in field] == list(grid.modes)[: len(field)]
        assert field[-1][1]
        there = [(column.pattern, mode) for mode, turns in field if turns]
        assert sorted(there) == sorted(one for one in played if one[0] == column.pattern)


def test_all_turns_of_a_mode_stand_together() -> None:
    (grid,) = matrix.grids([entry("native", "default", turn=turn) for turn in (1, 2)])
    ((_, _, ((only,),)),) = grid.rows
    assert [one["turn"] for one in only[1]] == [1, 2]
    assert grid.versions == [("1.33", 1)]

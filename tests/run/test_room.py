"""Whether there is room on the disk of the results, and what a run says when there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.cluster.context import Context
from conformance.machine import room
from conformance.model import Cell
from conformance.run import cells as run_cells


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    found = os.statvfs_result((4096, 4096, 1 << 20, free // 4096, free // 4096, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: found)


def test_a_disk_with_room_is_no_word_and_a_full_one_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, room.LEAST)
    assert not room.lacking(tmp_path)
    disk(monkeypatch, room.LEAST - 4096)
    told = room.lacking(tmp_path)
    assert told.startswith("The disk of the results is full: 16.8 MB are free where ")
    assert str(tmp_path) in told and "--results" in told


def test_what_was_observed_without_room_is_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the disk became full meanwhile: nobody knows which lines could not be written."""
    cells, cell = run_cells.Cells(tmp_path), Cell("1.33", "fixture", "native", "default", "grace")

    def observe(*_: object) -> run_cells.Observed:
        disk(monkeypatch, 0)
        return run_cells.Observed({}, tmp_path)

    monkeypatch.setattr(run_cells, "await_cluster", lambda *_: Handle())
    monkeypatch.setattr(Context, "read", lambda _: Handle())
    monkeypatch.setattr(cells, "_with_attempts", observe)
    found = cells.observed(cell, ["stop.order"])
    assert found.bundle is None
    assert "The disk of the results is full: 0.0 MB" in found.finding("stop.order").reason


class Handle:
    lacking: dict[str, str] = {}  # noqa: RUF012 - a stand-in
    unobtainable: dict[str, str] = {}  # noqa: RUF012

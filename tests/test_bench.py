"""make bench: two runs, each of them found by its own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from conformance import bench
from conformance.machine.processors import Sampler


def test_the_second_run_is_found_beside_what_was_kept_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["20261130-100000-aaaa", "20261130-110000-bbbb"]
    left = iter(names)

    def run(_: Sequence[str]) -> tuple[int, Sampler]:
        (tmp_path / next(left)).mkdir()
        return 0, Sampler(0)

    monkeypatch.setattr(bench, "_run", run)
    measured = []
    for _ in range(2):
        measured.append(bench.measure([], tmp_path))
        (tmp_path / "latest").unlink(missing_ok=True)
        (tmp_path / "latest").symlink_to(measured[0].results)
        bench.keep(measured, tmp_path)
    assert [one.results.name for one in measured] == [
        "20261130-100000-aaaa",
        "20261130-110000-bbbb",
    ]

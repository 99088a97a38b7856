"""Cells begin one after the other, and wait while the machine is crowded; never for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from conformance.machine.capacity import CROWDED, capacity, stretched

SOON, NEVER = 30.0, 0.5  # seconds: enough for what comes, and for what must not


class Cell(threading.Thread):
    """Somebody who wants to be observed, and stays until told."""

    def __init__(self, results: Path, measure: Callable[[], float]) -> None:
        super().__init__(daemon=True)
        self.results, self.measure = results, measure
        self.began, self.over = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with capacity(self.results, self.measure):
            self.began.set()
            self.over.wait(SOON)


def crowded() -> float:
    return CROWDED + 1


def test_an_idle_machine_has_capacity_for_many(tmp_path: Path) -> None:
    cells = [Cell(tmp_path, lambda: 0.5) for _ in range(3)]
    assert all(one.began.wait(SOON) for one in cells)


def test_a_crowded_one_observes_one_after_the_other(tmp_path: Path) -> None:
    first = Cell(tmp_path, crowded)
    assert first.began.wait(SOON)
    second = Cell(tmp_path, crowded)
    assert not second.began.wait(NEVER)
    first.over.set()
    assert second.began.wait(SOON)


def test_capacity_that_comes_is_taken(tmp_path: Path) -> None:
    first = Cell(tmp_path, crowded)
    assert first.began.wait(SOON)
    load = [CROWDED + 1]
    second = Cell(tmp_path, lambda: load[0])
    assert not second.began.wait(NEVER)
    load[0] = 1.0
    assert second.began.wait(SOON)


def test_a_moment_of_calm_is_no_capacity(tmp_path: Path) -> None:
    first = Cell(tmp_path, crowded)
    assert first.began.wait(SOON)
    looks = iter([0.0])
    second = Cell(tmp_path, lambda: next(looks, 4 * CROWDED))
    assert not second.began.wait(2.5)


def test_work_takes_no_less_than_its_processor_time() -> None:
    assert stretched() >= 1

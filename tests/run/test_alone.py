"""Cells that want their cluster for themselves, and collectors that are taken up again."""

from __future__ import annotations

import json
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from conformance.cluster.context import Context
from conformance.cluster.state import ClusterHandle
from conformance.engine.client import Client
from conformance.machine import locks, waiting
from conformance.machine.paths import CHECKOUT
from conformance.model import Cell
from conformance.observe import cell as cell_observer
from conformance.observe.node.collectors import NodeCollectors, _Collector
from conformance.run import cells as run_cells

CONTEXT = Context("run", CHECKOUT, CHECKOUT, {}, CHECKOUT, {}, "", {})


def test_who_is_alone_waits_for_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ordinary cells overlap, and the one that is alone overlaps with nobody."""
    handle = ClusterHandle("1.33", "c", tmp_path / "kubeconfig", "node", tmp_path / "evidence")
    present: list[str] = []
    seen: dict[str, list[str]] = {}
    together = threading.Barrier(2, timeout=60)
    comes = threading.Event()

    def observe(cell: Cell, *_: object) -> Path:
        present.append(cell.scenario)
        if cell.scenario != "kubelet":
            together.wait()
        seen[cell.scenario] = sorted(present)
        if cell.scenario != "kubelet":
            together.wait()
            assert comes.wait(60)
            time.sleep(0.2)  # the one that is alone would begin now, if nothing held it
        present.remove(cell.scenario)
        return tmp_path

    def exclusive(path: Path) -> locks.Lock:
        comes.set()
        return locked(path)

    locked = locks.exclusive
    monkeypatch.setattr(locks, "exclusive", exclusive)
    monkeypatch.setattr(cell_observer, "observe", observe)
    # This machine may be as busy as it likes.
    monkeypatch.setattr(run_cells, "capacity", lambda _: nullcontext())

    def play(scenario: str) -> None:
        cell = Cell("1.33", "fixture", "native", "default", scenario)
        run_cells.Cells(tmp_path)._with_attempts(cell, [], handle, CONTEXT)

    others = [threading.Thread(target=play, args=[name]) for name in ("grace", "hooks")]
    for one in others:
        one.start()
    waiting.until("both of them", lambda: len(present) == 2, seconds=60, every=0.01)
    play("kubelet")
    for one in others:
        one.join()
    assert seen == {
        "grace": ["grace", "hooks"], "hooks": ["grace", "hooks"], "kubelet": ["kubelet"],
    }  # fmt: skip


@pytest.mark.parametrize("comes", [True, False])
def test_a_collector_is_taken_up_again_with_its_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    collectors = NodeCollectors("node", Client(Path("/docker")), tmp_path)
    collectors._folder.mkdir()
    launched: list[str] = []
    monkeypatch.setattr("conformance.observe.node.collectors.TAKE_UP_SECONDS", 1.0)
    monkeypatch.setattr(collectors, "_lives", lambda _: len(launched) > 1)
    monkeypatch.setattr(collectors, "_launch", lambda one: launched.append(one.name))
    events = _Collector("runtime", "the stream", "runtime.log", [], lambda: comes, again=True)
    seen_ns = time.time_ns()
    assert collectors._take_up(events, seen_ns) is comes
    gaps = tmp_path / ".node" / "gaps.jsonl"
    assert gaps.exists() is comes
    assert launched
    if comes:
        (line,) = gaps.read_text().splitlines()
        gap = json.loads(line)
        assert gap["ns"] == seen_ns < gap["until_ns"]
        assert gap["what"] == "the stream"

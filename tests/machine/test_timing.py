"""Where a run's time goes: spans on disk, what they add up to, and the benchmark's table."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance import bench
from conformance.machine import timing
from conformance.machine.timing import Span
from conformance.report.profile import profile


def at(name: str, start: float, end: float, **about: str) -> Span:
    return Span(name, round(start * 1e9), round(end * 1e9), about)


def cell(name: str, k8s: str, pid: int, start: float, end: float, judged: float) -> list[Span]:
    about = {"cell": name, "k8s": k8s, "pid": str(pid)}
    return [at("observe", start, end, **about), at("judge", end, judged, **about)]


RUN = [
    at("engine", 0, 2),
    at("cluster", 3, 23, k8s="1.33"),
    at("cluster", 4, 30, k8s="1.29"),
    at("install", 30, 33, k8s="1.29", sidecar="envoy"),
    at("load", 20, 25, k8s="1.29"),
    *cell("a", "1.33", 1, 23, 43, 44),
    *cell("b", "1.33", 2, 25, 35, 36),
    *cell("c", "1.29", 2, 40, 70, 73),
    at("remove", 75, 77),
]


def test_a_span_is_noted_whatever_becomes_of_the_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError), timing.span(tmp_path, "load", k8s="1.33"):
        raise ValueError
    (one,) = timing.spans(tmp_path)
    assert one.name == "load" and one.about["k8s"] == "1.33" and one.seconds >= 0


def test_no_process_cuts_the_line_of_another(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for n in range(400):
            pool.submit(timing.note, tmp_path, "observe", n, n + 1, cell="x" * 300)
    assert len(timing.spans(tmp_path)) == 400


def test_a_run_without_records_has_no_profile(tmp_path: Path) -> None:
    assert profile(timing.spans(tmp_path)) == {}
    assert profile([at("engine", 0, 2), at("cluster", 2, 9, k8s="1.33")]) == {}


def test_the_parts_add_up_to_the_whole() -> None:
    found = profile(RUN)
    assert found["whole"] == 77
    assert [found[part] for part in ("setup", "creation", "cells", "closing")] == [3, 30, 40, 4]
    assert found["longest_cell"] == 33 and found["longest_cell_id"] == "c"
    assert found["bound"] == 63 and found["ratio"] == 1.22


def test_cells_wait_for_a_worker_from_their_clusters_readiness() -> None:
    found = profile(RUN)
    assert found["waited"] == 0 + 2 + 7
    assert found["workers"] == 2 and found["workers_busy"] == round((21 + 11 + 33) / (2 * 50), 2)


def test_a_second_attempt_belongs_to_its_cell() -> None:
    found = profile([*RUN, *cell("b", "1.33", 2, 36, 60, 61)])
    assert found["cells_observed"] == 3 and found["longest_cell_id"] == "b"
    assert found["longest_cell"] == 36


def measured(twice: bool) -> bench.Measured:
    spans = [*RUN, *cell("a2", "1.29", 1, 44, 84, 85)] if twice else RUN
    return bench.Measured(Path("r"), 0, 95.5 if twice else 80.0, 0.5, profile(spans))


def test_the_benchmark_sets_both_runs_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    bench.show([measured(False), measured(True)])
    said = capsys.readouterr().out
    lines = {line.split("│")[1].strip(): line for line in said.splitlines() if "│" in line}
    assert "1.19" in lines["whole, as make sees it"]  # the second to the first
    assert "63.0" in lines["creation + longest cell"]


def test_a_run_that_observed_nothing_ends_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def nothing(options: Any, _: Path) -> bench.Measured:
        asked.append(options)
        return bench.Measured(tmp_path, 3, 1.0, 0.1, {})

    monkeypatch.setattr(bench, "measure", nothing)
    assert bench.main(["--k8s=1.33"]) == 3
    assert len(asked) == 1 and "--repeat=1" in asked[0]


def test_the_share_of_the_processors() -> None:
    assert bench._busy([0] * 8, [50, 0, 25, 20, 5, 0, 0, 0]) == 0.75
    assert bench._busy([], []) == 0.0


def test_ratios_say_the_same_on_every_machine() -> None:
    one = measured(False)
    assert one.ratios["whole / (creation + longest cell)"] == 1.22
    assert one.ratios["a cell, on the clock / creation"] == round(40 / 3 / 30, 2)
    spent = replace(one, creation={"kubelet": 50.0}, cells={"kubelet": 20.0, "etcd": 10.0})
    assert spent.ratios["a cell, in processor seconds / creation"] == 0.2
    assert replace(one, profile={}).ratios == {}


def test_all_that_is_measured_is_kept(tmp_path: Path) -> None:
    spent = {"kubelet": 20.0, "pause": 0.01}
    bench.keep([replace(measured(False), cells=spent)], tmp_path / "bench")
    (run,) = json.loads((tmp_path / "bench" / "bench.json").read_text())["runs"]
    assert run["cells"] == spent and run["profile"]["cells_observed"] == 3 and run["ratios"]


def test_small_kinds_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    spent = {"kubelet": 6.0, "pause": 0.03, "others": 0.06}
    bench.show([replace(measured(False), cells=spent)])
    said = capsys.readouterr().out
    assert "2 smaller kinds" in said and "pause" not in said
    (total,) = [line for line in said.splitlines() if "│ sum " in line]
    assert "2.03" in total

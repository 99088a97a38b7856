"""The benchmark (``make bench``): how long a run takes beside what it cannot do without.

Two real runs with the options that are given, the second with every cell played twice. What a run
cannot do without is the creation of its clusters, contended as it is, and its longest cell. Numbers
come from the runs' own records (timing.jsonl); the whole is measured from outside too, and so is
where the processors' time goes, by kind of process. All of it is kept in bench.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from conformance.machine import paths, timing
from conformance.machine.processors import Sampler
from conformance.report.profile import KINDS, profile

Json = dict[str, Any]
NOTHING_VERIFIED, INTERRUPTED = 4, 130  # exit codes of the command
CLOCK = {
    "whole": "whole, by the run's own records",
    "setup": "until the first cluster is begun",
    "creation": "until the last cluster is ready",
    "cells": "until the last verdict",
    "closing": "report and removal",
    "longest_cell": "longest cell",
    "bound": "creation + longest cell",
    "waited": "cells waited for a free worker and for room, in sum",
}
LEAST = 0.05  # processor seconds a cell: kinds with less are told together


@dataclass(frozen=True)
class Measured:
    """One run: its folder, what its records add up to, and what was seen from outside.

    whole: seconds. busy: share of all processors' time. creation, cells: processor seconds by kind
    of process while clusters are made, and from the last one's readiness to the last verdict.
    """

    results: Path
    exit_code: int
    whole: float
    busy: float
    profile: Json
    creation: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> Mapping[str, float]:
        """What says the same on a slow machine and on a fast one; {} when nothing was observed."""
        if not self.profile:
            return {}
        count, creation = self.profile["cells_observed"], self.profile["creation"]
        begun = sum(self.creation.values())
        found = {
            "whole / (creation + longest cell)": self.profile["ratio"],
            "a cell, on the clock / creation": self.profile["cells"] / count / creation,
        }
        if begun:
            a_cell = sum(self.cells.values()) / count
            found["a cell, in processor seconds / creation"] = a_cell / begun
        return {name: round(value, 2) for name, value in found.items()}

    @property
    def work(self) -> float:
        """Processor seconds of the whole machine meanwhile: of this run alone where it was idle."""
        return round(self.busy * self.whole * (os.cpu_count() or 1), 1)


def main(arguments: Sequence[str]) -> int:
    """Run twice and print; 0, or the exit code of the run that verified nothing."""
    folder = paths.results_dir() / time.strftime("bench-%Y%m%d-%H%M%S")
    measured = []
    for repeat in (1, 2):
        one = measure([*arguments, f"--results={folder}", f"--repeat={repeat}"], folder)
        measured.append(one)
        show(measured)
        keep(measured, folder)
        if one.exit_code == INTERRUPTED or not one.profile:
            return one.exit_code or NOTHING_VERIFIED
    return 0


def measure(options: Sequence[str], folder: Path) -> Measured:
    """Run the command once, in a process of its own."""
    command = [sys.executable, "-m", "conformance", "run", *options]
    began, idle = time.monotonic(), _processors()
    code, sampler = _run(command)
    whole, busy = time.monotonic() - began, _busy(idle, _processors())
    # By name, and not "latest": that stays with the run before when this one had no verdict.
    runs = sorted(place for place in folder.glob("*") if place.is_dir() and not place.is_symlink())
    results = runs[-1] if runs else folder
    found = profile(timing.spans(results))
    begun, up, judged = (found.get(key, 0) for key in ("begun_ns", "up_ns", "judged_ns"))
    cluster = (
        "sc-" + results.name.partition("-")[2]
    )  # as machine.runs has it: the run's time and id
    return Measured(
        results,
        code,
        round(whole, 1),
        busy,
        found,
        creation=sampler.between(begun, up, cluster),
        cells=sampler.between(up, judged, cluster),
    )


def _run(command: Sequence[str]) -> tuple[int, Sampler]:
    with subprocess.Popen(command) as child:
        sampler = Sampler(child.pid)
        sampler.start()
        while True:
            try:
                code = child.wait()
            except KeyboardInterrupt:
                continue  # it was told too, and cleans up
            sampler.stop()
            return code, sampler


def keep(runs: Sequence[Measured], folder: Path) -> None:
    """Write all that was measured into bench.json."""
    folder.mkdir(parents=True, exist_ok=True)
    told = [
        {**asdict(one), "results": one.results.name, "work": one.work, "ratios": one.ratios}
        for one in runs
    ]
    (folder / "bench.json").write_text(json.dumps({"runs": told}, indent=1))


def show(runs: Sequence[Measured]) -> None:
    """Print the runs side by side, the later ones with their ratio to the first."""
    table = Table(title="bench", title_justify="left", title_style="bold")
    table.add_column("seconds", no_wrap=True)
    for place, _ in enumerate(runs):
        table.add_column("each cell twice" if place else "each cell once", justify="right")
    if len(runs) > 1:
        table.add_column("ratio", justify="right")

    def row(name: str, values: Sequence[Any], *, ratio: bool = False) -> None:
        first, last = values[0], values[-1]
        compared = f"{last / first:.2f}" if ratio and first else ""
        table.add_row(name, *map(str, values), *([compared] if len(runs) > 1 else []))

    profiles = [one.profile for one in runs if one.profile]
    row("exit code", [one.exit_code for one in runs])
    row("whole, as make sees it", [one.whole for one in runs], ratio=True)
    row("processors busy", [f"{one.busy:.0%}" for one in runs])
    row("all processors' work", [one.work for one in runs], ratio=True)
    if len(profiles) == len(runs):
        for key, name in CLOCK.items():
            row(name, [one[key] for one in profiles], ratio=key == "whole")
        for name in runs[0].ratios:
            row(name, [one.ratios.get(name, "-") for one in runs])
        row("cells", [one["cells_observed"] for one in profiles])
        row("workers", [one["workers"] for one in profiles])
        row("workers busy", [f"{one['workers_busy']:.0%}" for one in profiles])
        table.add_section()
        for kind, name in KINDS.items():
            if kind in profiles[0]["kinds"]:
                sums = [one["kinds"].get(kind, {"count": 0, "sum": 0}) for one in profiles]
                row(f"{name}: sum (count)", [f"{one['sum']} ({one['count']})" for one in sums])
    console = Console(width=120 if not sys.stdout.isatty() else None)
    console.print(table)
    if all(one.cells for one in runs):
        console.print(_kinds(runs))
    for one in runs:
        console.print(f"longest: {one.profile.get('longest_cell_id', '-')}; records: {one.results}")


def _kinds(runs: Sequence[Measured]) -> Table:
    """The profile by kind of process: processor seconds a cell, after the clusters are ready."""
    table = Table(title="by kind of process", title_justify="left", title_style="bold")
    table.add_column("processor seconds a cell", no_wrap=True)
    for one in runs:
        table.add_column(f"{one.profile['cells_observed']} cells", justify="right")
    a_cell = [
        {kind: spent / one.profile["cells_observed"] for kind, spent in one.cells.items()}
        for one in runs
    ]
    small = {kind for kind, spent in a_cell[0].items() if spent < LEAST}
    for kind in a_cell[0]:
        if kind not in small:
            table.add_row(kind, *(f"{one.get(kind, 0):.2f}" for one in a_cell))
    rest = [sum(one[kind] for kind in small if kind in one) for one in a_cell]
    table.add_row(f"{len(small)} smaller kinds", *(f"{one:.2f}" for one in rest))
    table.add_section()
    table.add_row("sum", *(f"{sum(one.values()):.2f}" for one in a_cell))
    return table


def _processors() -> list[int]:
    """Ticks of all processors since boot, by kind (proc(5), /proc/stat); [] on no Linux."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return []
    return [int(ticks) for ticks in first.split()[1:9]]


def _busy(before: Sequence[int], after: Sequence[int]) -> float:
    """The share that was neither idle nor waiting for a disk."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    return 1 - (spent[3] + spent[4]) / sum(spent) if sum(spent) else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

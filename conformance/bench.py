"""The benchmark (``make bench``): how long a run takes beside what it cannot do without.

Two real runs with the options that are given, the second with every cell played twice. What a run
cannot do without is the creation of its clusters, contended as it is, and its longest cell. Numbers
come from the runs' own records (timing.jsonl); only the whole is measured from outside too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from conformance.machine import paths, timing
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


@dataclass(frozen=True)
class Measured:
    """One run: its folder, what its records add up to, and what was seen from outside.

    whole: seconds. busy: share of all processors' time.
    """

    results: Path
    exit_code: int
    whole: float
    busy: float
    profile: Json

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
        if one.exit_code == INTERRUPTED or not one.profile:
            return one.exit_code or NOTHING_VERIFIED
    return 0


def measure(options: Sequence[str], folder: Path) -> Measured:
    """Run the command once, in a process of its own."""
    command = [sys.executable, "-m", "conformance", "run", *options]
    began, idle = time.monotonic(), _processors()
    code = _run(command)
    whole, busy = time.monotonic() - began, _busy(idle, _processors())
    # By name, and not "latest": that stays with the run before when this one had no verdict.
    runs = sorted(place for place in folder.glob("*") if not place.is_symlink())
    results = runs[-1] if runs else folder
    return Measured(results, code, round(whole, 1), busy, profile(timing.spans(results)))


def _run(command: Sequence[str]) -> int:
    with subprocess.Popen(command) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # it was told too, and cleans up


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
        row("whole / (creation + longest cell)", [one["ratio"] for one in profiles])
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
    for one in runs:
        console.print(f"longest: {one.profile.get('longest_cell_id', '-')}; records: {one.results}")


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

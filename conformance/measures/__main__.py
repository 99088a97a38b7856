"""``python -m conformance.measures RUN [FILE]``: print the figures, and write them into FILE, by
default the bench.json beside the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from conformance.errors import Problem, UsageProblem
from conformance.machine import terminal
from conformance.machine.progress import board
from conformance.measures.figures import Figure, figures

FILE = "bench.json"


def main(arguments: Sequence[str]) -> int:
    """The command. Returns the exit code."""
    try:
        if len(arguments) not in (1, 2):
            raise UsageProblem("Name one run's folder, such as results/latest.")
        run = Path(arguments[0]).resolve()
        found = measure(run)
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    keep(found, Path(arguments[1]) if arguments[1:] else run.parent / FILE)
    return 0


def measure(run: Path) -> list[Figure]:
    """All figures of a run, printed as a table. Raises Problem."""
    found = list(figures(run, board.say))
    show(found)
    return found


def keep(found: Sequence[Figure], target: Path) -> None:
    """Write the figures into bench.json, beside what stands there and is not measured anew."""
    told = json.loads(target.read_bytes()) if target.exists() else {}
    names = {one.name for one in found}
    former = [one for one in told.get("figures", ()) if one["name"] not in names]
    told["figures"] = [*former, *map(asdict, found)]
    target.write_text(json.dumps(told, indent=1))
    board.say(f"written: {target}")


def show(found: Sequence[Figure]) -> None:
    """A line for each figure."""
    table = Table(title="measures", title_justify="left", title_style="bold")
    for name in ("", "figure", "unit", "goal"):
        table.add_column(name, justify="right" if name == "figure" else "left")
    for one in found:
        table.add_row(one.name, f"{one.value:g}", one.unit, one.goal)
    terminal.console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How much a run will do, before it does it."""

from __future__ import annotations

from dataclasses import replace

from conformance.errors import UsageProblem
from conformance.plan import cells as plan
from conformance.plan.selection import Selection

SECONDS_PER_CELL = 9.2
"""Measured on two processors: 378 cells in 58 minutes, clusters included, images in the cache."""

MOST_CELLS = 20_000
"""More than two days; everything that the suite knows, once, is less than a fifth of it."""


def check(selection: Selection) -> None:
    """Raises UsageProblem for nothing at all, and for more than anybody can mean."""
    count = len(plan.cells(replace(selection, repeat=1))) * selection.repeat
    if count > MOST_CELLS:
        raise UsageProblem(
            f"That would be {count} cells, {estimate(count)}, and {MOST_CELLS} are the most; "
            "choose fewer versions, sidecars or scenarios, or a smaller REPEAT."
        )


def estimate(cells: int) -> str:
    """How long that many cells take, in words."""
    minutes = max(1, round(cells * SECONDS_PER_CELL / 60))
    return f"about {minutes} min" if minutes < 120 else f"about {minutes / 60:.0f} h"

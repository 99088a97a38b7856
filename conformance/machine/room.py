"""Whether there is room on the disk of a run's results.

A run whose disk is full goes on to observe, and what it observed has holes that nobody sees: a
program in a pod whose line was not written, a capture that broke off. So it is asked before and
after each cell, and a run ends while there is room for its report.
"""

from __future__ import annotations

import os
from pathlib import Path

LEAST = 16 << 20  # bytes: the report of some hundred cells, and the last lines of what still writes


def lacking(results: Path) -> str:
    """Why nothing more may be observed there, in one sentence; "" while there is room."""
    found = os.statvfs(results)
    # Root, as which containers write, may use what a file system reserves.
    free = (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize
    if free >= LEAST:
        return ""
    return (
        f"The disk of the results is full: {free / 1e6:.1f} MB are free where {results} is, and "
        f"{LEAST / 1e6:.0f} MB are wanted; make room, or name another folder with --results."
    )

"""Steps of the real-time clock: every stamp in the evidence is read from it.

CLOCK_REALTIME minus CLOCK_MONOTONIC is constant while nobody sets the clock: NTP slews both alike.
Setting the clock, a leap second, or a suspended machine moves the difference at once.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

# Below this a move is taken for the reading's own jitter. The smallest ordered gap that a judge
# decides on is in milliseconds.
SMALLEST_STEP_NS = 100_000


@dataclass(frozen=True)
class Reading:
    """One line of clock.jsonl. ns: real time; offset_ns: real time minus monotonic time, known to
    within uncertainty_ns."""

    ns: int
    mono_ns: int
    offset_ns: int
    uncertainty_ns: int


@dataclass(frozen=True)
class ClockStep:
    """The clock was moved by step_ns between two readings, the second of them at ns."""

    ns: int
    step_ns: int


def read_clock() -> Reading:
    """The best of five: a reading during which this thread was not preempted."""

    def once() -> Reading:
        before = time.monotonic_ns()
        now = time.time_ns()
        after = time.monotonic_ns()
        middle = (before + after) // 2
        return Reading(now, middle, now - middle, after - before)

    return min((once() for _ in range(5)), key=lambda reading: reading.uncertainty_ns)


def clock_steps(file: Path, started_ns: int, ended_ns: int) -> list[ClockStep]:
    """The steps in a clock.jsonl (a bundle's or the node's) that touch a stretch of time."""
    steps: list[ClockStep] = []
    last: Reading | None = None
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            now = Reading(**json.loads(line))
            if last is not None and max(last.ns, now.ns) >= started_ns:
                if min(last.ns, now.ns) > ended_ns:
                    break
                step = now.offset_ns - last.offset_ns
                if abs(step) > SMALLEST_STEP_NS + last.uncertainty_ns + now.uncertainty_ns:
                    steps.append(ClockStep(now.ns, step))
            last = now
    return steps

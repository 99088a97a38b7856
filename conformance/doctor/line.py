"""A line of the doctor's: what was looked at, what was seen, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "bad"]
MARKS = {"good": "✓", "note": "·", "bad": "✗"}


@dataclass(frozen=True)
class Line:
    """good: as it should be. note: a run works, with less. bad: a run cannot be set up."""

    what: str
    seen: str
    state: State = "good"
    do: str = ""


def text(line: Line) -> str:
    """The line as it is printed."""
    told = f"{MARKS[line.state]} {line.what}: {line.seen}"
    return f"{told}; {line.do}" if line.do else told


def troubles(lines: Iterable[Line]) -> Sequence[Line]:
    """What is not green, the worst first."""
    return sorted(
        (line for line in lines if line.state != "good"), key=lambda line: line.state != "bad"
    )


def exit_code(lines: Iterable[Line]) -> int:
    """0, or 3 when a run cannot be set up."""
    return 3 if any(line.state == "bad" for line in lines) else 0

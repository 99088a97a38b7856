"""What flows through the suite: cells, events, windows, findings, verdicts.

Times are integers: nanoseconds since the Unix epoch on the node's real-time clock, which every
container, the runtime and the captures of a single-machine cluster share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Pattern = Literal["classic", "native", "sidecarless"]
Expect = Literal["holds", "broken", "measured"]
Observed = Literal["holds", "broken", "measured", "inconclusive", "not-verified"]
Outcome = Literal[
    "pass", "fail", "reproduced", "not-reproduced", "measured", "inconclusive", "not-verified"
]
Value = int | float | str | bool | None
Measured = Mapping[str, Value | Sequence[Value] | Mapping[str, Value]]

NS = 1_000_000_000
NEVER = 1 << 62
"""Later (ns) than any moment that a clock can tell: what did not end, or was not seen to."""


@dataclass(frozen=True, order=True)
class Cell:
    """One deployment to observe: its evidence serves every behaviour of its scenario.

    k8s is the name of a kind config without its leading "v" ("1.33", "1.28-nogate"). turn counts
    from 1 where a run plays each cell several times.
    """

    k8s: str
    sidecar: str
    pattern: Pattern
    mode: str
    scenario: str
    turn: int = 1

    @property
    def slug(self) -> str:
        """Namespace and folder of the cell: unique within one cluster, at most 63 characters."""
        turn = f"-t{self.turn}" if self.turn > 1 else ""
        return f"{self.sidecar}-{self.pattern}-{self.mode}-{self.scenario}{turn}"

    @property
    def id(self) -> str:
        """Unique within a run, for people and for pytest."""
        return f"{self.k8s}-{self.slug}"


@dataclass(frozen=True)
class Window:
    """A stretch of time between two events, in ns. It is never defined by sleeping."""

    name: str
    start: int
    end: int

    def __contains__(self, ns: int) -> bool:
        return self.start <= ns <= self.end

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / NS


@dataclass(frozen=True)
class Evidence:
    """Where a claim can be checked by hand: a file of the bundle, and the place in it.

    file is relative to the bundle. line counts from 1; frame is tcpdump's and Wireshark's number,
    from 1. text says in a few words what is to be seen there.
    """

    file: str
    line: int | None = None
    frame: int | None = None
    ns: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Finding:
    """What a judge saw in one bundle, before anyone asks what was expected.

    hazard names the kind of breakage when observed is "broken" (see HAZARDS in the catalogue).
    reason is one sentence with the numbers that decided. retry is true when the evidence was blind
    or dropped packets: only then is the whole cell tried once more.
    """

    behaviour: str
    observed: Observed
    reason: str
    hazard: str = ""
    measured: Measured = field(default_factory=dict)
    evidence: Sequence[Evidence] = ()
    retry: bool = False


@dataclass(frozen=True)
class Expectation:
    """What the table says about a behaviour in a cell, and why.

    hazards: the kinds of breakage that count as reproduced; empty unless expect is "broken".
    known: the kinds that are known of the cell, where strict promises count them all the same.
    """

    expect: Expect
    hazards: Sequence[str] = ()
    reason: str = ""
    source: str = ""
    known: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """A finding held against its expectation."""

    cell: Cell
    finding: Finding
    expectation: Expectation
    outcome: Outcome
    reason: str
    attempts: int = 1

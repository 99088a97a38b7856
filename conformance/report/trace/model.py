"""A cell's trace: what happened in it, on one axis, ready to be drawn.

Times are ns since the Unix epoch, as in the evidence; pages count from the trace's zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conformance.evidence.packets.dissect import Dissection

TOKEN_PARTS = 5  # cny.<nonce>.<kind>.<sender>.<number>


@dataclass(frozen=True)
class Mark:
    """A thing in a lane: a bar from begin to end, or a tick where end is None.

    kind is a style class. A title is one of few, for pages keep each but once. token joins what
    belongs to one request. file and line, or file and frame, say where it can be checked by hand.
    """

    begin: int
    end: int | None
    kind: str
    title: str
    token: str = ""
    file: str = ""
    line: int = 0
    frame: int = 0

    @property
    def name(self) -> str:
        """Its title, with the kind and number of its request: "steady 41: refused"."""
        parts = self.token.split(".")
        whose = f"{parts[2]} {int(parts[4])}: " if len(parts) == TOKEN_PARTS else ""
        return whose + self.title


@dataclass
class Lane:
    """A row of marks. group: containers, requests, packets, others."""

    name: str
    group: str
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True)
class Shade:
    """A window that a verdict speaks of, behind all lanes."""

    begin: int
    end: int
    kind: str
    title: str


@dataclass(frozen=True)
class Bracket:
    """The span that a verdict stands on, between the two events that prove it."""

    behaviour: str
    verdict: str
    begin: int
    end: int
    first: str
    last: str


@dataclass(frozen=True)
class Record:
    """A line of any log of the cell, or a step of the scenario."""

    ns: int
    source: str
    text: str


@dataclass(frozen=True)
class Trace:
    """zero: when the pod under test was asked for. label: what it is called beside another; its
    pattern by default. frames: those that verdicts name, by file and
    number. notes: what could not be read, in words."""

    id: str
    pattern: str
    bundle: str
    zero: int
    lanes: Sequence[Lane]
    shades: Sequence[Shade]
    brackets: Sequence[Bracket]
    records: Sequence[Record]
    frames: Mapping[tuple[str, int], Dissection]
    notes: Sequence[str] = ()
    label: str = ""

    @property
    def begin(self) -> int:
        """The first moment that is drawn."""
        return min((mark.begin for lane in self.lanes for mark in lane.marks), default=self.zero)

    @property
    def end(self) -> int:
        """The last moment that is drawn."""
        ends = (mark.end or mark.begin for lane in self.lanes for mark in lane.marks)
        return max(ends, default=self.zero)

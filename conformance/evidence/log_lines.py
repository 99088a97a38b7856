"""Numbered log lines: what the app says it wrote, and what the sink says it holds.

Both records are compact: runs of numbers. Which line is held is a matter of sets, so that a line
that was sent twice counts once; how often and in which order lines came is told beside it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.evidence.bundle import Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import NS, Evidence

Run = tuple[int, int]
SINK = ("sink", "sink")
# The sink gives a sign of life every 0.5 s, and stamps every request. A hole that is much longer
# says that it stood still, or was not there.
SINK_HOLE_NS = 10 * NS


@dataclass(frozen=True)
class Batch:
    """Lines that were written in one piece (ns: when they all were in the file)."""

    first: int
    last: int
    ns: int
    number: int


@dataclass(frozen=True)
class Written:
    """A writer's own record. rate: lines a second, as it was told."""

    role: str
    container: str
    rate: float
    batches: Sequence[Batch]
    started: Line
    sigterm: Line | None
    ended: Line | None

    @property
    def count(self) -> int:
        """How many lines it says it wrote: from 0 on, without a hole."""
        return self.batches[-1].last + 1

    @property
    def seconds(self) -> float:
        """From the first line to the last."""
        return (self.batches[-1].ns - self.batches[0].ns) / NS

    def batch_of(self, line: int) -> Batch:
        """The batch that a line was in."""
        at = bisect.bisect_right(self.batches, line, key=lambda one: one.first) - 1
        return self.batches[at]

    def before(self, ns: int) -> int:
        """How many lines were in the file for certain at a moment."""
        return max((one.last + 1 for one in self.batches if one.ns <= ns), default=0)

    def evidence(self, line: int) -> Evidence:
        """Where the writer says that it wrote a line."""
        batch = self.batch_of(line)
        text = f"{self.role} wrote lines {batch.first} to {batch.last}"
        file = stamps_file(self.role, self.container)
        return Evidence(file, batch.number, ns=batch.ns, text=text)


@dataclass(frozen=True)
class Arrival:
    """A run of lines in a request that the sink has taken."""

    first: int
    last: int
    ns: int
    number: int

    @property
    def evidence(self) -> Evidence:
        text = f"the sink received lines {self.first} to {self.last}"
        return Evidence(stamps_file(*SINK), self.number, ns=self.ns, text=text)


@dataclass(frozen=True)
class Received:
    """What the sink got of one writer, in its own order."""

    arrivals: Sequence[Arrival]
    held: Sequence[Run]

    @property
    def lines(self) -> int:
        """How many lines came, those that came twice counted twice."""
        return sum(one.last - one.first + 1 for one in self.arrivals)

    @property
    def count(self) -> int:
        """How many lines are held."""
        return size(self.held)

    @property
    def reordered(self) -> int:
        """How many runs of new lines came behind a later one."""
        highest, late = -1, 0
        for one in self.arrivals:
            late += one.last < highest
            highest = max(highest, one.last)
        return late

    def arrival_of(self, line: int) -> Arrival | None:
        """When a line first came."""
        return next((one for one in self.arrivals if one.first <= line <= one.last), None)

    def missing(self, first: int, end: int) -> list[Run]:
        """The lines from ``first`` to before ``end`` that are not held."""
        found: list[Run] = []
        at = first
        for low, high in self.held:
            if high < at:
                continue
            if low >= end:
                break
            if low > at:
                found.append((at, low - 1))
            at = high + 1
        if at < end:
            found.append((at, end - 1))
        return found


def written(bundle: Bundle, role: str, container: str) -> Written:
    """A writer's record. Raises Unjudgeable when it wrote nothing, or its record has a hole."""
    batches: list[Batch] = []
    seen: dict[str, Line] = {}
    for line in bundle.stamps(role, container):
        if line.event == "lines":
            batch = Batch(line["first"], line["last"], line.ns, line.number)
            if batch.first != (batches[-1].last + 1 if batches else 0):
                raise Unjudgeable(
                    f"the record of {role} has a hole before line {batch.first}",
                    evidence=(Evidence(stamps_file(role, container), line.number),),
                )
            batches.append(batch)
        else:
            seen.setdefault(line.event, line)
    if not batches or "app.started" not in seen:
        raise Unjudgeable(f"{role} wrote no line")
    return Written(
        role,
        container,
        float(seen["app.started"]["rate"]),
        batches,
        seen["app.started"],
        seen.get("app.sigterm"),
        seen.get("app.last"),
    )


def received(bundle: Bundle, role: str) -> Received:
    """What the sink got of a writer."""
    arrivals = [
        Arrival(first, last, line.ns, line.number)
        for line in bundle.stamps(*SINK)
        if line.event == "sink.received"
        for first, last in line["runs"].get(role, ())
    ]
    return Received(arrivals, merged((one.first, one.last) for one in arrivals))


def merged(runs: Iterable[Run]) -> list[Run]:
    """The same lines as runs that neither touch nor overlap, in order."""
    found: list[Run] = []
    for first, last in sorted(runs):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def size(runs: Iterable[Run]) -> int:
    """How many lines."""
    return sum(last - first + 1 for first, last in runs)


def require_sink(bundle: Bundle, begin: int, end: int) -> Evidence:
    """The sink was there all the time, and at rest behind it: what it does not hold, it was not
    sent. Raises Unjudgeable."""
    file = stamps_file(*SINK)
    before, settled = None, None
    for line in bundle.stamps(*SINK):
        if line.event == "sink.started" and line.ns > begin:
            raise Unjudgeable("the sink was started late, or twice")
        if line.event == "sink.last":
            break
        if before is not None and line.ns - before > SINK_HOLE_NS and line.ns > begin:
            raise Unjudgeable(
                f"the sink gave no sign of life for {(line.ns - before) / NS:.1f} s",
                evidence=(Evidence(file, line.number, ns=line.ns),),
            )
        before = line.ns
        if line.event == "sink.asked" and line.ns > end and line["active"] == 0:
            settled = line
    if settled is None:
        raise Unjudgeable(
            "the sink was not asked, at rest, behind the end of the pod under test",
            evidence=(Evidence(file),),
        )
    return Evidence(file, settled.number, ns=settled.ns, text="the sink, at rest")

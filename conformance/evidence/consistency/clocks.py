"""The clocks against each other: the node's readings, and the programs' stamps.

All are of one kernel. Of each moment there are two readings, of real time and of CLOCK_MONOTONIC:
their difference stays the same as long as nobody moves the clock. The capture's frames are held
against the stamps that they carry where frames are read (frames).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from conformance.evidence.bundle import CLOCK, Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.timeline import CLOCK_STEP_NS
from conformance.model import NS, Evidence

# A program may be preempted between its two readings. One stamp that is off by more was changed.
_PREEMPTED_NS = 1 * NS
_FEW = 3  # stamps from which on a median says something


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """Readings that contradict their own fields, and stamps that contradict the readings."""
    yield from _readings(bundle)
    yield from _stamps(bundle)


def _readings(bundle: Bundle) -> Iterator[Contradiction]:
    for line in bundle.clock():
        mono = line.get("mono_ns")
        if not isinstance(mono, int):
            continue
        off = line.ns - mono - line["offset_ns"]
        if abs(off) > line["uncertainty_ns"] + CLOCK_STEP_NS:
            yield Contradiction(
                f"{CLOCK}:{line.number} says that its two clocks are {abs(off) / 1e6:.1f} ms "
                "further apart than their own readings are",
                evidence=(Evidence(CLOCK, line=line.number, ns=line.ns),),
            )
            return


def _stamps(bundle: Bundle) -> Iterator[Contradiction]:
    node = [line["offset_ns"] for line in bundle.clock()]
    for file in bundle.stamp_files():
        found = [
            (line.ns - line["mono_ns"], line)
            for line in bundle.records(file)
            if isinstance(line.get("mono_ns"), int)
        ]
        if not found:
            continue
        offsets = [one for one, _ in found]
        median = statistics.median(offsets if len(found) >= _FEW or not node else node)
        if node and not min(node) - _PREEMPTED_NS <= median <= max(node) + _PREEMPTED_NS:
            far = abs(median - statistics.median(node))
            yield Contradiction(
                f"{file} is on a clock that is {far / NS:.1f} s off the node's ({CLOCK})",
                frozenset({file}),
                (Evidence(file), Evidence(CLOCK)),
            )
        for offset, line in found:
            if abs(offset - median) > _PREEMPTED_NS:
                yield Contradiction(
                    f"{file}:{line.number} says one time by the real-time clock, and by "
                    f"CLOCK_MONOTONIC one {abs(offset - median) / NS:.1f} s away",
                    frozenset({file}),
                    (Evidence(file, line=line.number, ns=line.ns, text=line.event),),
                )
                break

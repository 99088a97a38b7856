"""Events from all sources on one clock, each with its source and the uncertainty of its stamp.

Mind what each stamp means:
- containerd publishes an event after the thing has happened: /tasks/create comes after the
  creation and before the start, so it is the earliest that a container's first instruction can be.
- exited_at in /tasks/exit is when the exit was noticed: the latest that it can have been.
- "Stop container" is written to containerd's journal before the signal is sent.
- a program's own stamps come after the fact (its first some ms after exec, SIGTERM when its handler
  runs); its last stamp comes before its exit.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.index import Pod
from conformance.evidence.lacking import Table
from conformance.evidence.parse import RuntimeEvent, StopLine
from conformance.model import NEVER, Evidence

Answer = Literal["yes", "no", "cannot tell"]

# Containerd's shim hands its events to a thread of its own (pkg/shim, the publisher's queue), which
# stamps them when it sends them: what an event tells of may lie this much before its stamp.
PUBLISH_LAG_NS = 2_000_000
_BLOCK = 9  # stamps whose median clock offset is taken: single ones suffer from preemption
# A step of the real-time clock shows in the difference to CLOCK_MONOTONIC (slewing does not, it
# moves both). NTP steps from 128 ms on; two readings of a loaded machine differ by less than this.
CLOCK_STEP_NS = 5_000_000


@dataclass(frozen=True)
class Event:
    """Something that happened between two moments (ns). evidence says who saw it."""

    name: str
    earliest: int
    latest: int
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Order:
    """Whether a happens before b, and how far the nearest possible moments lie apart (ns).

    yes: gap_ns > 0, from a's latest to b's earliest. no: gap_ns < 0, from a's earliest back to b's
    latest. cannot tell: the two overlap by gap_ns.
    """

    first: Event
    second: Event
    answer: Answer
    gap_ns: int

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return self.first.evidence + self.second.evidence


def happens_before(first: Event, second: Event) -> Order:
    """Hold two events against each other, each at its worst."""
    ahead = second.earliest - first.latest
    if ahead > 0:
        return Order(first, second, "yes", ahead)
    behind = second.latest - first.earliest
    if behind < 0:
        return Order(first, second, "no", behind)
    return Order(first, second, "cannot tell", -ahead)


@dataclass
class Life:
    """What the runtime says of one container (one id)."""

    name: str
    container_id: str
    created: RuntimeEvent | None = None
    started: RuntimeEvent | None = None
    exited: RuntimeEvent | None = None
    stops: list[StopLine] = field(default_factory=list)

    @property
    def created_event(self) -> Event | None:
        """Its task was created; nothing of it ran before."""
        if self.created is None:
            return None
        ns = self.created.ns
        evidence = Evidence("runtime.log", self.created.number, ns=ns, text=f"{self.name} created")
        return Event(f"{self.name} created", ns - PUBLISH_LAG_NS, ns, (evidence,))

    def exit_evidence(self, pod: str = "") -> Evidence:
        """Where its end is written. pod: which one's it is, where there are several."""
        assert self.exited is not None
        text = f"{pod}: " * bool(pod) + f"{self.name} exited with {self.exited.status}"
        return Evidence("runtime.log", self.exited.number, ns=self.exited_latest, text=text)

    @property
    def exited_latest(self) -> int | None:
        """The latest moment at which it can have ended (ns)."""
        if self.exited is None:
            return None
        return min(self.exited.ns, self.exited.exited_ns or self.exited.ns)


def lives(bundle: Bundle, pod: Pod | None = None) -> Mapping[str, list[Life]]:
    """The containers of a pod (default: the pod under test) by name, each with its ids in order of
    creation.

    The sandbox is there under the name "" when the index knows its id.
    """
    pod = pod or bundle.index.subject_pod
    found = {ident: Life(name, ident) for name, one in pod.containers.items() for ident in one.ids}
    if pod.sandbox:
        found[pod.sandbox] = Life("", pod.sandbox)
    for event in bundle.runtime():
        life = found.get(event.container_id)
        if life is None or event.process_id != event.container_id:
            continue
        if event.topic == "/tasks/create" and life.created is None:
            life.created = event
        elif event.topic == "/tasks/start" and life.started is None:
            life.started = event
        elif event.topic == "/tasks/exit":
            life.exited = event
    for stop in _stops(bundle):
        if stop.container_id in found:
            found[stop.container_id].stops.append(stop)
    by_name = Table[list[Life]](
        {name: [] for name in pod.containers}, f"pod {pod.name} of cell.json", "container"
    )
    for life in found.values():
        by_name.setdefault(life.name, []).append(life)
    return by_name


def _stops(bundle: Bundle) -> Iterable[StopLine]:
    known = bundle.supposed is not None or bundle.has("containerd.log")
    return bundle.stops() if known else ()


def stamp_events(
    bundle: Bundle, container: str, *events: str, role: str = SUBJECT_ROLE
) -> list[Event]:
    """Stamps of a container of a pod; none when it wrote none.

    A stamp tells of the very moment at which it was taken: nothing is said of before.
    """
    file = stamps_file(role, container)
    if not bundle.has(file):
        return []
    found = []
    for line in bundle.stamps(role, container):
        if line.event in events:
            evidence = Evidence(file, line.number, ns=line.ns, text=line.event)
            found.append(Event(line.event, line.ns, line.ns, (evidence,)))
    return found


def clock_step_ns(bundle: Bundle) -> int:
    """How far the real-time clock was moved against CLOCK_MONOTONIC (ns), between any stamps, or
    between any of the node's own readings: a cell's programs may stamp too seldom to show it."""
    if "clock_step_ns" not in bundle.reckoned:
        with bundle.unnoticed():  # no verdict leans on what all these stamps tell
            step = max(_step_of_stamps(bundle), _step_of_readings(bundle))
        bundle.reckoned["clock_step_ns"] = step
    found: int = bundle.reckoned["clock_step_ns"]
    return found


def _step_of_readings(bundle: Bundle) -> int:
    """What no uncertainty of the readings explains: 0 when one offset fits them all."""
    lowest, highest = 0, NEVER
    for line in bundle.clock():
        lowest = max(lowest, line["offset_ns"] - line["uncertainty_ns"])
        highest = min(highest, line["offset_ns"] + line["uncertainty_ns"])
    return max(0, lowest - highest)


def _step_of_stamps(bundle: Bundle) -> int:
    medians: list[float] = []
    for name in bundle.stamp_files():
        role, _, container = name.removeprefix("stamps/").removesuffix(".jsonl").partition(".")
        block: list[int] = []
        for line in bundle.stamps(role, container):
            if isinstance(line.get("mono_ns"), int):
                block.append(line.ns - line["mono_ns"])
            if len(block) == _BLOCK:
                medians.append(statistics.median(block))
                medians = [min(medians), max(medians)]
                block.clear()
        if len(block) >= 3:
            medians.append(statistics.median(block))
    return int(max(medians) - min(medians)) if medians else 0

"""Connections that the apps keep open to each other, as both of them recorded it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from conformance.evidence.attempts import OK, TIMEOUT, Attempt, attempts
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Stamp
from conformance.judges import lateness
from conformance.model import NS, Evidence, Measured, Value, Window

ROLES = (SUBJECT_ROLE, "peer")
KINDS = ("pool", "long", Kind.RAW)  # pooled HTTP/1.1, a streamed answer without end, raw TCP
OWN, TOLD = "own", "told"
# A connection in use is used five times a second, and a piece of a stream comes four times.
MIN_USES = 3
# How long the fixture waits for an answer (3 s).
PATIENCE_NS = 3_200_000_000
_SHOWN = 50


@dataclass
class Persistent:
    """One connection, from its opener's side. uses: when it was of use (ns)."""

    role: str
    kind: str
    name: str
    file: str
    opened: Line
    uses: list[int] = field(default_factory=list)
    closed: Line | None = None

    def open_at(self, ns: int) -> bool:
        """Whether it was open then."""
        return self.opened.ns < ns and (self.closed is None or self.closed.ns >= ns)

    def ended_in(self, window: Window) -> bool:
        """Whether somebody else than its opener ended it in the window."""
        return self.closed is not None and self.closed.ns in window and self.how != OWN

    def used_in(self, window: Window) -> int:
        """How often it was of use in the window."""
        return sum(ns in window for ns in self.uses)

    @property
    def how(self) -> str:
        """How it ended: see FORMAT.md, kept.closed."""
        return str(self.closed["how"]) if self.closed else ""

    @property
    def evidence(self) -> Evidence:
        """The line of its end, or of its beginning while it has none."""
        line = self.closed or self.opened
        told = f"{self.name}: {self.how or 'open'}"
        return Evidence(self.file, line=line.number, ns=line.ns, text=told)


def connections(bundle: Bundle) -> Sequence[Persistent]:
    """Every kept connection of both pods, in the order of their beginnings."""
    found: dict[str, Persistent] = {}
    for role in ROLES:
        file = stamps_file(role, bundle.index.app)
        for line in bundle.stamps(role, bundle.index.app):
            name = line.get("connection")
            if line.event == Stamp.KEPT_OPEN:
                found[name] = Persistent(role, line["kind"], name, file, line)
            elif not name or name not in found:
                continue
            elif line.event == Stamp.KEPT_PIECE or (
                line.event == Stamp.REQUEST_END and line["kind"] != "long" and line["outcome"] == OK
            ):
                found[name].uses.append(line.ns)
            elif line.event == Stamp.KEPT_CLOSED:
                found[name].closed = line
    return sorted(found.values(), key=lambda one: one.opened.ns)


def in_use_at(kept: Iterable[Persistent], ns: int, when: str) -> Sequence[Persistent]:
    """Those that were open then and had been of use.

    Raises Unjudgeable unless both pods had one of each kind.
    """
    found = [
        one for one in kept if one.open_at(ns) and sum(use < ns for use in one.uses) >= MIN_USES
    ]
    there = {(one.role, one.kind) for one in found}
    missing = [f"{kind} of {role}" for role in ROLES for kind in KINDS if (role, kind) not in there]
    if missing:
        raise Unjudgeable(f"not in use {when}: {', '.join(missing)}")
    return found


def sent(bundle: Bundle, window: Window) -> Sequence[Attempt]:
    """What both pods sent on kept connections, or tried to, from the window's begin to its end."""
    return [
        one
        for role in ROLES
        for one in attempts(bundle, role, bundle.index.app)
        if one.kind in (*KINDS, Kind.TOUCH) and one.begin_ns in window
    ]


def lost(found: Iterable[Attempt], window: Window) -> Sequence[Attempt]:
    """Those that ended wrongly in the window, or hung in it. A stream has its own end."""
    return [
        one
        for one in found
        if (one.outcome != OK and one.end_ns is not None and one.end_ns in window)
        or (
            one.kind != Kind.LONG
            and (one.end_ns is None or one.end_ns > window.end)
            and one.begin_ns < window.end - PATIENCE_NS
        )
    ]


def require_used(kept: Iterable[Persistent], window: Window) -> None:
    """Raises Unjudgeable unless each was used in the window, up to its end: one that nobody uses
    may be dead without a word."""
    for one in kept:
        if one.used_in(window) < MIN_USES or max(one.uses) < window.end - NS:
            raise Unjudgeable(
                f"the {one.kind} connection of {one.role} was not used to the end "
                f"({one.used_in(window)} times)",
                evidence=(one.evidence,),
            )


def blamable(
    ended: Sequence[Persistent],
    lost_: Sequence[Attempt],
    sent_: Sequence[Attempt],
    measured: Measured,
) -> tuple[Sequence[Persistent], Sequence[Attempt]]:
    """Of the ends and losses those that cannot be a crowded machine's: see lateness.blamable."""
    sure = lateness.blamable(lost_, sent_, measured)
    if len(sure) < len(lost_):
        ended = [one for one in ended if one.how != TIMEOUT]
    return ended, sure


def hazard(ended: Sequence[Persistent], lost_: Sequence[Attempt]) -> str:
    """connection-lost when one was ended under its user, lost-request when only requests were lost,
    connection-close when every end was announced with an answer and nothing was lost; timed-out
    when nothing was ended or lost but by its user's patience."""
    if any(one.how not in (TOLD, TIMEOUT) for one in ended):
        return "connection-lost"
    if not lateness.only_timed_out(lost_):
        return "lost-request"
    if lost_ or any(one.how == TIMEOUT for one in ended):
        return lateness.TIMED_OUT
    return "connection-close"


def evidence(ended: Sequence[Persistent], lost_: Sequence[Attempt]) -> Sequence[Evidence]:
    """Where the first of them stand."""
    return [*(one.evidence for one in ended), *(one.evidence for one in lost_)][:_SHOWN]


def by_end(ended: Iterable[Persistent]) -> dict[str, Value]:
    """How many connections of each kind ended how."""
    return dict(sorted(Counter(f"{one.kind} of {one.role}: {one.how}" for one in ended).items()))

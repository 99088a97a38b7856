"""The verdict on the pattern, apart from what was expected: not safe, not proven, or safe.

An exit code says whether verdicts came out as the table expects them. Who has to decide about a
pattern asks something else: was one of its promises seen to be broken, expected or not; and if
not, has the run shown that it would have been seen? Pure: entries of report.json's cells in, data
out.

- not safe: a promise of the pattern is broken in at least one turn. That the table expects it
  makes it known, and not harmless. What a sidecar's control modes break by design says nothing of
  the pattern, and belongs to the instrument.
- not proven: nothing is broken, but something is inconclusive or not verified; or a control arm was
  blind, so that the promise beside it may only seem to hold; or no control arm ran at all; or so
  few attempts were watched that most breaks would have been missed.
- safe for this scope: all else. See scope.py for what lies outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conformance.plan.catalogue import behaviours
from conformance.plan.selection import version_order
from conformance.plan.sidecars import SIDECARLESS, known

Json = Mapping[str, Any]
Word = Literal["not safe", "not proven", "safe for this scope"]
NOT_SAFE: Word = "not safe"
NOT_PROVEN: Word = "not proven"
SAFE: Word = "safe for this scope"
WORST_FIRST: Sequence[Word] = (NOT_SAFE, NOT_PROVEN, SAFE)

MISS = 0.05  # how often a bound may be wrong: what a judge states as rate_bound_95
# A bound above it means nothing: not even that fewer than half of all attempts break is shown.
WEAK = 0.5
# What is worth a sentence although it decides nothing: breaks in a tenth of all attempts.
MEANT = 0.1
TOLD_BOUNDS = 3
_BOUND = "rate_bound_95"
_CELL = ("k8s", "sidecar", "pattern", "mode", "scenario")
_EXPECTED = ("reproduced", "measured")  # of a broken promise: the table says so, or leaves it open
# Hazards in the order in which they hurt: what is exposed, what is lost, all else.
_EXPOSED = ("plaintext", "answered")
_LOST = ("lost", "refused", "reset", "connection-lost")

GapKind = Literal["inconclusive", "not verified", "blind control", "no control", "weak bound"]


@dataclass(frozen=True)
class Broken:
    """A promise of the pattern that was seen to be broken.

    known: the expectations table says so, too. counted: it does, and strict promises count it all
    the same, so that it is not among the known ones. turns: in how many of how many. id: the
    cell's and behaviour's, as the report's pages call them
    ("1.33-envoy-native-…-hooks.stop.app-egress").
    """

    id: str
    behaviour: str
    scenario: str
    hazard: str
    known: bool
    counted: bool
    turns: tuple[int, int]
    reason: str

    @property
    def repair(self) -> str:
        """How to see it on a cluster of one's own, and how to recover; "" where nothing helps."""
        known = behaviours().get(self.behaviour)
        return known.detect if known else ""


@dataclass(frozen=True)
class Gap:
    """Something that the run leaves open. repeat: the REPEAT that would close it, 0 if none would.

    id and behaviour are "" where the gap is not about one verdict.
    """

    kind: GapKind
    id: str
    behaviour: str
    scenario: str
    reason: str
    repeat: int = 0


@dataclass(frozen=True)
class Bound:
    """How often a promise may be broken without this run having seen it.

    attempts: watched in all turns, none of them broken. rate: with 95 % confidence no more than
    this share of attempts breaks (exact binomial bound for none in n: 1 - 0.05^(1/n); the judges'
    3/n is its approximation). repeat: the REPEAT that brings the rate to MEANT.
    """

    id: str
    behaviour: str
    scenario: str
    attempts: int
    rate: float
    repeat: int


@dataclass(frozen=True)
class Part:
    """The decision on one sidecar in one mode on one Kubernetes version.

    rest: what it would be without the broken promises that were known before.
    """

    sidecar: str
    mode: str
    k8s: str
    word: Word
    rest: Word
    broken: Sequence[Broken]
    gaps: Sequence[Gap]


@dataclass(frozen=True)
class Instrument:
    """Whether the run has shown that it can see: its control arms, and those that failed it.

    What this machine cannot have (not-verified) is no control arm of the run.
    """

    controls: int
    reproduced: int
    failed: Sequence[str]

    @property
    def sound(self) -> bool:
        return self.controls > 0 and self.reproduced == self.controls


@dataclass(frozen=True)
class Decision:
    """The decision on a pattern. parts: each sidecar, mode and version. bounds: weakest first."""

    pattern: str
    word: Word
    rest: Word
    parts: Sequence[Part]
    instrument: Instrument
    bounds: Sequence[Bound]


def under_test(entries: Sequence[Json]) -> str:
    """The pattern that a run is about: native, or sidecarless where nothing else was run."""
    ran = {one["pattern"] for one in entries}
    return SIDECARLESS if ran == {SIDECARLESS} else "native"


def decide(entries: Sequence[Json], pattern: str = "") -> Decision:
    """The decision on a pattern, from report.json's cells, all turns of them.

    pattern: "" for the one that the run is about.
    """
    pattern = pattern or under_test(entries)
    tested = [one for one in entries if one["pattern"] == pattern and not _is_control_mode(one)]
    controls = [one for one in entries if is_control(one, pattern)]
    places = dict.fromkeys((one["sidecar"], one["mode"], one["k8s"]) for one in tested)
    parts = [
        _part(
            place,
            [one for one in tested if (one["sidecar"], one["mode"], one["k8s"]) == place],
            [one for one in controls if _stands_for(one, place)],
        )
        for place in sorted(places, key=lambda one: (*one[:2], version_order(one[2])))
    ]
    bounds = sorted(_bounds(tested), key=lambda one: -one.rate)
    return Decision(
        pattern,
        worst(part.word for part in parts),
        worst(part.rest for part in parts),
        parts,
        _instrument(controls),
        bounds,
    )


def worst(words: Iterable[Word]) -> Word:
    """What parts add up to: as the worst of them; not proven when there is none."""
    return min(words, key=WORST_FIRST.index, default=NOT_PROVEN)


def identifier(entry: Json) -> str:
    """A verdict's id in all reports: the cell's, a point, the behaviour's."""
    turn = f"-t{entry['turn']}" if entry.get("turn", 1) > 1 else ""
    return "-".join(entry[name] for name in _CELL) + f"{turn}.{entry['behaviour']}"


def attempts_needed(rate: float) -> int:
    """How many attempts without a break show that no more than this share breaks (MISS)."""
    return math.ceil(math.log(MISS) / math.log(1 - rate))


def rate_bound(attempts: int) -> float:
    """The share of breaks that so many attempts without any leave possible (MISS)."""
    return float(1 - MISS ** (1 / attempts)) if attempts else 1.0


def _is_control_mode(entry: Json) -> bool:
    """Whether the cell breaks promises by design, to prove that the judges can see."""
    return entry["mode"] in known(entry["sidecar"]).controls


def is_control(entry: Json, pattern: str = "native") -> bool:
    """A verdict that the run needs to see broken; of the pattern itself only in control modes: what
    it breaks else is no proof that is owed, and its absence is no blindness of another verdict."""
    own = entry["pattern"] == pattern and not _is_control_mode(entry)
    return bool(entry["expected"] == "broken") and not own


def _stands_for(control: Json, place: tuple[str, str, str]) -> bool:
    sidecar, mode, k8s = place
    where = control["sidecar"] == sidecar and control["k8s"] == k8s
    return where and (control["mode"] == mode or _is_control_mode(control))


def _part(place: tuple[str, str, str], tested: Sequence[Json], controls: Sequence[Json]) -> Part:
    sidecar, mode, k8s = place
    broken = sorted(_broken(tested), key=_hurts)
    gaps = list(_gaps(tested, controls))
    return Part(
        sidecar,
        mode,
        k8s,
        NOT_SAFE if broken else NOT_PROVEN if gaps else SAFE,
        NOT_SAFE if any(not one.known for one in broken) else NOT_PROVEN if gaps else SAFE,
        broken,
        gaps,
    )


def _turns(entries: Iterable[Json]) -> Iterable[Sequence[Json]]:
    """The entries of one behaviour in one cell, all turns together."""
    found: dict[tuple[str, ...], list[Json]] = {}
    for one in entries:
        found.setdefault((*(one[name] for name in _CELL), one["behaviour"]), []).append(one)
    return found.values()


def _broken(tested: Sequence[Json]) -> Iterable[Broken]:
    for turns in _turns(tested):
        seen = [one for one in turns if one["observed"] == "broken"]
        if seen:
            # The turn that was not expected tells more than those that were.
            told = next((one for one in seen if one["verdict"] not in _EXPECTED), seen[0])
            yield Broken(
                identifier(told),
                told["behaviour"],
                told["scenario"],
                told["hazard"],
                all(one["verdict"] in _EXPECTED for one in seen),
                all(one["hazard"] in one.get("known_hazards", ()) for one in seen),
                (len(seen), len(turns)),
                told["reason"],
            )


def _hurts(one: Broken) -> tuple[bool, int, int]:
    """What was not known comes first, then what is exposed, then what is lost."""
    kinds = (one.hazard.startswith(_EXPOSED), one.hazard.startswith(_LOST), True)
    order = list(behaviours())
    place = order.index(one.behaviour) if one.behaviour in order else len(order)
    return one.known, kinds.index(True), place


def _gaps(tested: Sequence[Json], controls: Sequence[Json]) -> Iterable[Gap]:
    for turns in _turns(tested):
        yield from _open(turns)
    if not controls:
        why = "No control arm ran: nothing shows that this run would have seen a broken promise."
        yield Gap("no control", "", "", "", f"{why} Leave PATTERN and BEHAVIOUR out.")
    held = {(one["behaviour"], one["scenario"]) for one in tested if one["observed"] == "holds"}
    for turns in _turns(controls):
        blind = next((one for one in turns if one["verdict"] != "reproduced"), None)
        if blind and (blind["behaviour"], blind["scenario"]) in held:
            arm = f"The control arm ({blind['pattern']}, {blind['mode']}) did not show its hazard"
            yield _gap("blind control", blind, f"{arm}: {blind['reason']}")
    for bound in _bounds(tested, WEAK):
        if bound.rate > WEAK:
            why = (
                f"Only {bound.attempts} attempts: breaks in {bound.rate:.0%} of them are possible."
            )
            yield Gap("weak bound", bound.id, bound.behaviour, bound.scenario, why, bound.repeat)


def _open(turns: Sequence[Json]) -> Iterable[Gap]:
    """What one behaviour in one cell leaves open: the worst that any of its turns does."""
    kinds: Mapping[str, GapKind] = {
        "inconclusive": "inconclusive",
        "not-verified": "not verified",
        "not-reproduced": "blind control",  # of the pattern itself: the table or the judge is wrong
    }
    for verdict, kind in kinds.items():
        found = [one for one in turns if one["verdict"] == verdict]
        if found:
            yield _gap(kind, found[0], found[0]["reason"])
            return


def _gap(kind: GapKind, entry: Json, reason: str) -> Gap:
    return Gap(kind, identifier(entry), entry["behaviour"], entry["scenario"], reason)


def _bounds(tested: Sequence[Json], aim: float = MEANT) -> Iterable[Bound]:
    """Of each promise that held and that is counted in attempts. repeat brings it to ``aim``."""
    for turns in _turns(tested):
        if any(one["observed"] != "holds" for one in turns):
            continue
        stated = [_stated(one["measured"]) for one in turns]
        if None in stated:
            continue
        attempts = sum(one for one in stated if one)
        repeat = math.ceil(attempts_needed(aim) * len(turns) / attempts) if attempts else 0
        rate = rate_bound(attempts)
        first = turns[0]
        yield Bound(
            identifier(first), first["behaviour"], first["scenario"], attempts, rate, repeat
        )


def _stated(measured: Mapping[str, Any]) -> int | None:
    """How many attempts a judge counted, in the window that has the fewest; None: it counts none.

    A judge of several windows states a bound for each ("crash_rate_bound_95"); a window in which
    nothing could be tried has none, and only where it is the whole verdict does that say anything.
    """
    bounds = [float(value) for name, value in measured.items() if name.endswith(_BOUND) and value]
    if bounds:
        return round(3 / max(bounds))
    return 0 if _BOUND in measured else None


def _instrument(controls: Sequence[Json]) -> Instrument:
    tried = [one for one in controls if one["verdict"] != "not-verified"]
    failed = [identifier(one) for one in tried if one["verdict"] != "reproduced"]
    return Instrument(len(tried), len(tried) - len(failed), failed)

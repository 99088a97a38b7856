"""How large things were in two runs: losses, gaps, windows, times, costs; and what differs.

A judge's measured values are compared value by value, all turns of each run together. A difference
counts when it is larger than the threshold and larger than chance: shares by Newcombe's interval,
times and amounts by the Mann-Whitney test where both runs have turns enough for it. With fewer
turns nothing is known of the spread: then the threshold is asked for twice over (its square), and
the difference is said to be untested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from conformance.report.compare import spread

Json = Mapping[str, Any]
THRESHOLD = 2.0  # times as long, or as much
SHARE = 0.05  # of attempts, that more or fewer are lost
LIKELY = 1 - spread.CONFIDENCE
Kind = Literal["share", "time", "amount"]
Way = Literal["worse", "better", "other"]

# What is counted, and of what; both may have a prefix ("crash_leaked_requests").
_SHARES = (
    ("leaked_requests", "requests_tried"),
    ("answered", "dials"),
    ("lost", "requests"),
    ("lost", "in_flight"),
    ("lost", "written"),
    ("messages_lost", "messages"),
    ("connections_ended", "connections"),
    ("connections_dropped", "connections"),
    ("late_lost", "late_requests"),
    ("late_leaked", "late_requests"),
    ("datagrams_in_clear", "datagrams_tried"),
)
# Units, each with what is too little to matter (it is added to neither side, but is the least that
# a value counts as): a quarter of a second on a busy node, 32 MiB.
_UNITS: Mapping[str, tuple[Kind, str, float]] = {
    "_seconds": ("time", "s", 0.25),
    "_ms": ("time", "ms", 250.0),
    "_mib": ("amount", "MiB", 32.0),
    "_bytes": ("amount", "bytes", 65536.0),
}
# Settings of a run, or how long somebody looked: no size of what was seen.
_NO_SIZE = re.compile(
    r"(bound|grace|period|watched|outage|held|limit)_|_watched$|tls_bytes|payload"
)
# Of these less is better; of gaps, windows and leads neither is. When a schedule ticks next is
# chance, and a sidecar that goes early may be a worse one.
_COSTS = re.compile(
    r"complete|(?<!sidecar_)gone|last_exit|to_app_|sidecar_start|away_|ready_after|pod_after|"
    r"restarted_after|in_use_again|back_after|took_|delay|memory|cpu|leaked_bytes|ended_after"
)


@dataclass(frozen=True)
class Size:
    """A difference that counts. name: of the value; before, after: as they are to be shown.

    way: worse, better, or neither. how: the test and what it gave; tested: False without one.
    """

    name: str
    kind: Kind
    before: str
    after: str
    way: Way
    how: str
    tested: bool


def differences(
    before: Sequence[Json],
    after: Sequence[Json],
    threshold: float = THRESHOLD,
    share: float = SHARE,
) -> Iterator[Size]:
    """What differs between the turns of one run and those of another. before, after: their measured
    values, turn by turn. Raises ValueError for a threshold that lets everything pass."""
    if not (threshold > 1 and share > 0):  # not a number is neither
        raise ValueError("a threshold is a factor above 1, and a share is above 0")
    one, two = ([dict(_flat(turn)) for turn in turns] for turns in (before, after))
    used: set[str] = set()
    for part, whole in _shared(one, two):
        used |= {part, whole}
        found = _share(part, whole, one, two, share)
        if found:
            yield found
    for name in dict.fromkeys(name for turn in (*one, *two) for name in turn):
        if name not in used and not _NO_SIZE.search(name):
            found = _amount(name, one, two, threshold)
            if found:
                yield found


def attempts(turns: Sequence[Json]) -> int:
    """How many attempts a verdict watched, in all turns; 0 where it does not count them."""
    stated = [turn.get("rate_bound_95") for turn in turns]
    return sum(round(3 / bound) for bound in stated if bound)


def _flat(measured: Json) -> Iterator[tuple[str, float]]:
    for name, value in measured.items():
        if isinstance(value, Mapping):
            for inner, number in value.items():
                if _is_number(number):
                    yield f"{name}.{inner}", float(number)
        elif _is_number(value):
            yield name, float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shared(one: Sequence[Json], two: Sequence[Json]) -> Iterator[tuple[str, str]]:
    names = {name for turn in (*one, *two) for name in turn}
    for name in sorted(names):
        for part, whole in _SHARES:
            if re.search(rf"(^|[._]){part}$", name):
                total = name.removesuffix(part) + whole
                if total in names:
                    yield name, total


def _share(
    part: str, whole: str, one: Sequence[Json], two: Sequence[Json], least: float
) -> Size | None:
    (count1, total1), (count2, total2) = was, now = (
        _counted(part, whole, one),
        _counted(part, whole, two),
    )
    if not total1 or not total2:
        return None
    low, high = spread.newcombe(was, now)
    change = count2 / total2 - count1 / total1
    if low <= 0 <= high or abs(change) < least:
        return None
    return Size(
        f"{part} of {whole}", "share",
        f"{count1} of {total1} ({count1 / total1:.1%})",
        f"{count2} of {total2} ({count2 / total2:.1%})",
        "worse" if change > 0 else "better",
        f"Newcombe's 95 % interval of the difference: {low:+.1%} to {high:+.1%}", True,
    )  # fmt: skip


def _counted(part: str, whole: str, turns: Sequence[Json]) -> tuple[int, int]:
    known = [turn for turn in turns if part in turn and whole in turn]
    total = int(sum(turn[whole] for turn in known))
    return min(int(sum(turn[part] for turn in known)), total), total


def _amount(name: str, one: Sequence[Json], two: Sequence[Json], threshold: float) -> Size | None:
    unit = next((told for suffix, told in _UNITS.items() if _ends(name, suffix)), None)
    was, now = ([turn[name] for turn in turns if name in turn] for turns in (one, two))
    if unit is None or not was or not now:
        return None
    kind, sign, floor = unit
    before, after = median(was), median(now)
    tested = min(len(was), len(now)) >= spread.ENOUGH
    if _factor(before, after, floor) < (threshold if tested else threshold**2):
        return None
    how = f"untested, {len(was)} and {len(now)} turns; REPEAT={spread.ENOUGH} in both would tell"
    if tested:
        likely = spread.mann_whitney(was, now)
        if likely >= LIKELY:
            return None
        how = f"Mann-Whitney p = {likely:.3f}, {len(was)} and {len(now)} turns"
    way: Way = "other"
    if _COSTS.search(name):
        way = "worse" if after > before else "better"
    return Size(name, kind, f"{before:g} {sign}", f"{after:g} {sign}", way, how, tested)


def _ends(name: str, suffix: str) -> bool:
    return name.endswith(suffix) or f"{suffix}_" in name


def _factor(before: float, after: float, floor: float) -> float:
    """How many times the larger is the smaller; what has changed its sign is that far apart."""
    small, large = sorted((abs(before), abs(after)))
    if before * after < 0:
        small, large = 0.0, small + large
    return max(large, floor) / max(small, floor)

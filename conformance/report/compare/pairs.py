"""Two runs side by side, from their reports alone: what a mesh, a cluster or a setting lost or won.

The instrument comes first: a control arm that showed its hazard before and does not now says that
the second run was blind, and what it has won beside that is not won. Verdicts are compared by what
was observed, and not by what was expected: a promise that held before and does not now is lost,
whatever the table says of either version. Then come sizes (sizes.py). What is unchanged is counted,
and not told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from conformance.errors import UsageProblem
from conformance.plan.catalogue import behaviours
from conformance.report import pack
from conformance.report.compare import sizes
from conformance.report.compare.sizes import Size
from conformance.report.decision import summary
from conformance.report.decision.decide import is_control
from conformance.report.document import SCHEMA
from conformance.report.page import groups

Json = dict[str, Any]
Change = Literal[
    "control lost", "coverage lost", "lost", "other hazard", "undecided", "gone", "won", "new",
    "measured", "same", "open",
]  # fmt: skip

# What each change means to someone who verifies an upgrade: the instrument, then worst first.
MEANING: Mapping[Change, str] = {
    "control lost": "a control arm showed its hazard before, and does not now: the run was blind",
    "coverage lost": "held in both runs, but in less than half as many attempts",
    "lost": "held before, and is broken now",
    "other hazard": "broken before and now, in another way",
    "undecided": "was decided before, and is not now",
    "gone": "was judged before, and is not part of the second run",
    "won": "was broken before, and holds now",
    "new": "not judged, or not decided, before",
    "measured": "recorded in both runs, neither right nor wrong",
    "same": "as before",
    "open": "decided in neither run",
}
EXIT: Mapping[int, str] = {
    0: "nothing is lost",
    1: "a promise is lost, breaks in another way, or something got worse",
    4: "the runs have nothing decided in common",
    5: "nothing is lost, but a control arm, coverage, or a decision is: control lost",
}
_UNDECIDED = ("inconclusive", "not-verified")
_PLAYED = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")
# What may be what was changed between the runs, each where both runs have one of it alone.
_CHANGED = ("k8s", "sidecar", "pattern", "mode")
_FEWER = 0.5  # of the attempts of before: less has seen less
_COUNTED = 10  # attempts before which a count is too small to halve by more than chance


@dataclass(frozen=True)
class Pair:
    """One behaviour in one kind of cell, before and after; None where a run did not judge it.

    name: sidecar, pattern, mode and behaviour; the Kubernetes version too where it is the same.
    sizes: what is larger or smaller now. note: why a change is not what it looks like.
    """

    name: str
    change: Change
    before: Json | None
    after: Json | None
    sizes: Sequence[Size] = ()
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """pairs: in the catalogue's order. versions: what the two runs ran on, where that differs.

    across: what was changed between the runs, and is therefore not compared ("k8s", "pattern").
    """

    pairs: Sequence[Pair]
    versions: Sequence[tuple[str, str, str]]
    across: Sequence[str] = ()

    def of(self, change: Change) -> Sequence[Pair]:
        """The pairs with this change."""
        return [pair for pair in self.pairs if pair.change == change]

    @property
    def sized(self) -> Sequence[Pair]:
        """The pairs of which something is larger or smaller."""
        return [pair for pair in self.pairs if pair.sizes]

    @property
    def worse(self) -> Sequence[tuple[Pair, Size]]:
        """What got worse in size."""
        return [(pair, one) for pair in self.pairs for one in pair.sizes if one.way == "worse"]

    @property
    def exit_code(self) -> int:
        """1: a promise was lost, or breaks in another way; no blindness takes that back. Else 5:
        a control arm, coverage or a decision was lost, and sizes mean nothing then. Else 1:
        something got worse. 4: the runs have nothing decided in common. Else 0."""
        if self.of("lost") or self.of("other hazard"):
            return 1
        if any(self.of(one) for one in ("control lost", "coverage lost", "undecided", "gone")):
            return 5
        if self.worse:
            return 1
        return 0 if self.of("same") or self.of("won") else 4


def read(run: Path) -> Json:
    """The report of a run: its folder, its report.json, or its pack. Raises UsageProblem."""
    if pack.is_pack(run):
        return _checked(run, pack.read(run, "report.json"))
    file = run / "report.json" if run.is_dir() else run
    try:
        return _checked(file, file.read_bytes())
    except OSError as error:
        raise UsageProblem(
            f"{file} is no report of a run ({type(error).__name__}); name a run's folder, such as "
            "results/latest."
        ) from error


def _checked(file: Path, content: bytes) -> Json:
    try:
        report: Json = json.loads(content)
        schema = report["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageProblem(
            f"{file} is no report of a run ({type(error).__name__}); name a run's folder, such as "
            "results/latest."
        ) from error
    if schema != SCHEMA:
        raise UsageProblem(
            f"{file} has schema {schema}, and this suite reads {SCHEMA}; judge the run again with "
            "this suite (sidecar-conformance judge), or compare with the suite that made it."
        )
    return report


def compare(
    before: Json, after: Json, threshold: float = sizes.THRESHOLD, share: float = sizes.SHARE
) -> Comparison:
    """What changed from one report to the other.

    Where each run has one Kubernetes version (or sidecar, pattern, mode) and they differ, cells are
    matched without it: that is what was changed.
    """
    across = [name for name in _CHANGED if _differs(before, after, name)]
    names = [name for name in _PLAYED if name not in across]
    first, second = _by_name(before, names), _by_name(after, names)
    order = {id_: place for place, id_ in enumerate(behaviours())}
    keys = sorted(first | second, key=lambda key: (order.get(key[-1], len(order)), key))
    pairs = [
        _pair(key, first.get(key, []), second.get(key, []), across, threshold, share)
        for key in keys
    ]
    return Comparison(_credited(pairs), list(_versions(before, after)), across)


def _differs(before: Json, after: Json, name: str) -> bool:
    one, two = ({entry[name] for entry in report["cells"]} for report in (before, after))
    return len(one) == len(two) == 1 and one != two


def _by_name(report: Json, names: Sequence[str]) -> dict[tuple[str, ...], list[Json]]:
    found: dict[tuple[str, ...], list[Json]] = {}
    for entry in report["cells"]:
        found.setdefault(tuple(entry[name] for name in names), []).append(entry)
    return found


def _pair(
    key: tuple[str, ...],
    first: Sequence[Json],
    second: Sequence[Json],
    across: Sequence[str],
    threshold: float,
    share: float,
) -> Pair:
    was, now = _settled(first), _settled(second)
    found: Sequence[Size] = ()
    if was and now and _decided(was) and _decided(now):
        before, after = ([one["measured"] for one in turns] for turns in (first, second))
        found = list(sizes.differences(before, after, threshold, share))
    name = " · ".join(key)
    return Pair(name, _change(was, now, first, second, across), was, now, found)


def _settled(turns: Sequence[Json]) -> Json | None:
    return groups.settled(turns)[0] if turns else None


def _change(
    was: Json | None,
    now: Json | None,
    first: Sequence[Json],
    second: Sequence[Json],
    across: Sequence[str],
) -> Change:
    if was and _lost_control(was, now, across):
        return "control lost"
    change = _observed(was, now)
    before, after = (
        sizes.attempts([one["measured"] for one in turns]) for turns in (first, second)
    )
    fewer = "pattern" not in across and before >= _COUNTED and after < before * _FEWER
    if change == "same" and now and now["observed"] == "holds" and fewer:
        return "coverage lost"
    return change


def _lost_control(was: Json, now: Json | None, across: Sequence[str]) -> bool:
    """A control arm that was reproduced, and is not. One that holds as expected has been won: the
    table knows of it. Across patterns a control arm has no counterpart."""
    if "pattern" in across or was["verdict"] != "reproduced" or not is_control(was):
        return False
    return now is None or now["verdict"] in ("not-reproduced", "inconclusive", "not-verified")


def _observed(before: Json | None, after: Json | None) -> Change:
    was_decided = before is not None and _decided(before)
    if not was_decided:
        return "new" if after is not None and _decided(after) else "open"
    assert before is not None
    if after is None:
        return "gone"
    if not _decided(after):
        return "undecided"
    was, now = before["observed"], after["observed"]
    if was == now == "measured":
        return "measured"
    if now == "broken" and was != "broken":
        return "lost"
    if was == "broken" and now != "broken":
        return "won"
    if was == now == "broken" and _hazards(before).isdisjoint(_hazards(after)):
        return "other hazard"
    return "same"


def _credited(pairs: Sequence[Pair]) -> list[Pair]:
    """Nothing is won beside a control arm that was lost: its judge may have seen nothing at all."""
    blind = {
        _judged(pair.before) for pair in pairs if pair.change == "control lost" and pair.before
    }
    return [
        replace(pair, change="undecided", note="not won: its control arm is lost")
        if pair.change == "won" and pair.after and _judged(pair.after) in blind
        else pair
        for pair in pairs
    ]


def _judged(entry: Json) -> tuple[str, ...]:
    return tuple(entry[name] for name in ("sidecar", "scenario", "behaviour"))


def _decided(entry: Json) -> bool:
    return entry["observed"] not in _UNDECIDED


def _hazards(entry: Json) -> set[str]:
    """Of hazards that are expected beside each other it is chance which is seen first."""
    seen = {entry["hazard"]}
    return seen | {*entry["expected_hazards"]} if entry["verdict"] == "reproduced" else seen


def _versions(before: Json, after: Json) -> Iterator[tuple[str, str, str]]:
    one, two = _told(before), _told(after)
    for what in dict.fromkeys((*one, *two)):
        if one.get(what) != two.get(what):
            yield what, one.get(what, "-"), two.get(what, "-")


def _told(report: Json) -> dict[str, str]:
    """What a run ran on, by what it is called: clusters, and the sidecars on them."""
    told: dict[str, str] = {}
    for what in ("pattern", "mode", "sidecar"):
        told[f"{what}s"] = ", ".join(sorted({entry[what] for entry in report["cells"]}))
    for k8s, cluster in report["run"]["clusters"].items():
        versions = cluster.get("versions")
        if versions is None:
            told[f"Kubernetes {k8s}"] = cluster["state"]
            continue
        told[f"Kubernetes {k8s}"] = summary.versions(versions)
        for sidecar, parts in (versions.get("sidecars") or {}).items():
            told[f"{sidecar} on {k8s}"] = ", ".join(f"{k} {v}" for k, v in parts.items() if v)
    return told

"""Two runs side by side, from their reports alone: what a mesh, a cluster or a setting lost or won.

Verdicts are compared by what was observed, and not by what was expected: a promise that held before
and does not now is lost, whatever the table says of either version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conformance.errors import UsageProblem
from conformance.plan.catalogue import behaviours
from conformance.report import groups, summary
from conformance.report.document import SCHEMA

Json = dict[str, Any]
Change = Literal[
    "lost", "other hazard", "undecided", "gone", "won", "new", "measured", "same", "open"
]

# What each change means to someone who verifies an upgrade, worst first.
MEANING: Mapping[Change, str] = {
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
_UNDECIDED = ("inconclusive", "not-verified")
_PLAYED = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")


@dataclass(frozen=True)
class Pair:
    """One behaviour in one kind of cell, before and after; None where a run did not judge it.

    name: sidecar, pattern, mode and behaviour; the Kubernetes version too where it is the same.
    """

    name: str
    change: Change
    before: Json | None
    after: Json | None


@dataclass(frozen=True)
class Comparison:
    """pairs: in the catalogue's order. versions: what the two runs ran on, where that differs."""

    pairs: Sequence[Pair]
    versions: Sequence[tuple[str, str, str]]

    def of(self, change: Change) -> Sequence[Pair]:
        """The pairs with this change."""
        return [pair for pair in self.pairs if pair.change == change]

    @property
    def exit_code(self) -> int:
        """1 when something was lost or breaks in another way, 5 when something that was decided is
        not any more, 4 when the runs have nothing decided in common, else 0."""
        if self.of("lost") or self.of("other hazard"):
            return 1
        if self.of("undecided") or self.of("gone"):
            return 5
        return 0 if self.of("same") or self.of("won") else 4


def read(run: Path) -> Json:
    """The report of a run: its folder, or its report.json. Raises UsageProblem."""
    file = run / "report.json" if run.is_dir() else run
    try:
        report: Json = json.loads(file.read_text())
        schema = report["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
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


def compare(before: Json, after: Json) -> Comparison:
    """What changed from one report to the other.

    Where each run has one Kubernetes version and they differ, cells are matched without it: the
    cluster is what was upgraded.
    """
    one, two = (groups.versions(report["cells"]) for report in (before, after))
    upgraded = len(one) == len(two) == 1 and one != two
    first, second = _by_name(before, upgraded), _by_name(after, upgraded)
    order = {id_: place for place, id_ in enumerate(behaviours())}
    keys = sorted(first | second, key=lambda key: (order.get(key[-1], len(order)), key))
    pairs = [
        Pair(" · ".join(key), _change(was := first.get(key), now := second.get(key)), was, now)
        for key in keys
    ]
    return Comparison(pairs, list(_versions(before, after)))


def _by_name(report: Json, upgraded: bool) -> dict[tuple[str, ...], Json]:
    names = [name for name in _PLAYED if not (upgraded and name == "k8s")]
    return {
        tuple(entry[name] for name in names): entry for entry in groups.settled(report["cells"])
    }


def _change(before: Json | None, after: Json | None) -> Change:
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
    for k8s, cluster in report["run"]["clusters"].items():
        versions = cluster.get("versions")
        if versions is None:
            told[f"Kubernetes {k8s}"] = cluster["state"]
            continue
        told[f"Kubernetes {k8s}"] = summary.versions(versions)
        for sidecar, parts in (versions.get("sidecars") or {}).items():
            told[f"{sidecar} on {k8s}"] = ", ".join(f"{k} {v}" for k, v in parts.items() if v)
    return told

"""A report's entries (report.json, cells) as people read them: by place, and across versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from conformance.plan.catalogue import Behaviour, behaviours
from conformance.plan.selection import PATTERNS, version_order
from conformance.report.decision import summary

Json = dict[str, Any]
_PLAYED = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")
_WORST_FIRST = (*summary.BAD, "not-verified", "measured", "reproduced", "pass")


@dataclass(frozen=True)
class Place:
    """The verdicts of one Kubernetes version, sidecar and mode: behaviours by patterns.

    rows: a behaviour in a scenario, its name, and its entry in each of the patterns (None where it
    was not judged).
    """

    k8s: str
    sidecar: str
    mode: str
    patterns: Sequence[str]
    rows: Sequence[tuple[Behaviour, str, Sequence[Json | None]]]

    @property
    def title(self) -> str:
        return f"Kubernetes {self.k8s} · {self.sidecar} · {self.mode}"

    @property
    def bad(self) -> bool:
        """Whether a verdict of it is no success."""
        return any(
            entry["verdict"] in summary.BAD for *_, row in self.rows for entry in row if entry
        )


@dataclass(frozen=True)
class Line:
    """One behaviour in one scenario and pattern, across Kubernetes versions.

    modes: those of the sidecar that came out alike in every version; () when that is all of them.
    entries: version → the verdict (that of the first such mode), in the order of versions.
    """

    behaviour: Behaviour
    scenario: str
    pattern: str
    sidecar: str
    modes: Sequence[str]
    entries: Mapping[str, Json]

    @property
    def name(self) -> str:
        return named(self.behaviour, self.scenario)

    @property
    def who(self) -> str:
        """The sidecar, with its modes where they did not all come out alike."""
        return " ".join((self.sidecar, ", ".join(self.modes))).strip()

    @property
    def differs(self) -> bool:
        """Whether versions differ in what was observed, where anything was."""
        seen = [one for one in self.entries.values() if one["observed"] != "not-verified"]
        return len({observed(entry) for entry in seen}) > 1


def observed(entry: Json) -> tuple[str, str]:
    """What a verdict stands on: observed, and the hazard. Numbers always differ a little, and of
    hazards that are expected beside each other it is chance which comes first."""
    return entry["observed"], "" if entry["verdict"] == "reproduced" else entry["hazard"]


def named(behaviour: Behaviour, scenario: str) -> str:
    """A behaviour's id, with the scenario where that is not the first that it is judged in."""
    usual = scenario == behaviour.scenarios[0]
    return behaviour.id if usual else f"{behaviour.id} ({scenario})"


def settled(entries: Sequence[Json]) -> list[Json]:
    """One entry for all turns of a cell: the worst of them, which says how many came out alike."""
    turns: dict[tuple[str, ...], list[Json]] = {}
    for entry in entries:
        turns.setdefault(tuple(entry[name] for name in _PLAYED), []).append(entry)
    return [_worst(group) if len(group) > 1 else group[0] for group in turns.values()]


def unstable(entries: Sequence[Json]) -> list[Json]:
    """Those of ``settled`` whose turns did not all have the same verdict."""
    return [entry for entry in settled(entries) if len(entry.get("turns", ())) > 1]


def _worst(group: Sequence[Json]) -> Json:
    turns = Counter(entry["verdict"] for entry in group)
    worst = min(group, key=lambda entry: _WORST_FIRST.index(entry["verdict"]))
    reason = f"{turns[worst['verdict']]} of {len(group)} turns: {worst['reason']}"
    return {**worst, "turns": dict(turns), "reason": reason}


def versions(entries: Sequence[Json]) -> list[str]:
    """The Kubernetes versions of a report, oldest first."""
    return sorted({entry["k8s"] for entry in entries}, key=version_order)


def places(entries: Sequence[Json]) -> Iterator[Place]:
    """A table for each version, sidecar and mode, oldest version first; catalogue order within.

    entries: one for each cell and behaviour (see ``settled``).
    """

    def place(entry: Json) -> tuple[Any, ...]:
        return version_order(entry["k8s"]), entry["k8s"], entry["sidecar"], entry["mode"]

    for (_, k8s, sidecar, mode), group in groupby(sorted(entries, key=place), key=place):
        by_place = {(*_judged(entry), entry["pattern"]): entry for entry in group}
        patterns = [one for one in PATTERNS if any(pattern == one for *_, pattern in by_place)]
        rows = [
            (
                behaviour,
                named(behaviour, scenario),
                [by_place.get((behaviour.id, scenario, pattern)) for pattern in patterns],
            )
            for behaviour in behaviours().values()
            for scenario in behaviour.scenarios
            if any(judged == [behaviour.id, scenario] for *judged, _ in by_place)
        ]
        yield Place(k8s, sidecar, mode, patterns, rows)


def lines(entries: Sequence[Json]) -> Iterator[Line]:
    """Every behaviour in every pattern across versions, in the catalogue's order.

    Modes of a sidecar that came out alike in every version share a line. entries: as in ``places``.
    """
    courses: dict[tuple[str, str, str], dict[str, dict[str, dict[str, Json]]]] = {}
    for entry in sorted(entries, key=lambda entry: version_order(entry["k8s"])):
        modes = courses.setdefault((*_judged(entry), entry["pattern"]), {}).setdefault(
            entry["sidecar"], {}
        )
        modes.setdefault(entry["mode"], {})[entry["k8s"]] = entry
    for behaviour in behaviours().values():
        for scenario in behaviour.scenarios:
            for pattern in reversed(PATTERNS):
                for sidecar, modes in courses.get((behaviour.id, scenario, pattern), {}).items():
                    for names, course in _merged(modes):
                        yield Line(behaviour, scenario, pattern, sidecar, names, course)


def _judged(entry: Json) -> tuple[str, str]:
    return entry["behaviour"], entry["scenario"]


def _merged(
    modes: Mapping[str, Mapping[str, Json]],
) -> Iterator[tuple[Sequence[str], Mapping[str, Json]]]:
    """The modes that came out alike (() for all of them), and the course of the first."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for mode, course in modes.items():
        one_hazard = len({entry["hazard"] for entry in course.values()} - {""}) < 2
        seen = tuple(
            (k8s, entry["verdict"], "" if one_hazard else entry["hazard"])
            for k8s, entry in course.items()
        )
        alike.setdefault(seen, []).append(mode)
    for names in alike.values():
        yield names if len(alike) > 1 else (), modes[names[0]]

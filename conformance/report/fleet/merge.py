"""Merges reports one at a time: no more than one of them is ever in memory.

Verdicts are counted by what was played, counts that say how much was watched are added, and of
sizes a sample is kept. A run that is given twice counts once: its id says so.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.errors import UsageProblem
from conformance.plan.catalogue import behaviours
from conformance.plan.selection import version_order
from conformance.report import pack
from conformance.report.compare import pairs, sizes
from conformance.report.decision import summary

Json = Mapping[str, Any]
Key = tuple[str, str, str, str, str, str]
_PLAYED = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")
REPORT = "report.json"
_NAMED = 10  # reports that are named for what is bad; all of them are counted
_SAMPLE = 200  # values of a size that are kept: its 95th percentile is then known to some 3 percent


@dataclass
class Sizes:
    """The values of one size: all are counted, and a sample of them is kept (algorithm R, J. S.
    Vitter, Random sampling with a reservoir, ACM TOMS 11, 1985)."""

    least: float = float("inf")
    most: float = float("-inf")
    count: int = 0
    sample: list[float] = field(default_factory=list)

    def add(self, value: float, chance: random.Random) -> None:
        """Count a value."""
        self.least, self.most = min(self.least, value), max(self.most, value)
        self.count += 1
        if len(self.sample) < _SAMPLE:
            self.sample.append(value)
        elif (place := chance.randrange(self.count)) < _SAMPLE:
            self.sample[place] = value

    def quantile(self, share: float) -> float:
        """The value below which this share of the sample lies."""
        ordered = sorted(self.sample)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


@dataclass
class Row:
    """One behaviour in one kind of cell, in all reports.

    attempts: how many were watched where the promise held. where: the first reports with each bad
    outcome, with their reasons. pools: outcomes by node pool.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    hazards: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    where: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    pools: dict[str, Counter[str]] = field(default_factory=dict)
    sizes: dict[str, Sizes] = field(default_factory=dict)

    @property
    def mixed(self) -> bool:
        """Whether nodes disagree."""
        return sum(self.outcomes[one] > 0 for one in ("pass", "fail")) > 1 or (
            self.outcomes["reproduced"] > 0 and self.outcomes["not-reproduced"] > 0
        )

    @property
    def bound(self) -> float | None:
        """The rate of breaches that would have been missed, at 95 % (3 in n); None where the
        promise did not hold everywhere, or nothing was counted."""
        held = self.outcomes["pass"] and not any(self.outcomes[one] for one in summary.BAD)
        return 3 / self.attempts if held and self.attempts else None


@dataclass
class Fleet:
    """What has been merged. unread: a sentence for each report that could not be."""

    rows: dict[Key, Row] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    pools: Counter[str] = field(default_factory=Counter)
    nodes: dict[str, Counter[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    twice: int = 0
    empty: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def counts(self) -> Mapping[str, int]:
        """Verdicts by outcome, in all reports."""
        return {
            one: sum(row.outcomes[one] for row in self.rows.values()) for one in summary.OUTCOMES
        }

    @property
    def exit_code(self) -> int:
        """As a run's; 5 where nothing is broken and a report could not be read, or has no verdict:
        what it would have said is not known."""
        code = summary.exit_code(self.counts)
        return 5 if code in (0, 4) and (self.unread or (self.empty and self.runs)) else code

    def ordered(self) -> Iterator[tuple[Key, Row]]:
        """The rows in the catalogue's order."""
        order = {id_: place for place, id_ in enumerate(behaviours())}
        keys = sorted(self.rows, key=lambda key: (order.get(key[-1], len(order)), *key[:-1]))
        keys.sort(key=lambda key: version_order(key[0]))
        return ((key, self.rows[key]) for key in keys)

    def add(self, name: str, pool: str, report: Json) -> None:
        """Merge one report. Raises KeyError, TypeError or AttributeError for a damaged one, and
        has then merged nothing of it."""
        run = str(report["run"]["id"])
        cells = [(_key(entry), entry, _measured(entry)) for entry in report["cells"]]
        versions = list(_versions(report))
        if run in self.runs:
            self.twice += 1
            return
        self.runs.add(run)
        self.pools[pool] += 1
        if not cells:
            self.empty.append(name)
        for what, told in versions:
            self.nodes.setdefault(what, Counter())[told] += 1
        for key, entry, measured in cells:
            self._entry(name, pool, self.rows.setdefault(key, Row()), entry, measured)

    def _entry(self, name: str, pool: str, row: Row, entry: Json, measured: Json) -> None:
        verdict = entry["verdict"]
        row.outcomes[verdict] += 1
        row.pools.setdefault(pool, Counter())[verdict] += 1
        if entry["hazard"]:
            row.hazards[entry["hazard"]] += 1
        if verdict == "pass":
            row.attempts += sizes.attempts([entry["measured"]])
        if verdict in summary.BAD:
            named = row.where.setdefault(verdict, [])
            if len(named) < _NAMED:
                named.append((name, entry["reason"]))
        for what, value in measured.items():
            row.sizes.setdefault(what, Sizes()).add(value, self.chance)


def merge(paths: Iterable[Path]) -> Fleet:
    """Merge reports, runs' folders, packs, and folders of any of these."""
    fleet = Fleet()
    for path in paths:
        for file, pool in _reports(path):
            try:
                fleet.add(str(file), pool, pairs.read(file))
            except (KeyError, TypeError, AttributeError) as error:
                fleet.unread.append(f"{file} is damaged ({type(error).__name__}: {error}).")
            except UsageProblem as problem:
                fleet.unread.append(str(problem))
    if not fleet.runs and not fleet.unread:
        raise UsageProblem("There is no report of a run in what is named (report.json, or a pack).")
    return fleet


def _reports(path: Path) -> Iterator[tuple[Path, str]]:
    """Reports below a path, with the pool of each: the first folder below the one that is named."""
    if not path.is_dir() or (path / REPORT).is_file():
        yield path, ""
        return
    for folder, folders, names in os.walk(path):
        if REPORT in names:
            folders[:] = []  # a run's evidence is many files, and no report
            yield Path(folder), _pool(Path(folder).relative_to(path))
            continue
        folders.sort()
        for file in (Path(folder, name) for name in sorted(names)):
            if pack.is_pack(file) or file.suffix == ".json":
                yield file, _pool(file.relative_to(path))


def _pool(inside: Path) -> str:
    """<pool>/<run> names a pool, <run> alone does not."""
    return inside.parts[0] if len(inside.parts) > 1 else ""


def _key(entry: Json) -> Key:
    k8s, sidecar, pattern, mode, scenario, behaviour = (str(entry[name]) for name in _PLAYED)
    return k8s, sidecar, pattern, mode, scenario, behaviour


def _measured(entry: Json) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in entry["measured"].items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _versions(report: Json) -> Iterator[tuple[str, str]]:
    for k8s, cluster in report["run"]["clusters"].items():
        versions = cluster.get("versions")
        told = summary.versions(versions) if versions else str(cluster["state"])
        yield f"Kubernetes {k8s}", told

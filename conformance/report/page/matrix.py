"""All verdicts of a run at a glance: a grid for each sidecar, behaviours by versions.

Pure: report.json's cells in, rows out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.plan.catalogue import behaviours
from conformance.plan.sidecars import REGISTRY, known
from conformance.report.page import groups

Json = Mapping[str, Any]
PATTERNS = ("native", "classic", "sidecarless")


@dataclass(frozen=True)
class Column:
    """A version and pattern; modes: those that were played in it, in the sidecar's order."""

    k8s: str
    pattern: str
    modes: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """The verdicts of one sidecar. rows: name, the promise, and of each column the entries (of
    all turns) of each of its modes that has any."""

    sidecar: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, str, Sequence[Sequence[tuple[str, Sequence[Json]]]]]]

    @property
    def versions(self) -> Sequence[tuple[str, int]]:
        """Each version, with how many columns it has."""
        names = dict.fromkeys(column.k8s for column in self.columns)
        return [(k8s, sum(column.k8s == k8s for column in self.columns)) for k8s in names]


def grids(entries: Sequence[Json]) -> Iterator[Grid]:
    """A grid for each sidecar, in the registry's order; those that it does not know come last."""
    for sidecar in dict.fromkeys([*REGISTRY, *(one["sidecar"] for one in entries)]):
        own = [one for one in entries if one["sidecar"] == sidecar]
        if own:
            yield _grid(sidecar, own)


def _grid(sidecar: str, own: Sequence[Json]) -> Grid:
    order = known(sidecar).modes
    columns = [
        Column(k8s, pattern, [one for one in order if one in modes])
        for k8s in groups.versions(list(map(dict, own)))
        for pattern in PATTERNS
        if (modes := {one["mode"] for one in own if (one["k8s"], one["pattern"]) == (k8s, pattern)})
    ]
    found: dict[tuple[str, ...], list[Json]] = {}
    for one in own:
        key = one["behaviour"], one["scenario"], one["k8s"], one["pattern"], one["mode"]
        found.setdefault(key, []).append(one)
    judged = {key[:2] for key in found}
    rows = [
        (
            groups.named(behaviour, scenario),
            behaviour.promise,
            [
                [
                    (mode, found[key])
                    for mode in column.modes
                    if (key := (behaviour.id, scenario, column.k8s, column.pattern, mode)) in found
                ]
                for column in columns
            ],
        )
        for behaviour in behaviours().values()
        for scenario in behaviour.scenarios
        if (behaviour.id, scenario) in judged
    ]
    return Grid(sidecar, columns, rows)

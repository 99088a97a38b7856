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
Field = Sequence[tuple[str, Sequence[Json]]]
PATTERNS = ("native", "classic", "sidecarless")


@dataclass(frozen=True)
class Column:
    """A version and pattern."""

    k8s: str
    pattern: str


@dataclass(frozen=True)
class Grid:
    """The verdicts of one sidecar. modes: those that were played in any column, in the sidecar's
    order. rows: name, the promise, and of each column the entries (of all turns) of each mode, up
    to the last that has any: a square's place says which mode it is."""

    sidecar: str
    modes: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[tuple[str, str, Sequence[Field]]]

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
    played, places = {one["mode"] for one in own}, {(one["k8s"], one["pattern"]) for one in own}
    modes = [one for one in known(sidecar).modes if one in played]
    columns = [
        Column(k8s, pattern)
        for k8s in groups.versions(list(map(dict, own)))
        for pattern in PATTERNS
        if (k8s, pattern) in places
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
                _without_end(
                    [
                        (mode, found.get((*about, column.k8s, column.pattern, mode), ()))
                        for mode in modes
                    ]
                )
                for column in columns
            ],
        )
        for behaviour in behaviours().values()
        for scenario in behaviour.scenarios
        if (about := (behaviour.id, scenario)) in judged
    ]
    return Grid(sidecar, modes, columns, rows)


def _without_end(field: Field) -> Field:
    """A field up to its last mode that has an entry."""
    last = max((place for place, (_, turns) in enumerate(field) if turns), default=-1)
    return field[: last + 1]

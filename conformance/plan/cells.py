"""Which cells a run observes, and which behaviours are judged from each. Data in, data out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from conformance.errors import UsageProblem
from conformance.model import Cell, Pattern
from conformance.plan.catalogue import Scenario, behaviours, scenarios
from conformance.plan.selection import Selection, known_k8s, runs_on
from conformance.plan.sidecars import REGISTRY, SIDECARLESS, Registration

# The minor whose images are the likeliest to be there, and where all promises are stable: first.
FIRST = "1.33"
MOST_WAYS = 3  # that are named where nothing fits


@dataclass(frozen=True, order=True)
class Item:
    """One verdict to reach: a behaviour in a cell."""

    cell: Cell
    behaviour: str

    @property
    def id(self) -> str:
        """Unique within a run, for people and for pytest."""
        return f"{self.behaviour}-{self.cell.id}"


def cells(selection: Selection) -> Sequence[Cell]:
    """The cells of a selection, in the order in which they are to be started: version by version
    and sidecar by sidecar, the long ones first, and last of a version those that want their
    cluster for themselves."""
    found = _cells(selection)
    if not found:
        said = " or ".join(_would_do(selection))
        raise UsageProblem(
            "Nothing to run: no cell fits all of the given options together; "
            + (f"{said} would do." if said else "leave one out.")
        )
    return found


def _cells(selection: Selection) -> Sequence[Cell]:
    """The same, of a selection that nothing may fit."""
    versions = sorted(selection.k8s, key=lambda name: name != FIRST)
    found: list[Cell] = []
    in_order = sorted(selection.scenarios, key=lambda name: not scenarios()[name].long)
    claimed = {scenario.k8s for scenario in scenarios().values()} - {""}
    for k8s, turn in itertools.product(versions, range(1, selection.repeat + 1)):
        for sidecar in selection.sidecars:
            driver = REGISTRY[sidecar]
            for scenario in in_order:
                if not driver.meant_by(scenarios()[scenario].needs):
                    continue
                if not runs_on(driver, selection.versions.get(sidecar, ""), k8s):
                    continue
                if scenarios()[scenario].k8s != (k8s if k8s in claimed else ""):
                    continue
                if scenarios()[scenario].nodes > selection.nodes:
                    continue
                for mode in modes_of(driver, scenarios()[scenario]):
                    if mode not in selection.modes:
                        continue
                    for pattern in selection.patterns:
                        cell = Cell(k8s, sidecar, _pattern(pattern), mode, scenario, turn)
                        asked = judged_in(cell, selection.behaviours, selection.nodes)
                        if driver.has(mode, pattern) and asked:
                            found.append(cell)
    found.sort(key=lambda cell: (versions.index(cell.k8s), alone(cell)))
    return found


def _would_do(selection: Selection) -> Sequence[str]:
    """The fewest options that would have to be otherwise for something to run, in each way that
    there is: "SIDECAR=fixture", "NODES=2 K8S=1.33"."""
    every_mode = {mode for name in selection.sidecars for mode in REGISTRY[name].modes}
    unwanted = every_mode - set(selection.modes)  # on purpose: another sidecar has the named ones
    ways: list[tuple[str, ...]] = []
    for name, k8s, nodes in itertools.product(
        ["", *REGISTRY], ["", *reversed(known_k8s())], [0, selection.nodes + 1]
    ):
        changed = {"SIDECAR": name, "K8S": k8s, "NODES": str(nodes or "")}
        way = tuple(f"{option}={value}" for option, value in changed.items() if value)
        if not way or (ways and len(way) > len(ways[0])):
            continue
        other = replace(selection, k8s=(k8s,) if k8s else selection.k8s)
        if name:
            driver = REGISTRY[name]
            other = replace(other, sidecars=(name,), nodes=max(other.nodes, driver.nodes))
            if not unwanted:
                other = replace(other, modes=driver.modes)
            if driver.exclusive:
                other = replace(other, patterns=driver.patterns)
        if nodes:
            other = replace(other, nodes=max(nodes, other.nodes))
        if _cells(replace(other, repeat=1)):
            ways = [*(one for one in ways if len(one) == len(way)), way]
    return [" ".join(way) for way in ways[:MOST_WAYS]]


def alone(cell: Cell) -> bool:
    """Whether no other cell of its cluster is to be observed meanwhile."""
    wished = REGISTRY[cell.sidecar].alone
    return scenarios()[cell.scenario].alone or cell.scenario in wished or cell.mode in wished


def items(selection: Selection) -> Sequence[Item]:
    """Every verdict of a selection, cell by cell."""
    return [
        Item(cell, id_)
        for cell in cells(selection)
        for id_ in judged_in(cell, selection.behaviours, selection.nodes)
    ]


def narrowed(selection: Selection, items: Sequence[Item]) -> Selection:
    """The selection without the versions, sidecars … that none of these items needs."""

    def needed(values: Sequence[str], of: Callable[[Item], str]) -> tuple[str, ...]:
        wanted = {of(item) for item in items}
        return tuple(value for value in values if value in wanted)

    return replace(
        selection,
        k8s=needed(selection.k8s, lambda item: item.cell.k8s),
        sidecars=needed(selection.sidecars, lambda item: item.cell.sidecar),
        patterns=needed(selection.patterns, lambda item: item.cell.pattern),
        modes=needed(selection.modes, lambda item: item.cell.mode),
        scenarios=needed(selection.scenarios, lambda item: item.cell.scenario),
        behaviours=needed(selection.behaviours, lambda item: item.behaviour),
    )


def modes_of(driver: Registration, scenario: Scenario) -> Sequence[str]:
    """A driver's modes that matter to a scenario."""
    if scenario.modes == "first":
        return driver.modes[:1]
    named = scenario.modes.split()
    return [mode for mode in driver.modes if scenario.modes == "all" or mode in named]


def judged_in(cell: Cell, asked: Sequence[str], nodes: int = 1) -> Sequence[str]:
    """Those of the behaviours that mean something in a cell. nodes: how many its cluster has."""
    driver = REGISTRY[cell.sidecar]
    return [
        id_
        for id_ in asked
        if cell.scenario in behaviours()[id_].scenarios
        and driver.can(behaviours()[id_].needs)
        and behaviours()[id_].pattern in ("", cell.pattern)
        and id_ not in driver.without
        and behaviours()[id_].nodes <= nodes
    ]


def left_out(selection: Selection, known: Sequence[str]) -> str:
    """What this run does not touch, and how to get it; "" when nothing is left out."""
    others = [name for name in known if name not in selection.k8s]
    missing = [name for name in REGISTRY if name not in selection.sidecars]
    absent = [name for name in missing if not REGISTRY[name].exclusive]
    rest = sorted({one.level for one in behaviours().values()} - levels_of(selection))
    said = [
        f"Kubernetes {', '.join(others)} (K8S=all)" if others else "",
        f"{', '.join(absent)} (SIDECAR={','.join(absent)})" if absent else "",
        *(f"{name} (SIDECAR={name}, by itself)" for name in missing if name not in absent),
        f"the {' and '.join(rest)} promises (LEVEL=all)" if rest else "",
    ]
    return f"left out: {'; '.join(filter(None, said))}" if any(said) else ""


def levels_of(selection: Selection) -> set[str]:
    """The levels of the behaviours that are judged."""
    return {behaviours()[id_].level for id_ in selection.behaviours}


def _pattern(name: str) -> Pattern:
    if name == SIDECARLESS:
        return "sidecarless"
    return "native" if name == "native" else "classic"

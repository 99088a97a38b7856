"""What the suite can judge: the catalogue as the command's list, as Markdown, as JSON."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from conformance.errors import UsageProblem
from conformance.machine.paths import CHECKOUT
from conformance.model import Cell, Expectation, Pattern
from conformance.plan import cells as plan
from conformance.plan.abilities import Ability
from conformance.plan.catalogue import Behaviour, behaviours, groups, scenarios
from conformance.plan.selection import PATTERNS
from conformance.plan.sidecars import REFUSED, REGISTRY, Registration
from conformance.plan.spelling import did_you_mean, matching
from conformance.plan.unasked import unasked
from conformance.verdicts import expectations

WIDTH = 100  # of the text below a behaviour, at most
ADVERSARIES = {
    "A1": "startup observer",
    "A2": "shutdown observer",
    "A3": "Job spillover",
    "A4": "crash window",
}


def chosen(filters: Sequence[str]) -> Sequence[Behaviour]:
    """The behaviours that the filters name: ids, globs, or beginnings of ids; all without one.

    Raises UsageProblem for a filter that names none.
    """
    known = behaviours()
    wanted: set[str] = set()
    for filter_ in filters:
        found = matching(filter_, known) or [id_ for id_ in known if id_.startswith(filter_)]
        if not found or not filter_:
            near = did_you_mean(filter_, known) or "."
            if filter_ in REGISTRY or filter_ in REFUSED:
                near = f", but a sidecar is: sidecar-conformance list --sidecar {filter_}."
            raise UsageProblem(
                f"No behaviour is called {filter_!r}{near} See sidecar-conformance list for all of "
                "them."
            )
        wanted |= set(found)
    ordered = (one for group in groups().values() for one in known.values() if group.holds(one.id))
    return [one for one in ordered if one.id in wanted or not filters]


def short(listed: Sequence[Behaviour], width: int) -> Iterator[str]:
    """A line for each behaviour, no longer than ``width``: id, level, promise."""
    ids = max(len(one.id) for one in listed)
    for one in listed:
        line = f"{one.id:{ids}}  {one.level:8}  {one.promise}"
        yield line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def whole(one: Behaviour) -> Iterator[str]:
    """Everything that the suite knows of one behaviour."""
    yield f"{one.id}  ({one.level})"
    yield from _paragraph(one.promise)
    if one.adversary:
        yield from _told("adversary", f"{one.adversary}, the {ADVERSARIES[one.adversary]}")
    if one.pattern:
        yield from _told("pattern", f"{one.pattern} only")
    if one.nodes > 1:
        yield from _told("nodes", f"{one.nodes} at least (--nodes {one.nodes})")
    for name in one.scenarios:
        yield from _told("scenario", f"{name}: {scenarios()[name].title}")
    needed = _needs(one)
    for word in needed:
        yield from _told("sidecar must give", f"{word}: {Ability(word).sentence}")
    if not needed:
        yield from _told("sidecar must give", "nothing in particular")
    for pattern, expected in expected_of(one).items():
        for what, where in expected.items():
            yield from _told(f"expected, {pattern}", f"{what}: {', '.join(where)}")
    if one.detect:
        yield from _told("detect and recover", one.detect)
    for name, path in files(one).items():
        yield from _told(name, path)


def expected_of(one: Behaviour) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Pattern → what is expected → sidecars (and modes, where they differ), on the scenario's own
    Kubernetes version or the usual one."""
    found: dict[str, dict[str, list[str]]] = {}
    for pattern in PATTERNS:
        for driver in REGISTRY.values():
            by_mode = {cell.mode: _expected(one.id, cell) for cell in _cells(one, driver, pattern)}
            for what in dict.fromkeys(by_mode.values()):
                modes = [mode for mode, said in by_mode.items() if said == what]
                all_alike = len(modes) == len(by_mode)
                where = driver.name if all_alike else f"{driver.name} ({', '.join(modes)})"
                found.setdefault(pattern, {}).setdefault(what, []).append(where)
    return found


def files(one: Behaviour) -> Mapping[str, str]:
    """Where to read on: judge, scenarios and tests, relative to the checkout."""
    module, _, function = one.judge.partition(":")
    found = {"judge": f"{_file(f'conformance.judges.{module}')} ({function})"}
    for place, name in enumerate(one.scenarios):
        module_name = f"conformance.observe.scenarios.{scenarios()[name].plays}"
        found[f"played by{f' ({name})' if place else ''}"] = _file(module_name)
    *folders, last = module.split(".")
    test = Path("tests", "judges", *folders, f"test_{last}.py")
    if (CHECKOUT / test).exists():
        found["tests"] = str(test)
    return found


def of_sidecar(name: str) -> Iterator[str]:
    """Which scenarios a sidecar is put through, what is expected of it alone, and why it is not put
    through the others.

    Raises UsageProblem for one that is not registered.
    """
    if name in REFUSED:
        raise UsageProblem(f"{name} cannot be used: {REFUSED[name]}.")
    if name not in REGISTRY:
        raise UsageProblem(
            f"No sidecar is called {name!r}{did_you_mean(name, REGISTRY) or '.'} Choose from "
            f"{', '.join(REGISTRY)}."
        )
    driver = REGISTRY[name]
    why = unasked(name)
    asked = [scenario for scenario in scenarios() if scenario not in why]
    yield f"{name}: asked {len(asked)} of {len(scenarios())} scenarios"
    yield from _told("gives", ", ".join(driver.gives) or "nothing in particular")
    yield from _told("asked", ", ".join(asked))
    for row in expectations.table():
        if row.conditions.get("sidecar") == (name,):
            yield from _told("expected of it", _row(row))
    yield "  not asked"
    for reason in dict.fromkeys(why.values()):
        yield from _paragraph(", ".join(one for one in why if why[one] == reason), indent=4)
        yield from _paragraph(reason, indent=8)


def data(listed: Sequence[Behaviour]) -> Sequence[Mapping[str, Any]]:
    """The behaviours for programs."""
    return [
        {
            "id": one.id,
            "group": next(group.name for group in groups().values() if group.holds(one.id)),
            "level": one.level,
            "promise": one.promise,
            "adversary": one.adversary or None,
            "pattern": one.pattern or None,
            "scenarios": list(one.scenarios),
            "needs": _needs(one),
            "detect": one.detect or None,
            "expected": expected_of(one),
            "files": files(one),
        }
        for one in listed
    ]


def markdown(listed: Sequence[Behaviour]) -> Iterator[str]:
    """A page: a section for each group, a table of its behaviours, and each of them whole."""
    yield "# Behaviours"
    yield ""
    yield (
        "Printed by `sidecar-conformance list --markdown` from conformance/plan/catalogue.toml and "
        f"the tables of expectations, for Kubernetes {plan.FIRST} or the version "
        "that a scenario is about."
    )
    for group in groups().values():
        members = [one for one in listed if group.holds(one.id)]
        if not members:
            continue
        yield from ("", f"## {group.title}", "", "| behaviour | level | promise |", "|---|---|---|")
        for one in members:
            anchor = one.id.replace(".", "")
            yield f"| [{one.id}](#{anchor}) | {one.level} | {_cell(one.promise)} |"
        for one in members:
            yield from ("", f"### {one.id}", "", one.promise, "")
            if one.adversary:
                yield f"- adversary: {one.adversary}, the {ADVERSARIES[one.adversary]}"
            if one.pattern:
                yield f"- pattern: {one.pattern} only"
            if one.nodes > 1:
                yield f"- nodes: {one.nodes} at least (`--nodes {one.nodes}`)"
            for name in one.scenarios:
                yield f"- scenario `{name}`: {scenarios()[name].title}"
            for word in _needs(one):
                yield f"- the sidecar must give `{word}`: {Ability(word).sentence}"
            for pattern, expected in expected_of(one).items():
                said = "; ".join(f"{what}: {', '.join(where)}" for what, where in expected.items())
                yield f"- expected, {pattern}: {said}"
            for name, path in files(one).items():
                yield f"- {name}: {path}"
            if one.detect:
                yield from ("", f"Detect and recover: {one.detect}")


def _cells(one: Behaviour, driver: Registration, pattern: Pattern) -> Iterator[Cell]:
    for name in one.scenarios:
        scenario = scenarios()[name]
        if name in unasked(driver.name):
            continue
        for mode in plan.modes_of(driver, scenario):
            cell = Cell(scenario.k8s or plan.FIRST, driver.name, pattern, mode, name)
            if driver.has(mode, pattern) and plan.judged_in(cell, [one.id], one.nodes):
                yield cell


def _row(row: expectations.Row) -> str:
    """A row of a driver's own, and whether it can decide anything."""
    where = [
        f"{name} {' or '.join(values)}"
        for name, values in row.conditions.items()
        if name != "sidecar"
    ]
    (sidecar,) = row.conditions["sidecar"]
    wide = replace(row, conditions={k: v for k, v in row.conditions.items() if k != "k8s"})
    asked = any(
        wide.matches(one.id, cell)
        for one in behaviours().values()
        for pattern in PATTERNS
        for cell in _cells(one, REGISTRY[sidecar], pattern)
    )
    said = f"{', '.join((row.behaviour, *where))}: {_in_words(row.expectation)}"
    return said if asked else f"{said}; but no cell of {sidecar} is asked that"


def _expected(id_: str, cell: Cell) -> str:
    return _in_words(expectations.expected(id_, cell))


def _in_words(expectation: Expectation) -> str:
    hazards = f" ({' or '.join(expectation.hazards)})" if expectation.hazards else ""
    return f"{expectation.expect}{hazards}"


def _needs(one: Behaviour) -> Sequence[str]:
    """What a sidecar must give for the behaviour and for the first of its scenarios."""
    return list(dict.fromkeys([*scenarios()[one.scenarios[0]].needs.split(), *one.needs.split()]))


def _file(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return str(Path(spec.origin).relative_to(CHECKOUT))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _told(name: str, text: str) -> Iterator[str]:
    lines = _paragraph(text, indent=22)
    yield f"  {name:19} {next(lines).strip()}"
    yield from lines


def _paragraph(text: str, indent: int = 2) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )

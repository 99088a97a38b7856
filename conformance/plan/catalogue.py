"""Reads the catalogue: groups, scenarios and behaviours. Standard library only (see check)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Group:
    """Behaviours that are about one thing. ids: how their ids begin (words)."""

    name: str
    title: str
    ids: str

    def holds(self, behaviour: str) -> bool:
        """Whether the behaviour of this id is one of the group's."""
        return behaviour.partition(".")[0] in self.ids.split()


@dataclass(frozen=True)
class Scenario:
    """One course of events that cells are put through.

    plays: its module under conformance.observe.scenarios.
    pods: the scenario whose manifests it takes, where fixtures/manifests has none of its own name.
    modes: "all" of a sidecar's modes, only the "first" where the mode makes no difference, or the
    names of those that matter (words).
    needs: what a sidecar must give (Registration.gives, words) to be put through it.
    k8s: the one version that it is about, which no other scenario uses then; "" for all others.
    alone: no other cell of its cluster is observed meanwhile, for the whole node feels it.
    long: it is observed for half a minute and more: those begin first, and fewer are waited for at
    a run's end.
    nodes: how many its cluster must have.
    ground: what its cluster must give (abilities.Ground, words).
    """

    name: str
    title: str
    plays: str
    pods: str = ""
    modes: str = "all"
    needs: str = ""
    k8s: str = ""
    alone: bool = False
    long: bool = False
    nodes: int = 1
    ground: str = ""


@dataclass(frozen=True)
class Behaviour:
    """One promise, and who judges it.

    scenario: what it is judged in (words, where there are several; the first one stands for it).
    judge is "module:function" under conformance.judges; adversary is the source article's (A1 to
    A4), or "". needs: what a sidecar must give (Registration.gives, words) for the promise to mean
    anything; pattern: the only one in which it does; "" for no such limit; nodes: how many its
    cluster must have. detect: how to see, on a cluster of one's own, that the promise is broken,
    and how to recover; "" where nothing helps.
    """

    id: str
    promise: str
    scenario: str
    level: str
    judge: str
    adversary: str = ""
    needs: str = ""
    pattern: str = ""
    nodes: int = 1
    detect: str = ""

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios in which it is judged."""
        return tuple(self.scenario.split())


@cache
def _tables() -> Mapping[str, dict[str, dict[str, Any]]]:
    with CATALOGUE.open("rb") as source:
        tables = tomllib.load(source)
    return {name: tables[name] for name in ("groups", "scenarios", "behaviours")}


@cache
def groups() -> Mapping[str, Group]:
    """Every group by name, in the order in which they are listed."""
    return {name: Group(name, **row) for name, row in _tables()["groups"].items()}


@cache
def scenarios() -> Mapping[str, Scenario]:
    """Every scenario by name, in the catalogue's order."""
    return {name: Scenario(name, **row) for name, row in _tables()["scenarios"].items()}


@cache
def behaviours() -> Mapping[str, Behaviour]:
    """Every behaviour by id, in the catalogue's order."""
    return {id_: Behaviour(id_, **row) for id_, row in _tables()["behaviours"].items()}

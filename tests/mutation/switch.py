"""The switch between an original and its mutants, in place of mutmut's own.

mutmut asks the environment at each call which mutant is wanted. Packets are read by functions that
are called a million times, so here the answer is put into the table that they look it up in.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from mutmut.mutation import trampoline

_ORIGINAL = "_mutmut_orig"
_theirs = trampoline.wrap_in_trampoline
_tables: list[tuple[str, dict[str, Callable[..., Any]]]] = []
_theirs_too: dict[str, list[dict[str, Callable[..., Any]]]] = {}


def install() -> None:
    """From now on whatever mutated module is imported is switched here."""
    vars(trampoline)["wrap_in_trampoline"] = _switched


def _switched(table: Any, is_classmethod: bool = False) -> Any:
    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        if is_classmethod:  # few, and bound by their class: theirs asks the environment
            _theirs_too.setdefault(function.__module__, []).append(table)
            return _theirs(table, is_classmethod)(function)

        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            return table[_ORIGINAL](*args, **named)

        _tables.append((function.__module__, table))
        return call

    return mark


def import_all(packages: Iterable[str]) -> None:
    """Import each module of some packages. Judges are imported when they are first asked for: what
    comes after choose or watch would stay an original."""
    for package in packages:
        for one in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(one.name)


def choose(mutant: str) -> None:
    """This mutant takes its original's place, for the rest of the process. Raises LookupError where
    no module that was imported has it."""
    os.environ["MUTANT_UNDER_TEST"] = mutant
    module, _, name = mutant.rpartition(".")
    tables = [table for its, table in _tables if its == module and name in table]
    for table in tables:
        table[_ORIGINAL] = table[name]
    if not tables and not any(name in table for table in _theirs_too.get(module, ())):
        raise LookupError(f"{mutant} cannot be switched on")


def watch(hits: set[str]) -> Callable[[], None]:
    """Note the functions that are called, once each. Returns what makes it begin anew."""

    def hit(name: str, caller: str | None = None) -> None:  # noqa: ARG001
        hits.add(name)

    vars(trampoline)["record_trampoline_hit"] = hit
    os.environ["MUTANT_UNDER_TEST"] = "stats"
    originals = [(its, table, table[_ORIGINAL]) for its, table in _tables]

    def begin() -> None:
        hits.clear()
        for its, table, function in originals:
            name = f"{its}.{function.__name__.partition('__mutmut_')[0]}"
            table[_ORIGINAL] = _noted(hits, name, table, function)

    return begin


def _noted(
    hits: set[str], name: str, table: dict[str, Callable[..., Any]], function: Callable[..., Any]
) -> Callable[..., Any]:
    def first(*args: Any, **named: Any) -> Any:
        hits.add(name)
        table[_ORIGINAL] = function
        return function(*args, **named)

    return first

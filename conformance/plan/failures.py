"""Reads failures.toml: the article's failure modes, and the cells that show and heal each.

Data in, data out. What a run sees of them is for its verdicts to say (see run/reproduce).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from conformance.errors import UsageProblem
from conformance.model import Cell, Pattern
from conformance.plan.catalogue import scenarios
from conformance.plan.sidecars import REGISTRY

FAILURES = Path(__file__).with_name("failures.toml")


@dataclass(frozen=True)
class Look:
    """A kubectl command that shows the hazard on a live cluster.

    step: the step of the cell's diary at which it is run, ``after`` seconds later. shows: what to
    see in its output.
    """

    step: str
    run: str
    shows: str
    after: float = 0

    def command(self, pod: str, sidecar: str) -> str:
        """The command's words after ``kubectl``."""
        return self.run.replace("{pod}", pod).replace("{sidecar}", sidecar)


@dataclass(frozen=True)
class Failure:
    """One failure mode of the article.

    article: where the article speaks of it. also: other names. sidecars: those that it can be shown
    with; empty for every sidecar whose scenario it is. modes: sidecar → mode, else the first one.
    seen_by: behaviours that are broken in the cell of the hazard; empty where the hazard is part of
    what a behaviour in ``healed_by`` proves. heals: what is changed for a second cell (``pattern``,
    ``modes``); empty where the scenario applies the recovery itself. healed_by: behaviours that
    hold once the recovery is applied.
    """

    name: str
    article: str
    title: str
    scenario: str
    recovery: str
    healed_by: tuple[str, ...]
    pattern: Pattern = "classic"
    seen_by: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    sidecars: tuple[str, ...] = ()
    modes: Mapping[str, str] = field(default_factory=dict)
    heals: Mapping[str, Any] = field(default_factory=dict)
    watch: tuple[Look, ...] = ()

    def __str__(self) -> str:
        return self.name

    def shown_with(self) -> Sequence[str]:
        """The sidecars with which it can be shown."""
        return [
            name
            for name, entry in REGISTRY.items()
            if entry.meant_by(scenarios()[self.scenario].needs)
            and (not self.sidecars or name in self.sidecars)
        ]

    def cell(self, k8s: str, sidecar: str, pattern: Pattern | None = None) -> Cell:
        """The cell that shows the hazard. pattern: another one than the failure's own."""
        mode = self.modes.get(sidecar, REGISTRY[sidecar].modes[0])
        return Cell(k8s, sidecar, pattern or self.pattern, mode, self.scenario)

    def healed_cell(self, k8s: str, sidecar: str, pattern: Pattern | None = None) -> Cell | None:
        """The cell with the recovery applied; None where the first one holds it already."""
        modes = self.heals.get("modes", {})
        if not self.heals or ("pattern" not in self.heals and sidecar not in modes):
            return None
        found = self.cell(k8s, sidecar, pattern)
        mode = modes.get(sidecar, found.mode)
        return Cell(k8s, sidecar, self.heals.get("pattern", found.pattern), mode, self.scenario)


@cache
def failures() -> Mapping[str, Failure]:
    """Every failure mode by its name, in the file's order."""
    with FAILURES.open("rb") as source:
        return {name: _failure(name, row) for name, row in tomllib.load(source).items()}


def _failure(name: str, row: dict[str, Any]) -> Failure:
    looks = tuple(Look(**look) for look in row.pop("watch", ()))
    words: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return Failure(name=name, watch=looks, **words)


def named(name: str) -> Failure:
    """The failure of a name, or of another name of it. Raises UsageProblem with the nearest."""
    for failure in failures().values():
        if name.lower() in (failure.name, *failure.also):
            return failure
    every = [word for one in failures().values() for word in (one.name, *one.also)]
    near = difflib.get_close_matches(name.lower(), every, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(failures())}."
    raise UsageProblem(f"FAILURE={name} is not a failure mode; {hint}")


def sidecar_for(failure: Failure, asked: str) -> str:
    """The sidecar to show it with: the asked one, or the first that can. Raises UsageProblem."""
    able = failure.shown_with()
    if not asked:
        return able[0]
    if asked not in able:
        raise UsageProblem(
            f"{failure.name} cannot be shown with SIDECAR={asked}; choose from {', '.join(able)}."
        )
    return asked

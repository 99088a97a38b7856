"""The options, the same on the command line, in pytest and in make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.machine.paths import results_dir
from conformance.plan import cells as plan
from conformance.plan import selection as choices
from conformance.plan.sidecars import REGISTRY


@dataclass(frozen=True)
class Option:
    """One option: its name on the command line, and what it is for."""

    name: str
    help: str
    flag: bool = False

    @property
    def dest(self) -> str:
        return self.name.replace("-", "_")


OPTIONS = (
    Option("k8s", "Kubernetes versions, comma-separated, or all"),
    Option("sidecar", "sidecars, comma-separated"),
    Option("pattern", "classic, native"),
    Option("mode", "a sidecar's modes, comma-separated"),
    Option("scenario", "scenarios, comma-separated"),
    Option("behaviour", "behaviours by id, comma-separated"),
    Option("level", "core, extended"),
    Option("repeat", "how many times each cell is played"),
    Option("results", "folder that gets one folder for each run"),
    Option("images", "auto (pull, build what cannot be pulled), pull, or build"),
    *(
        Option(one.version_option, f"the version of {one.name} (or {one.version_variable})")
        for one in REGISTRY.values()
        if one.version_option
    ),
    Option("workers", "how many cells are observed at once"),
    Option("take-away", "self-test: take away the beacon, the capture or the sidecar"),
    Option("keep", "leave the clusters up and say how to reach and remove them", flag=True),
    Option("strict-promises", "judge every native cell against the promise alone", flag=True),
)


@dataclass(frozen=True)
class Options:
    """Every option, checked."""

    selection: choices.Selection
    results: Path
    images: str = "auto"
    workers: int | None = None
    take_away: str = ""
    keep: bool = False
    strict_promises: bool = False

    @classmethod
    def check(cls, given: Mapping[str, str | bool | None]) -> Options:
        """Raises UsageProblem, before anything is created."""
        text = {name: str(value) if value else None for name, value in given.items()}
        taken = text.get("take_away")
        selection = choices.select(text)
        plan.cells(selection)
        return cls(
            selection=selection,
            results=Path(text.get("results") or results_dir()).expanduser().resolve(),
            images=choices.one_of("IMAGES", text.get("images") or "auto", choices.IMAGES),
            workers=choices.positive("WORKERS", text.get("workers")),
            take_away=choices.one_of("TAKE_AWAY", taken, choices.TAKE_AWAY) if taken else "",
            keep=bool(given.get("keep")),
            strict_promises=bool(given.get("strict_promises")),
        )

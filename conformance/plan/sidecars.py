"""The registry of sidecar drivers, read from the drivers' own folders.

A driver is one folder: conformance/sidecars/<name>/, or a package of another project that the entry
point group ``sidecar_conformance.drivers`` names. The folder holds registration.toml (the keys are
the fields of Registration), driver.py (a class ``Driver``, see conformance.sidecars.driver), and
expectations.toml, if there is more to expect than a few rows. docs/adding.md shows one.

Standard library only, and no driver is imported: options are checked before anything is installed.
"""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from conformance.model import Pattern
from conformance.plan.abilities import Ability

GROUP = "sidecar_conformance.drivers"
PACKAGE = "conformance.sidecars"
FOLDER = Path(__file__).parent.parent / "sidecars"
REGISTRATION = "registration.toml"
EXPECTATIONS = "expectations.toml"
WITH_SIDECAR: tuple[Pattern, ...] = ("classic", "native")
SIDECARLESS: Pattern = "sidecarless"  # of what protects pods without a sidecar in them


@dataclass(frozen=True)
class Registration:
    """What the plan must know of a driver without importing it.

    name: the folder's, with "-" for "_", or the entry point's. package: where driver.py is.
    modes: its variants, the default first. patterns: those it has. only: mode → the patterns in
    which it means anything, where that is not all of them. controls: modes that break promises by
    design, to prove that the judges can see. version_option: the option, and in capitals the
    variable of the environment, by which the user chooses its version; "" where there is no choice.
    check: "module:function" of the package that raises UsageProblem for a version that cannot be;
    standard library only, too.
    oldest: "module:function" of the package that says the oldest minor of Kubernetes (31) that a
    version can run on; standard library only, too.
    alone: scenarios and modes that need its one control plane to be set otherwise, or down, which
    every other cell of the cluster would feel.
    nodes: how many nodes its clusters must have. exclusive: it changes a cluster for everybody, so
    that no other sidecar can be on it.
    gives: what some scenarios need. wants: what a scenario must need to mean anything for it.
    values_option: the option, and in capitals the variable of the environment, by which the user
    gives a file of settings; "" where there is none. values: that file, once it was given.
    Of a sidecar that a file of the user's describes alone (own): file: that one; without: behaviour
    → why it is not asked of it. rows: further tables of what is expected, by what the user gave.
    """

    name: str
    package: str
    folder: Path
    modes: tuple[str, ...]
    patterns: tuple[str, ...] = WITH_SIDECAR
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    version_option: str = ""
    values_option: str = ""
    check: str = ""
    oldest: str = ""
    alone: tuple[str, ...] = ()
    nodes: int = 1
    exclusive: bool = False
    gives: tuple[Ability, ...] = ()
    wants: tuple[Ability, ...] = ()
    values: Path | None = None
    file: Path | None = None
    rows: tuple[Path, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for what contradicts itself."""
        unknown = (set(self.only) | set(self.controls)) - set(self.modes)
        if unknown or not self.modes:
            raise ValueError(f"modes are {self.modes}, without {sorted(unknown)}")
        for patterns in (self.patterns, *self.only.values()):
            if not patterns or set(patterns) - {*WITH_SIDECAR, SIDECARLESS}:
                raise ValueError(f"patterns are {(*WITH_SIDECAR, SIDECARLESS)}, and not {patterns}")

    @property
    def module(self) -> str:
        """The module of its class ``Driver``."""
        return f"{self.package}.driver"

    @property
    def tables(self) -> tuple[Path, ...]:
        """The files that can hold rows of expectations, in the order in which they are read."""
        if self.file is not None:
            return self.rows
        files = (self.folder / REGISTRATION, self.folder / EXPECTATIONS)
        return (*(file for file in files if file.is_file()), *self.rows)

    @property
    def version_variable(self) -> str:
        """The variable of the environment that stands for the option of its version."""
        return self.version_option.replace("-", "_").upper()

    @property
    def values_variable(self) -> str:
        """The variable of the environment that stands for the option of its settings."""
        return self.values_option.replace("-", "_").upper()

    def can(self, needs: str) -> bool:
        """Whether it gives all that is needed (words)."""
        return set(needs.split()) <= set(self.gives)

    def meant_by(self, needs: str) -> bool:
        """Whether a scenario with these needs (words) can be for it."""
        return self.can(needs) and set(self.wants) <= set(needs.split())

    def has(self, mode: str, pattern: str) -> bool:
        """Whether the sidecar can be had like this."""
        return pattern in self.only.get(mode, self.patterns) and pattern in self.patterns


# What is known without the registration, or has none.
_GIVEN = {"name", "package", "folder", "values", "file", "rows", "without"}
_KEYS = [one.name for one in fields(Registration) if one.name not in _GIVEN]


def read(name: str, package: str, folder: Path) -> Registration:
    """The registration in a driver's folder. Raises OSError, ValueError or TypeError."""
    with (folder / REGISTRATION).open("rb") as source:
        given: dict[str, Any] = tomllib.load(source)
    given.pop("row", None)  # its expectations, where they are few
    for key in ("modes", "patterns", "controls", "alone"):
        if key in given:
            given[key] = tuple(given[key])
    for key in ("gives", "wants"):
        words = given.get(key, ())
        if strange := [word for word in words if word not in tuple(Ability)]:
            raise ValueError(f"{key} has {', '.join(strange)}, and may have {', '.join(Ability)}")
        given[key] = tuple(Ability(word) for word in words)
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise ValueError(f"no key is called {', '.join(unknown)}: there are {', '.join(_KEYS)}")
    given["only"] = {mode: tuple(patterns) for mode, patterns in given.get("only", {}).items()}
    for key in ("check", "oldest"):
        if given.get(key):
            given[key] = f"{package}.{given[key]}"
    return Registration(name=name, package=package, folder=folder, **given)


def own() -> Iterator[Registration]:
    """The drivers in conformance/sidecars."""
    for file in sorted(FOLDER.glob(f"*/{REGISTRATION}")):
        folder = file.parent
        yield read(folder.name.replace("_", "-"), f"{PACKAGE}.{folder.name}", folder)


def installed() -> tuple[Mapping[str, Registration], Mapping[str, str]]:
    """The drivers of other projects, and name → why for those that cannot be used."""
    found: dict[str, Registration] = {}
    refused: dict[str, str] = {}
    taken = {entry.name for entry in own()}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        if point.name in taken:
            refused[point.name] = f"{point.value} has the name of a driver of the suite's own"
            continue
        try:
            found[point.name] = read(point.name, point.value, _folder(point.value))
        except (OSError, ValueError, TypeError, ImportError) as error:
            refused[point.name] = f"the registration of {point.value} cannot be read: {error}"
    return found, refused


def _folder(package: str) -> Path:
    """Where a package is, without importing it. Raises ImportError when it is not there."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("no such package")
    return Path(next(iter(spec.submodule_search_locations)))


_installed, REFUSED = installed()
REGISTRY: dict[str, Registration] = {entry.name: entry for entry in own()} | dict(_installed)


def known(name: str) -> Registration:
    """The registration of a sidecar, or of one that this suite knows nothing more of than that a
    report names it: another project's driver, or a file of somebody's own."""
    return REGISTRY.get(name) or Registration(name, "", Path(), ("default",))

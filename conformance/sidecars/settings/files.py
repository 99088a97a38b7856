"""The files of a mesh's settings: read, kept with the run, and found by whoever installs.

A driver that takes them (Registration.values_option) has a module ``values``, whose object
``SETTINGS`` says what is the suite's to set, and which settings make the control arm another one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.machine import files
from conformance.plan.sidecars import REGISTRY, Registration
from conformance.sidecars.settings import tree
from conformance.sidecars.settings.tree import Tree
from conformance.sidecars.written import document as written
from conformance.sidecars.written.document import Document

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

KEPT = "values"
"""The folder of a run that keeps the files."""


@dataclass(frozen=True)
class Settings:
    """What a driver says of settings in general.

    read: the settings in a file, in the form in which the suite's own are. dropped: places that are
    the suite's alone, images above all. decides: last keys of settings that decide how long the
    proxy lives beside the app, in which case rows tells what is expected.
    """

    read: Callable[[Document], Tree]
    dropped: Sequence[str]
    decides: Sequence[str]
    rows: Path


@dataclass(frozen=True)
class Given:
    """The user's settings for one mesh. dropped: what of the file is the suite's to set."""

    file: Path
    settings: Tree
    dropped: Sequence[str]


def given(path: Path, sidecar: str, called: str = "") -> Given:
    """Read a file. Raises UsageProblem, naming file and line."""
    first, *others = written.read(path, called)
    if others:
        raise others[0].problem((), "is a second document; a file of settings has one")
    if not isinstance(first.content, dict):
        raise first.problem((), "is no mapping; write the values of Helm there, or an overlay")
    about = _about(REGISTRY[sidecar])
    kept, dropped = tree.without(about.read(first), about.dropped)
    return Given(path, kept, dropped)


def admit(path: Path, sidecar: str, called: str = "") -> None:
    """Check a file, and expect of the mesh what its settings make of it. Raises UsageProblem."""
    found = given(path, sidecar, called)
    driver = REGISTRY[sidecar]
    about = _about(driver)
    keys = {place[-1] for place, _ in tree.leaves(found.settings) if place}
    rows = (about.rows,) if keys & set(about.decides) else ()
    REGISTRY[sidecar] = replace(driver, values=path.resolve(), rows=rows)


def keep(results: Path) -> None:
    """Copy the files of all meshes that have any into a run's folder."""
    for one in REGISTRY.values():
        if one.values is not None:
            target = results / KEPT / f"{one.name}.yaml"
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_text(target, one.values.read_text())


def restore(results: Path) -> None:
    """Use the settings that a run has kept; none for the meshes that it has none of."""
    for name, one in list(REGISTRY.items()):
        file = results / KEPT / f"{name}.yaml"
        if one.values_option and file.is_file():
            admit(file, name)
        elif one.values is not None:
            REGISTRY[name] = replace(one, values=None, rows=())


def of(cluster: ClusterHandle, sidecar: str) -> Given | None:
    """The user's settings for a mesh in the run of a cluster; None for none."""
    file = cluster.results / KEPT / f"{sidecar}.yaml"
    return given(file, sidecar) if file.is_file() else None


def told(found: Given, suites: Tree, pod: Any) -> Mapping[str, str]:
    """What the report says of the user's settings: which the suite has overridden, and which of
    them an admitted pod shows. pod: as the injector made it, in a dry run."""
    overridden = [*tree.overridden(found.settings, suites), *found.dropped]
    there, unseen = tree.seen(found.settings, pod)
    return {
        "settings": found.file.name,
        "overridden_by_the_suite": "; ".join(overridden) or "nothing",
        "seen_in_the_admitted_pod": "; ".join(there) or "nothing",
        "not_to_be_seen_in_a_pod": "; ".join(unseen) or "nothing",
    }


def _about(driver: Registration) -> Settings:
    found: Settings = importlib.import_module(f"{driver.package}.values").SETTINGS
    return found

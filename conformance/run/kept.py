"""What a run keeps of the user's own, to be played by its workers, and judged again later."""

from __future__ import annotations

import importlib
from pathlib import Path

from conformance.machine import files
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.settings import files as settings

# Folder of a run → the package that registers the files in it. It is imported for a file alone:
# it reads by the whole model of Kubernetes' objects, which takes longer than to judge a cell.
_FOLDERS = {"sidecars": "conformance.sidecars.own", "pods": "conformance.sidecars.pods"}


def keep(results: Path) -> None:
    """Copy the user's files into the run's folder."""
    for folder, package in _FOLDERS.items():
        for one in REGISTRY.values():
            if one.file is not None and one.package == package:
                target = results / folder / f"{one.name}.yaml"
                target.parent.mkdir(parents=True, exist_ok=True)
                files.write_text(target, one.file.read_text())
    settings.keep(results)


def restore(results: Path) -> None:
    """Use what the run has kept, as it was then. Raises UsageProblem when it is damaged."""
    for folder, package in _FOLDERS.items():
        for file in sorted((results / folder).glob("*.yaml")):
            have = REGISTRY.get(file.stem)
            if have is not None and have.file is not None:
                del REGISTRY[file.stem]
            importlib.import_module(f"{package}.registering").register(file)
    settings.restore(results)


def run_of(bundle: Path) -> Path:
    """The folder of the run that a bundle belongs to (evidence/<minor>/<cell>), as far as its place
    tells."""
    return bundle.resolve().parents[2] if len(bundle.resolve().parents) > 2 else bundle

"""What a run keeps of the user's own, to be played by its workers, and judged again later."""

from __future__ import annotations

from pathlib import Path

from conformance.sidecars.own import registering
from conformance.sidecars.settings import files as settings


def keep(results: Path) -> None:
    """Copy the user's files into the run's folder."""
    registering.keep(results)
    settings.keep(results)


def restore(results: Path) -> None:
    """Use what the run has kept, as it was then. Raises UsageProblem when it is damaged."""
    registering.restore(results)
    settings.restore(results)


def run_of(bundle: Path) -> Path:
    """The folder of the run that a bundle belongs to (evidence/<minor>/<cell>), as far as its place
    tells."""
    return bundle.resolve().parents[2] if len(bundle.resolve().parents) > 2 else bundle

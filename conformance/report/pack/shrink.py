"""A run's folder in less room: the large files of its bundles compressed, in place."""

from __future__ import annotations

from pathlib import Path

from conformance.errors import UsageProblem
from conformance.evidence import compressed


def compress(path: Path) -> tuple[int, int]:
    """Compress the bundles of a run, or one bundle. Returns the bytes before and after.

    Raises UsageProblem where there is no bundle.
    """
    bundles = [index.parent for index in path.resolve().rglob("cell.json")]
    if not bundles:
        raise UsageProblem(f"{path} holds no evidence; name a run's folder, or one bundle.")
    before = sum(map(_size, bundles))
    for bundle in bundles:
        compressed.compress(bundle)
    return before, sum(map(_size, bundles))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

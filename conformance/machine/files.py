"""Files that others may read at any moment: they see the old text or the new one, never half."""

from __future__ import annotations

from pathlib import Path


def write_text(target: Path, text: str) -> None:
    """Replace the file in one step; its folder must exist, and one process writes it at a time."""
    fresh = target.with_name(f"{target.name}.new")
    fresh.write_text(text)
    fresh.replace(target)

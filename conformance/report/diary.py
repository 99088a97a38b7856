"""Reads a JSON-lines file of a bundle, whole lines only: a program may have died in mid-write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's objects; nothing when there is no such file."""
    if path.exists():
        with path.open() as source:
            for line in source:
                if line.endswith("\n"):
                    yield json.loads(line)

"""Reads a JSON-lines file of a bundle, whole lines only: a program may have died in mid-write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's objects; nothing when there is no such file."""
    for _, one in numbered(path):
        yield one


def numbered(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The file's objects, each with the number of its line, from 1."""
    if path.exists():
        with path.open() as source:
            for number, line in enumerate(source, 1):
                if line.endswith("\n"):
                    yield number, json.loads(line)

"""Reads a JSON-lines file of a bundle for a page: every line that can be read.

A program may have died in mid-write, or a line may be no record: the page is written with what is
there, and the verdicts that lean on such a file say which line it was (evidence.consistency).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from conformance.evidence import compressed
from conformance.evidence.parse import read_json


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's objects; nothing when there is no such file."""
    for _, one in numbered(path):
        yield one


def numbered(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The file's objects, each with the number of its line, from 1. They are not to be changed."""
    if compressed.exists(path):
        told = compressed.kept(path).stat()
        yield from _parsed(path, told.st_size, told.st_mtime_ns)


# A page asks for the same stamps several times; the files of one cell, and hardly more, are kept.
@lru_cache(maxsize=32)
def _parsed(path: Path, _size: int, _mtime_ns: int) -> tuple[tuple[int, dict[str, Any]], ...]:
    return tuple(_lines(path))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    name = f"stamps/{path.name}" if path.parent.name == "stamps" else path.name
    with compressed.opened(path) as source:
        for number, line in enumerate(source, 1):
            if not line.endswith(b"\n") or not line.strip():
                continue
            try:
                yield number, dict(read_json(number, line.decode(), name).fields)
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue

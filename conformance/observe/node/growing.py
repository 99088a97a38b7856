"""Files that grow while they are read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path


class Growing:
    """The whole lines of a growing file that are wanted; each line is looked at once.

    offset: where to begin (bytes). In the middle of a line, its rest is looked at like a line.
    """

    def __init__(self, file: Path, wanted: Callable[[bytes], bool], offset: int = 0) -> None:
        self._file = file
        self._wanted = wanted
        self._offset = offset
        self._wanted_lines: list[bytes] = []

    def lines(self) -> list[bytes]:
        """What has come so far."""
        with contextlib.suppress(FileNotFoundError), self._file.open("rb") as source:
            source.seek(self._offset)
            for line in source:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if self._wanted(line):
                    self._wanted_lines.append(line)
        return self._wanted_lines

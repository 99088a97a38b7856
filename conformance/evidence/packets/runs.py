"""Long runs of bytes of one kind: readable ones, or those of an alphabet.

A table marks every byte in one pass, and the run is looked for among the marks: in what is random a
search for so many equal bytes skips most of them, where a regular expression tries each place.
"""

from __future__ import annotations

_MARK = b"\1"


def table(kind: bytes) -> bytes:
    """A table for bytes.translate that marks the bytes of a kind, and no others."""
    return bytes(byte in kind for byte in range(256))


LETTERS = b"\t\r\n" + bytes(range(0x20, 0x7F))
READABLE = table(LETTERS)


def has_run(kind: bytes, data: bytes, least: int) -> bool:
    """Whether so many bytes of a kind (a table) stand in a row."""
    return _MARK * least in data.translate(kind)


class ReadableRun:
    """Finds a long run of readable bytes, however they are cut."""

    __slots__ = ("_least", "_tail")

    def __init__(self, least: int) -> None:
        self._least = least
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Whether a run of ``least`` bytes ends within ``data``."""
        both = self._tail + data
        self._tail = both[-(self._least - 1) :]
        return has_run(READABLE, both, self._least)

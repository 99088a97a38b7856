"""A text file's clock readings in another order, which xz makes a third smaller; and back.

Each line of a program's stamps, or of the journal, begins or ends with two readings of clocks. They
stand together here, byte plane by byte plane: of the first, the step from line to line; of the
second, how far it has moved against the first. The lines without them are alike, and follow.
"""

from __future__ import annotations

import re
import struct
from array import array
from dataclasses import dataclass

from conformance.report.pack.columns import planes, unplaned

_COUNTS = struct.Struct("<BII")  # which kind of line; lines; bytes of the lines without readings
_WRAP = (1 << 64) - 1


@dataclass(frozen=True)
class Kind:
    """What stands before, between and after a line's two readings."""

    before: bytes
    between: bytes
    after: bytes

    @property
    def pattern(self) -> re.Pattern[bytes]:
        parts = (re.escape(one) for one in (self.before, self.between, self.after))
        return re.compile(rb"([1-9]\d{0,18})".join(parts))

    @property
    def bare(self) -> bytes:
        return self.before + self.between + self.after


KINDS = (
    Kind(b'"ns": ', b', "mono_ns": ', b","),
    Kind(b'"__MONOTONIC_TIMESTAMP":"', b'","__REALTIME_TIMESTAMP":"', b'"'),
)


def columns(content: bytes) -> bytes | None:
    """The file as columns; None for one of other lines, which ``restored`` would not give back."""
    for which, kind in enumerate(KINDS):
        pattern = kind.pattern
        found = [pattern.search(line) for line in content.splitlines()]
        if not found or None in found:
            continue
        first, second = (array("Q", (int(one[n]) for one in found if one)) for n in (1, 2))
        text = pattern.sub(kind.bare.replace(b"\\", b"\\\\"), content)
        apart = array("Q", (two - one & _WRAP for one, two in zip(first, second, strict=True)))
        steps = (_zigzag(_steps(one)) for one in (first, apart))
        counts = _COUNTS.pack(which, len(first), len(text))
        made = b"".join((counts, *map(planes, steps), text))
        return made if restored(made) == content else None
    return None


def restored(made: bytes) -> bytes:
    """The file that ``columns`` was given. Raises ValueError, IndexError or struct.error."""
    which, lines, size = _COUNTS.unpack_from(made)
    kind, at, readings = KINDS[which], _COUNTS.size, []
    for _ in range(2):
        readings.append(_sums(_unzigzagged(unplaned(made[at : at + 8 * lines]))))
        at += 8 * lines
    text = made[at : at + size].splitlines(keepends=True)
    whole = []
    for line, first, apart in zip(text, *readings, strict=True):
        begin, _, rest = line.partition(kind.bare)
        second = first + apart & _WRAP
        whole += [begin, kind.before, b"%d" % first, kind.between, b"%d" % second, kind.after, rest]
    return b"".join(whole)


def _steps(numbers: array[int]) -> array[int]:
    before = array("Q", (0, *numbers[:-1]))
    return array("Q", (now - then & _WRAP for now, then in zip(numbers, before, strict=True)))


def _sums(steps: array[int]) -> array[int]:
    total, sums = 0, array("Q")
    for step in steps:
        total = total + step & _WRAP
        sums.append(total)
    return sums


def _zigzag(numbers: array[int]) -> array[int]:
    """Small steps back as small numbers too: 0, -1, 1, -2 … are 0, 1, 2, 3 …"""
    return array("Q", ((one << 1 ^ (_WRAP if one >> 63 else 0)) & _WRAP for one in numbers))


def _unzigzagged(numbers: array[int]) -> array[int]:
    return array("Q", (one >> 1 ^ (_WRAP if one & 1 else 0) for one in numbers))

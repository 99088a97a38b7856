"""A proxy's output, as the suite keeps it: each line after the kubelet's stamp of it.

Linkerd's proxy counts from its own start: its "[ 18.727732s]" says nothing of when that was. The
kubelet's stamp is taken when containerd reads the line, so nothing that a line tells of came later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conformance.evidence.parse import rfc3339_ns


@dataclass(frozen=True)
class Line:
    """number: counted from 1. stamp: RFC 3339, as the kubelet writes it."""

    number: int
    stamp: str
    text: str

    @property
    def ns(self) -> int:
        """Nanoseconds since the epoch. Raises ValueError where there is no stamp."""
        return rfc3339_ns(self.stamp)


def lines(log: Path) -> Iterator[Line]:
    """The whole lines of a proxy's output: a pod that is cut off leaves half a line at its end."""
    with log.open("rb") as source:
        for number, line in enumerate(source, 1):
            if line.endswith(b"\n"):
                stamp, _, text = line.decode("utf-8", "replace").rstrip("\n").partition(" ")
                yield Line(number, stamp, text)

"""What a bundle says against itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from conformance.model import Evidence


@dataclass(frozen=True)
class Contradiction:
    """Two sources that cannot both be right, or a line that cannot be read.

    reason: a clause that names both. files: the files that are not to be trusted for it; none means
    the bundle as a whole. strikes_proof: not even a leak that was seen stands, because it is in
    doubt whose evidence this is, or when its packets were seen.
    """

    reason: str
    files: frozenset[str] = frozenset()
    evidence: tuple[Evidence, ...] = ()
    strikes_proof: bool = False

    def concerns(self, read: Collection[str]) -> bool:
        """Whether a verdict that leans on these files leans on what is in doubt."""
        return not self.files or not self.files.isdisjoint(read)

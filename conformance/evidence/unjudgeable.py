"""Evidence that cannot carry a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.model import Evidence, Measured


class Unjudgeable(Exception):
    """Why no verdict can be given. ``str()`` of it is the reason, with what is missing.

    retry: the capture was blind or dropped packets, which alone earns the cell a new attempt.
    """

    def __init__(
        self,
        reason: str,
        measured: Measured | None = None,
        evidence: Sequence[Evidence] = (),
        *,
        retry: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry = retry
        self.evidence = tuple(evidence)
        self.measured: Measured = measured or {}

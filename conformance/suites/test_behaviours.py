"""Every behaviour of the catalogue (conformance/plan/catalogue.toml), in every cell of the plan."""

from __future__ import annotations

from conformance.run.session import CellEvidence


def test_behaviour(evidence: CellEvidence) -> None:
    """The cell shows what the table of expectations says: the promise, or the hazard of it."""
    evidence.must_show()

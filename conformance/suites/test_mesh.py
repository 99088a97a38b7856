"""The mesh around the pod: who gets in, and as whom."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("inbound.bypass")
def test_a_client_outside_the_mesh_is_never_answered(evidence: CellEvidence) -> None:
    evidence.must_show("inbound.bypass")


@behaviour("mutual.identity")
def test_what_begins_as_tls_is_mutual_with_the_expected_identities(
    evidence: CellEvidence,
) -> None:
    evidence.must_show("mutual.identity")


@behaviour("plane.rotation")
def test_nobody_notices_that_certificates_are_replaced(evidence: CellEvidence) -> None:
    evidence.must_show("plane.rotation")

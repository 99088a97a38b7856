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


@behaviour("plane.outage")
def test_a_new_pod_waits_for_the_control_plane_and_a_running_one_needs_none(
    evidence: CellEvidence,
) -> None:
    evidence.must_show("plane.outage")


@behaviour("inject.outage")
def test_no_pod_comes_up_without_its_sidecar_unnoticed(evidence: CellEvidence) -> None:
    evidence.must_show("inject.outage")

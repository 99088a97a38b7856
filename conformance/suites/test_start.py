"""Start: nothing of the app happens before its sidecar is ready."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("start.order")
def test_the_app_starts_after_its_sidecars_startup_probe_passed(evidence: CellEvidence) -> None:
    evidence.must_show("start.order")


@behaviour("start.first-request")
def test_the_first_request_of_the_app_succeeds(evidence: CellEvidence) -> None:
    evidence.must_show("start.first-request")


@behaviour("start.no-plaintext")
def test_nothing_crosses_in_clear_before_the_sidecar_is_ready(evidence: CellEvidence) -> None:
    evidence.must_show("start.no-plaintext")


@behaviour("start.init-traffic")
def test_the_apps_init_containers_talk_through_the_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("start.init-traffic")

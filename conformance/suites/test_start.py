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


@behaviour("start.sequence")
def test_sidecars_and_init_containers_start_in_their_order(evidence: CellEvidence) -> None:
    evidence.must_show("start.sequence")


@behaviour("start.unready-sidecar")
def test_the_app_waits_until_its_sidecar_can_be_ready(evidence: CellEvidence) -> None:
    evidence.must_show("start.unready-sidecar")


@behaviour("start.crashing-sidecar")
def test_the_app_waits_for_a_sidecar_that_crashes_at_first(evidence: CellEvidence) -> None:
    evidence.must_show("start.crashing-sidecar")


@behaviour("start.no-probe")
def test_the_app_waits_for_a_sidecar_without_a_startup_probe(evidence: CellEvidence) -> None:
    evidence.must_show("start.no-probe")


@behaviour("start.probe-period")
def test_a_probe_that_names_no_period_does_not_hold_the_app_up(evidence: CellEvidence) -> None:
    evidence.must_show("start.probe-period")


@behaviour("start.delete-during-init")
def test_a_pod_deleted_while_its_sidecar_starts_ends_promptly(evidence: CellEvidence) -> None:
    evidence.must_show("start.delete-during-init")


@behaviour("start.cni-race")
def test_the_app_waits_for_a_cni_plugin_that_comes_late(evidence: CellEvidence) -> None:
    evidence.must_show("start.cni-race")


@behaviour("start.cni-validation")
def test_a_validating_init_container_keeps_what_is_not_redirected(evidence: CellEvidence) -> None:
    evidence.must_show("start.cni-validation")


@behaviour("start.cost")
def test_what_the_start_costs_is_measured(evidence: CellEvidence) -> None:
    evidence.must_show("start.cost")


@behaviour("mixed.order")
def test_beside_a_classic_sidecar_the_native_one_keeps_its_place(evidence: CellEvidence) -> None:
    evidence.must_show("mixed.order")

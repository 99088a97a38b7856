"""Moving workloads and meshes, under load."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("move.rollout")
def test_a_workload_is_moved_to_this_pattern_without_a_leak_or_a_loss(
    evidence: CellEvidence,
) -> None:
    evidence.must_show("move.rollout")


@behaviour("move.old-cluster")
def test_a_cluster_that_does_not_know_native_sidecars_says_so(evidence: CellEvidence) -> None:
    evidence.must_show("move.old-cluster")


@behaviour("move.kubelet-skew")
def test_an_old_kubelet_refuses_a_native_pod_in_words(evidence: CellEvidence) -> None:
    evidence.must_show("move.kubelet-skew")


@behaviour("move.upgrade")
def test_a_mesh_is_upgraded_without_a_leak_or_a_loss(evidence: CellEvidence) -> None:
    evidence.must_show("move.upgrade")


@behaviour("move.pattern-flip")
def test_a_dry_run_tells_what_another_default_pattern_does(evidence: CellEvidence) -> None:
    evidence.must_show("move.pattern-flip")


@behaviour("move.webhook")
def test_an_outdated_webhook_does_not_take_the_pattern_unnoticed(evidence: CellEvidence) -> None:
    evidence.must_show("move.webhook")

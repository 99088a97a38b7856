"""Accounting and visibility: what a pod with a sidecar counts for, and what tools show of it."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("account.requests")
def test_a_quota_admits_a_pod_at_exactly_its_effective_request(evidence: CellEvidence) -> None:
    evidence.must_show("account.requests")


@behaviour("account.limit-range")
def test_a_limit_range_applies_to_the_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("account.limit-range")


@behaviour("account.qos")
def test_the_sidecar_counts_for_the_quality_of_service(evidence: CellEvidence) -> None:
    evidence.must_show("account.qos")


@behaviour("account.node")
def test_the_sidecar_counts_on_its_node(evidence: CellEvidence) -> None:
    evidence.must_show("account.node")


@behaviour("account.metrics")
def test_the_kubelets_metrics_include_the_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("account.metrics")


@behaviour("see.spec")
def test_the_articles_commands_show_a_native_sidecar_in_the_spec(evidence: CellEvidence) -> None:
    evidence.must_show("see.spec")


@behaviour("see.status")
def test_the_articles_commands_show_a_native_sidecar_at_work(evidence: CellEvidence) -> None:
    evidence.must_show("see.status")


@behaviour("see.ready")
def test_ready_counts_the_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("see.ready")


@behaviour("see.naive-tools")
def test_an_old_agent_counts_the_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("see.naive-tools")


@behaviour("see.any-restart-policy")
def test_a_restart_policy_makes_a_sidecar_of_init_containers_only(evidence: CellEvidence) -> None:
    evidence.must_show("see.any-restart-policy")

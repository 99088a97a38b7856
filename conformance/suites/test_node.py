"""Node: its services are restarted under running and draining pods."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("node.kubelet-restart")
def test_a_restarted_kubelet_keeps_pods_and_their_order(evidence: CellEvidence) -> None:
    evidence.must_show("node.kubelet-restart")


@behaviour("node.runtime-restart")
def test_a_restarted_runtime_keeps_pods_and_their_order(evidence: CellEvidence) -> None:
    evidence.must_show("node.runtime-restart")

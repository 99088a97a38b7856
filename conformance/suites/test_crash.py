"""Crash: a sidecar that ends under a running app comes back alone."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("crash.window")
def test_a_crashed_sidecar_is_restarted_alone(evidence: CellEvidence) -> None:
    evidence.must_show("crash.window")


@behaviour("crash.no-plaintext")
def test_nothing_crosses_in_clear_while_the_sidecar_is_away(evidence: CellEvidence) -> None:
    evidence.must_show("crash.no-plaintext")


@behaviour("crash.outcome")
def test_every_request_after_the_sidecars_return_is_answered(evidence: CellEvidence) -> None:
    evidence.must_show("crash.outcome")


@behaviour("crash.bypass")
def test_a_client_outside_the_mesh_is_not_answered_while_the_sidecar_is_away(
    evidence: CellEvidence,
) -> None:
    evidence.must_show("crash.bypass")


@behaviour("crash.connections")
def test_every_kind_of_connection_is_in_use_again_after_a_crash(evidence: CellEvidence) -> None:
    evidence.must_show("crash.connections")


@behaviour("crash.liveness")
def test_a_failing_liveness_probe_restarts_the_sidecar_alone(evidence: CellEvidence) -> None:
    evidence.must_show("crash.liveness")


@behaviour("crash.backoff")
def test_repeated_crashes_lengthen_the_window(evidence: CellEvidence) -> None:
    evidence.must_show("crash.backoff")


@behaviour("crash.oom")
def test_a_sidecar_over_its_memory_limit_is_killed_alone(evidence: CellEvidence) -> None:
    evidence.must_show("crash.oom")


@behaviour("crash.terminating")
def test_a_sidecar_that_dies_in_a_terminating_pod_stays_dead(evidence: CellEvidence) -> None:
    evidence.must_show("crash.terminating")

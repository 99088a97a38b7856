"""Stop: the sidecar serves until the app has gone."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("stop.order")
def test_the_sidecar_is_signalled_after_the_app_has_exited(evidence: CellEvidence) -> None:
    evidence.must_show("stop.order")


@behaviour("stop.in-flight")
def test_requests_in_flight_at_deletion_are_answered(evidence: CellEvidence) -> None:
    evidence.must_show("stop.in-flight")


@behaviour("stop.app-egress")
def test_what_the_app_sends_while_it_drains_arrives(evidence: CellEvidence) -> None:
    evidence.must_show("stop.app-egress")


@behaviour("stop.no-plaintext")
def test_nothing_crosses_in_clear_while_the_pod_ends(evidence: CellEvidence) -> None:
    evidence.must_show("stop.no-plaintext")


@behaviour("stop.stale-prestop")
def test_the_sidecars_own_hook_leaves_the_app_its_proxy(evidence: CellEvidence) -> None:
    evidence.must_show("stop.stale-prestop")


@behaviour("stop.keepalive")
def test_open_connections_live_through_the_drain(evidence: CellEvidence) -> None:
    evidence.must_show("stop.keepalive")

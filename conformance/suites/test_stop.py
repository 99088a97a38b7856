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


@behaviour("stop.prestop-concurrent")
def test_all_hooks_start_when_the_deletion_starts(evidence: CellEvidence) -> None:
    evidence.must_show("stop.prestop-concurrent")


@behaviour("stop.prestop-workaround")
def test_a_hook_that_only_waits_loses_nothing(evidence: CellEvidence) -> None:
    evidence.must_show("stop.prestop-workaround")


@behaviour("stop.stale-prestop-quit")
def test_the_articles_first_hook_leaves_the_app_its_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("stop.stale-prestop-quit")


@behaviour("stop.stale-prestop-sleep")
def test_the_articles_second_hook_leaves_the_app_its_sidecar(evidence: CellEvidence) -> None:
    evidence.must_show("stop.stale-prestop-sleep")


@behaviour("stop.short-grace")
def test_a_longer_grace_period_heals_what_a_short_one_cuts(evidence: CellEvidence) -> None:
    evidence.must_show("stop.short-grace")


@behaviour("stop.total-time")
def test_a_deletion_ends_in_time(evidence: CellEvidence) -> None:
    evidence.must_show("stop.total-time")


@behaviour("stop.exit-code")
def test_a_killed_sidecar_fails_no_job(evidence: CellEvidence) -> None:
    evidence.must_show("stop.exit-code")


@behaviour("stop.endpoints")
def test_a_pod_leaves_its_service_before_it_refuses(evidence: CellEvidence) -> None:
    evidence.must_show("stop.endpoints")


@behaviour("stop.eviction")
def test_eviction_drain_and_preemption_keep_the_order(evidence: CellEvidence) -> None:
    evidence.must_show("stop.eviction")


@behaviour("stop.reverse-order")
def test_several_sidecars_are_signalled_in_reverse_order(evidence: CellEvidence) -> None:
    evidence.must_show("stop.reverse-order")

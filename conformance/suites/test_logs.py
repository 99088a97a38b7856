"""Log shippers: no line is lost."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("logs.first")
def test_the_apps_first_lines_reach_the_sink(evidence: CellEvidence) -> None:
    evidence.must_show("logs.first")


@behaviour("logs.last")
def test_every_line_to_the_last_reaches_the_sink(evidence: CellEvidence) -> None:
    evidence.must_show("logs.last")


@behaviour("logs.health-gate")
def test_the_app_waits_for_a_shipper_that_reaches_its_sink(evidence: CellEvidence) -> None:
    evidence.must_show("logs.health-gate")


@behaviour("logs.health-default")
def test_the_health_endpoint_as_it_comes_answers_the_probe(evidence: CellEvidence) -> None:
    evidence.must_show("logs.health-default")


@behaviour("logs.crash")
def test_a_killed_shipper_goes_on_where_it_was(evidence: CellEvidence) -> None:
    evidence.must_show("logs.crash")


@behaviour("logs.starved")
def test_a_shipper_delivers_what_it_has_read_in_the_time_that_is_left(
    evidence: CellEvidence,
) -> None:
    evidence.must_show("logs.starved")


@behaviour("logs.behind-mesh")
def test_the_last_lines_arrive_and_are_encrypted(evidence: CellEvidence) -> None:
    evidence.must_show("logs.behind-mesh")

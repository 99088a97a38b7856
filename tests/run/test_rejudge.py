"""Evidence that is judged again: a run's, and one bundle's alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance import cli
from conformance.errors import UsageProblem
from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.model import Cell, Finding
from conformance.plan.cells import Item
from conformance.run import rejudge
from conformance.verdicts import store as verdicts
from tests.forge.bundle import token
from tests.worlds import lifecycle

CELL = Cell("1.33", "envoy", "native", "init-rules", "lifecycle")


def kept_run(results: Path, *, leaks: bool = False) -> Path:
    """A run of one cell, whose two kept verdicts say that all was well."""
    world = lifecycle.lifecycle("native").complete()
    if leaks:
        begun = world.lines("subject.app", "request.begin", kind="drain")
        world.leak(12.0, begun[3]["token"])
    folder = world.write(results / "evidence" / "1.33" / CELL.slug)
    for behaviour in ("stop.order", "stop.no-plaintext"):
        finding = Finding(behaviour, "holds", "As kept.")
        verdicts.keep(results, verdicts.hold(Item(CELL, behaviour), finding, attempts=2), folder)
    return folder


def test_a_run_is_judged_by_its_evidence_and_not_by_what_is_kept(tmp_path: Path) -> None:
    kept_run(tmp_path, leaks=True)
    found = {one.verdict.finding.behaviour: one for one in rejudge.judged(tmp_path)}
    leak, order = found["stop.no-plaintext"], found["stop.order"]
    assert (leak.verdict.outcome, leak.before, leak.told) == ("fail", "pass", "  (was pass)")
    assert (order.verdict.outcome, order.told) == ("pass", "")
    assert order.verdict.attempts == 2 and "As kept." not in order.verdict.reason


def test_what_had_no_bundle_stays_what_it_was(tmp_path: Path) -> None:
    item = Item(CELL, "stop.order")
    verdicts.keep(tmp_path, verdicts.without_evidence(item, "not-verified", "No image."), None)
    (only,) = rejudge.judged(tmp_path)
    assert only.verdict.outcome == "not-verified" and only.bundle is None


def test_a_bundle_alone_is_asked_for_all_that_its_scenario_can_show(tmp_path: Path) -> None:
    folder = kept_run(tmp_path)
    found = {one.verdict.finding.behaviour: one.verdict for one in rejudge.judged(folder)}
    assert {"start.order", "stop.order", "stop.no-plaintext"} <= set(found)
    assert "job.completes" not in found
    whole = judge("stop.order", Bundle.open(folder))
    assert found["stop.order"].finding == whole


def test_strict_promises_are_asked_of_old_evidence_too(tmp_path: Path) -> None:
    cell = Cell("1.28", "envoy", "native", "init-rules", "lifecycle")
    finding = Finding("stop.order", "broken", "Together.", "wrong-order")
    verdicts.keep(tmp_path, verdicts.hold(Item(cell, "stop.order"), finding), None)
    (loose,) = rejudge.judged(tmp_path)
    (strict,) = rejudge.judged(tmp_path, strict_promises=True)
    assert (loose.verdict.outcome, strict.verdict.outcome) == ("reproduced", "fail")


def test_the_command_tells_the_story_of_what_is_no_success(tmp_path: Path) -> None:
    kept_run(tmp_path, leaks=True)
    shown = CliRunner().invoke(cli.main, ["judge", str(tmp_path)])
    assert shown.exit_code == 1
    assert "(was pass)" in shown.output and "1 pass, 1 fail" in shown.output
    assert "delete.accepted" in shown.output


def test_a_bundle_is_told_with_its_timeline_and_its_packets(tmp_path: Path) -> None:
    folder = kept_run(tmp_path, leaks=True)
    shown = CliRunner().invoke(cli.main, ["judge", str(folder)])
    assert "app.sigterm" in shown.output and "frame" in shown.output
    assert token("drain", 0)[:-6] in shown.output  # of whichever number


def test_a_folder_with_neither_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="neither a run's folder"):
        list(rejudge.judged(tmp_path))
    (tmp_path / "cell.json").write_text("{}")
    with pytest.raises(UsageProblem, match="does not say which cell"):
        list(rejudge.judged(tmp_path))
    assert CliRunner().invoke(cli.main, ["judge", str(tmp_path)]).exit_code == 2

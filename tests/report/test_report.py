"""Exit codes, and a report made from files alone."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from conformance.model import Cell, Evidence, Finding
from conformance.plan.cells import Item
from conformance.report import document
from conformance.report.decision import summary
from conformance.verdicts import expectations
from conformance.verdicts import store as verdicts

CELL = Cell("1.33", "envoy", "native", "fallback", "lifecycle")
ITEM = Item(CELL, "start.order")


def counted(**given: int) -> dict[str, int]:
    return {outcome: given.get(outcome.replace("-", "_"), 0) for outcome in summary.OUTCOMES}


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        (counted(**{"pass": 3}, reproduced=2), 0),
        (counted(reproduced=1), 0),
        (counted(**{"pass": 3}, fail=1, inconclusive=1), 1),
        (counted(**{"pass": 3}, not_reproduced=1), 1),
        (counted(**{"pass": 3}, inconclusive=1), 5),
        (counted(inconclusive=1), 5),
        (counted(), 4),
        (counted(not_verified=7), 4),
        (counted(measured=2), 4),
        (counted(**{"pass": 1}, not_verified=7), 0),
    ],
)
def test_exit_codes(counts: dict[str, int], code: int) -> None:
    assert summary.exit_code(counts) == code


def test_a_missing_cluster_is_an_environment_that_could_not_be_set_up() -> None:
    assert summary.exit_code(counted(**{"pass": 3}, inconclusive=2), clusters_failed=True) == 3
    assert summary.exit_code(counted(fail=1), clusters_failed=True) == 1


def test_a_verdict_survives_the_disk(tmp_path: Path) -> None:
    finding = Finding(
        "start.order",
        "holds",
        "Ordered by 12 ms.",
        measured={"gap_ms": 12.5, "outcomes": {"ok": 3}},
        evidence=(Evidence("runtime.log", line=7, ns=5, text="create"),),
    )
    verdict = verdicts.hold(ITEM, finding, attempts=2)
    verdicts.keep(tmp_path, verdict, tmp_path / "evidence" / "x")
    (back, bundle), *more = verdicts.kept(tmp_path)
    assert not more and bundle == "evidence/x"
    assert back.outcome == "pass" and back.attempts == 2
    assert back.finding.evidence[0].line == 7 and back.finding.measured["gap_ms"] == 12.5


def test_what_nobody_judged_is_inconclusive_in_the_report(tmp_path: Path) -> None:
    other = Item(CELL, "stop.order")
    verdicts.keep(tmp_path, verdicts.hold(ITEM, Finding("start.order", "holds", "Yes.")), None)
    found = document.collect(tmp_path, [ITEM, other])
    assert [verdict.outcome for verdict, _ in found] == ["pass", "inconclusive"]
    assert "No verdict was reached" in found[1][0].reason


def test_a_clusters_versions_are_those_of_its_bundles(tmp_path: Path) -> None:
    folder = tmp_path / "evidence" / "1.33" / "x"
    folder.mkdir(parents=True)
    told = {"server": "v1.33.13", "kubelet": "v1.33.13", "runtime": "containerd", "kernel": "6"}
    (folder / "cell.json").write_text(json.dumps({"versions": told}))
    for k8s, state in (("1.33", "ready"), ("1.37", "failed")):
        file = tmp_path / "clusters" / k8s / "state.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"state": state, "reason": "", "cluster": None}))
    verdicts.keep(tmp_path, verdicts.hold(ITEM, Finding("start.order", "holds", "Yes.")), folder)
    found = document.collect(tmp_path, [ITEM])
    clusters = document.document(tmp_path, found, run={})["run"]["clusters"]
    assert clusters["1.33"]["versions"] == told
    assert clusters["1.37"] == {
        "state": "failed", "reason": "", "cluster": None, "versions": None
    }  # fmt: skip


def test_the_report_keeps_its_shape(tmp_path: Path) -> None:
    verdicts.keep(tmp_path, verdicts.hold(ITEM, Finding("start.order", "holds", "Yes.")), None)
    report = document.document(
        tmp_path,
        document.collect(tmp_path, [ITEM]),
        run={"id": "x", "started": "2026-01-01T00:00:00Z", "duration_seconds": 1.0},
    )
    schema = json.loads((Path(document.__file__).parent / "schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(report)), schema)
    assert report["decision"]["word"] == "not proven"  # one verdict, and no control arm
    assert expectations.expected("start.order", CELL).expect == report["cells"][0]["expected"]

"""Many reports as one: what is counted, what is named, and what it is worth."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance import cli
from conformance.errors import UsageProblem
from conformance.report.fleet import merge, say

Json = dict[str, Any]


def entry(verdict: str = "pass", *, behaviour: str = "stop.in-flight", n: int = 300) -> Json:
    observed = {"pass": "holds", "fail": "broken"}.get(verdict, verdict)
    return {
        "k8s": "1.33", "sidecar": "envoy", "pattern": "native", "mode": "init-rules",
        "scenario": "lifecycle", "behaviour": behaviour, "verdict": verdict, "observed": observed,
        "hazard": "plaintext" if verdict == "fail" else "", "reason": f"Seen: {verdict}.",
        "measured": {"rate_bound_95": 3 / n, "gap_seconds": n / 100, "shown": True},
    }  # fmt: skip


def report(run: str, *entries: Json) -> Json:
    versions = {"server": "v1.33.1", "kubelet": "v1.33.1", "runtime": "containerd", "kernel": "6"}
    clusters = {"1.33": {"state": "ready", "versions": versions}}
    return {"schema": 1, "run": {"id": run, "clusters": clusters}, "cells": list(entries)}


def put(folder: Path, made: Json) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(made))
    return folder


def only(fleet: merge.Fleet) -> merge.Row:
    (row,) = fleet.rows.values()
    return row


def test_what_holds_everywhere_is_worth_all_its_attempts(tmp_path: Path) -> None:
    for n in range(5):
        put(tmp_path / f"node-{n}", report(f"r{n}", entry(n=200)))
    fleet = merge.merge([tmp_path])
    row = only(fleet)
    assert (row.outcomes, row.attempts, fleet.exit_code) == ({"pass": 5}, 1000, 0)
    assert row.bound == pytest.approx(0.003)
    assert any("breaches rarer than 1 in 333 would be missed" in line for line in say.lines(fleet))


def test_one_node_that_breaks_is_named_and_takes_the_bound_away(tmp_path: Path) -> None:
    for n in range(4):
        put(tmp_path / "pool-a" / f"node-{n}", report(f"a{n}", entry()))
    put(tmp_path / "pool-b" / "node-0", report("b0", entry("fail")))
    fleet = merge.merge([tmp_path])
    row = only(fleet)
    assert (fleet.exit_code, row.mixed, row.bound) == (1, True, None)
    assert row.pools == {"pool-a": {"pass": 4}, "pool-b": {"fail": 1}}
    assert row.hazards == {"plaintext": 1}
    told = list(say.lines(fleet))
    assert any("(nodes disagree)" in line for line in told)
    assert any(f"fail in {tmp_path / 'pool-b' / 'node-0'}: Seen: fail." in line for line in told)


def test_many_bad_nodes_are_counted_and_few_are_named(tmp_path: Path) -> None:
    for n in range(30):
        put(tmp_path / f"node-{n:02}", report(f"r{n}", entry("fail")))
    row = only(merge.merge([tmp_path]))
    assert row.outcomes["fail"] == 30
    assert len(row.where["fail"]) == 10


def test_a_run_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    one = put(tmp_path / "a", report("r", entry()))
    fleet = merge.merge([one, one, one / "report.json"])
    assert (only(fleet).outcomes["pass"], fleet.twice) == (1, 2)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"schema": 99}',
        '{"schema": 1}',
        '{"schema": 1, "run": {"id": "x"}, "cells": [7]}',
    ],
)
def test_a_report_that_cannot_be_read_is_named_and_is_no_success(
    tmp_path: Path, content: str
) -> None:
    put(tmp_path / "a", report("r", entry()))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "report.json").write_text(content)
    fleet = merge.merge([tmp_path])
    assert (len(fleet.runs), len(fleet.unread), fleet.exit_code) == (1, 1, 5)
    assert str(tmp_path / "b") in fleet.unread[0]


def test_a_damaged_report_is_merged_not_at_all(tmp_path: Path) -> None:
    damaged = report("r2", entry(), {**entry(), "measured": None})
    put(tmp_path / "a", report("r1", entry()))
    put(tmp_path / "b", damaged)
    fleet = merge.merge([tmp_path])
    assert only(fleet).outcomes == {"pass": 1}
    assert fleet.runs == {"r1"}


def test_a_report_without_a_verdict_is_no_success(tmp_path: Path) -> None:
    put(tmp_path / "a", report("r1", entry()))
    put(tmp_path / "b", report("r2"))
    fleet = merge.merge([tmp_path])
    assert (fleet.exit_code, fleet.empty) == (5, [str(tmp_path / "b")])


def test_a_breach_outweighs_what_could_not_be_read(tmp_path: Path) -> None:
    put(tmp_path / "a", report("r", entry("fail")))
    (tmp_path / "b.json").write_text("{")
    assert merge.merge([tmp_path]).exit_code == 1


def test_nothing_to_merge_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no report"):
        merge.merge([tmp_path])


def test_of_sizes_a_sample_is_kept_and_all_are_counted() -> None:
    fleet = merge.Fleet()
    for n in range(1000):
        fleet.add(f"node-{n}", "", report(f"r{n}", entry(n=n + 1)))
    gap = only(fleet).sizes["gap_seconds"]
    assert (gap.count, gap.least, gap.most, len(gap.sample)) == (1000, 0.01, 10.0, 200)
    assert gap.quantile(0.5) == pytest.approx(5, abs=1)
    assert gap.quantile(0.95) == pytest.approx(9.5, abs=0.6)
    assert "shown" not in only(fleet).sizes


def test_merging_in_another_order_counts_the_same() -> None:
    made = [report(f"r{n}", entry("fail" if n % 3 else "pass", n=n + 1)) for n in range(12)]
    one, two = merge.Fleet(), merge.Fleet()
    for each in made:
        one.add(each["run"]["id"], "", copy.deepcopy(each))
    for each in reversed(made):
        two.add(each["run"]["id"], "", copy.deepcopy(each))
    assert (only(one).outcomes, only(one).attempts) == (only(two).outcomes, only(two).attempts)
    assert one.exit_code == two.exit_code


def test_the_command_merges_and_says_its_code(tmp_path: Path) -> None:
    put(tmp_path / "a", report("r1", entry()))
    put(tmp_path / "b", report("r2", entry("inconclusive")))
    shown = CliRunner().invoke(cli.main, ["compare", "--merge", str(tmp_path)])
    assert shown.exit_code == 5
    assert "2 reports" in shown.output
    data = CliRunner().invoke(cli.main, ["compare", "--merge", "--json", str(tmp_path)])
    told = json.loads(data.stdout)
    assert (told["reports"], told["exit_code"], told["rows"][0]["attempts"]) == (2, 5, 300)


def test_without_merge_it_takes_two_runs(tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli.main, ["compare", str(tmp_path)])
    assert shown.exit_code == 2
    assert "compare takes two runs" in shown.output

"""The whole way from evidence to an answer: bundles, judge, report.json, compare.

No entry of a report is forged: what is changed is the evidence, and the commands do the rest.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from tests.forge.bundle import ENVOY, World, ns
from tests.report import altered
from tests.report.made import report
from tests.worlds import lifecycle as worlds

ENDS = "stop.order stop.app-egress"
CLEAR = "stop.no-plaintext start.no-plaintext inbound.bypass"


def invoke(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(main, arguments)
    return answer.exit_code, " ".join(answer.output.split())


def judged(run: Path) -> Path:
    """A run whose evidence was changed, with the report of what it gives now."""
    pages = run.with_name(f"{run.name}-now")
    invoke("judge", str(run), "--report", str(pages))
    assert (pages / "report.html").is_file() and (pages / "junit.xml").is_file()
    return pages


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (31, "lost job.completes"),
        (11, "no promise is lost, but job.completes complete_after_seconds got worse"),
    ],
)
def test_a_job_whose_end_came_ten_times_as_late_is_named(
    seconds: int, said: str, tmp_path: Path
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    report(before, (worlds.job("native"), "native", "job.completes"))
    shutil.copytree(before, after)
    (bundle,) = after.glob("evidence/1.33/*")
    altered.later(bundle, ns(7.51), seconds)
    code, told = invoke("compare", str(before), str(judged(after)))
    assert code == 1, told
    assert "job.completes" in told and "complete_after_seconds 3.49 s → " in told
    assert f"complete_after_seconds 3.49 s → {3.49 + seconds:.4g} s" in told
    assert all(word in told for word in said.split())
    assert "exit code 1: " in told
    assert invoke("compare", str(judged(after)), str(before))[0] == 0


def test_the_same_evidence_judged_twice_has_lost_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    report(run, (worlds.job("native"), "native", "job.completes"))
    (bundle,) = run.glob("evidence/1.33/*")
    altered.later(bundle, ns(7.51), 0)  # what moves clocks breaks no evidence
    code, told = invoke("compare", str(run), str(judged(run)))
    assert code == 0 and "Nothing is lost, of 1 verdict compared" in told


def quits_in_its_prestop() -> World:
    """A native pod whose sidecar quits in its preStop hook, while the app still works."""
    world, quit_ = worlds.lifecycle("native"), 11.6
    world.unexited(ENVOY)
    world.exited(quit_, ENVOY)
    sidecar = world.stamps["subject.envoy"]
    sidecar[:] = [one for one in sidecar if one["ns"] < ns(quit_)]
    for end in world.lines("subject.app", "request.end"):
        if end["ns"] > ns(quit_) and end["outcome"] == "ok":
            end["outcome"] = "refused"
    return world


def test_a_native_run_whose_sidecar_quits_in_its_prestop_is_not_safe(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    report(before, (worlds.lifecycle("native"), "native", ENDS))
    report(after, (quits_in_its_prestop(), "native", ENDS))
    code, told = invoke("judge", str(after))
    assert code == 1 and "stop.app-egress" in told
    decision = json.loads((judged(after) / "report.json").read_text())["decision"]
    assert decision["word"] == "not safe" and "stop.app-egress" in decision["sentence"]
    code, told = invoke("compare", str(before), str(judged(after)))
    assert code == 1 and "Worse: " in told and "stop.app-egress" in told
    code, told = invoke("report", str(after), "--out", str(tmp_path / "pages"))
    assert code == 0 and "Not safe" in told and "stop.app-egress" in told


def test_a_second_half_whose_captures_are_blind_is_no_answer(tmp_path: Path) -> None:
    """The captures of both patterns end in the middle: the control arm shows nothing any more."""
    before, after = tmp_path / "before", tmp_path / "after"
    report(before, *((worlds.lifecycle(one), one, CLEAR) for one in ("classic", "native")))
    shutil.copytree(before, after)
    for bundle in after.glob("evidence/1.33/*"):
        altered.blind(bundle, ns(8))
    now = judged(after)
    code, told = invoke("compare", str(before), str(now))
    assert code == 5 and "exit code 5: " in told, told
    assert "Cannot be said: nothing is seen to be lost, but" in told
    assert "Nothing is lost" not in told
    decision = json.loads((now / "report.json").read_text())["decision"]
    assert decision["word"] != "safe for this scope"

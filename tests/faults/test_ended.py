"""A run that is ended, by its user or by force: alone, in a part, and beside another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from conformance.evidence.vocabulary import Step
from tests.faults.playing import VERDICTS, Played, say, start


def test_ctrl_c_ends_a_run_in_good_order(tmp_path: Path) -> None:
    run = start(tmp_path)
    (bundle, *_) = run.await_step(Step.SUBJECT_CREATE)
    say("SIGINT to the run and its workers, as Ctrl-C sends it")
    run.signal_all(signal.SIGINT)
    run.must_have_ended(130)
    run.must_have_said("exit code 130 (interrupted)")
    report = run.report()
    assert report["run"]["interrupted"] and len(report["cells"]) == VERDICTS
    run.must_be_honest()
    assert (bundle / "steps.jsonl").stat().st_size, "the evidence of a cell is gone"
    run.must_leave_nothing()


def test_what_a_killed_run_left_goes_with_the_next_and_so_does_a_killed_worker(
    tmp_path: Path,
) -> None:
    """Two faults: SIGKILL of a run, and in the run that sweeps after it SIGKILL of a worker."""
    killed = start(tmp_path)
    (bundle, *_) = killed.await_step(Step.SUBJECT_CREATE)
    say("SIGKILL to the run alone")
    killed.child.kill()
    assert killed.end() == -signal.SIGKILL

    run = start(tmp_path)
    run.await_said(f"Removed what run {killed.folder.name} (killed) left: ")
    killed.must_leave_nothing()
    assert (bundle / "steps.jsonl").stat().st_size, "the evidence of the killed run is gone"

    cell = _kill_worker(run)
    run.must_have_ended(0)
    run.must_have_said("A worker of the run has died", "is observed once more")
    run.must_be_honest()
    report = run.report()
    assert [one["verdict"] for one in report["cells"]].count("inconclusive") == 0
    assert report["run"]["attempts"]["repeated"] == [cell], "the second attempt is not counted"
    run.must_leave_nothing()


def _kill_worker(run: Played) -> str:
    """The worker that observes a cell; the cell's id."""
    (bundle, *_) = run.await_step(Step.SUBJECT_READY)
    cell, pid = next(one for one in run.workers().items() if one[0].endswith(bundle.name))
    say(f"SIGKILL to the worker that observes {bundle.name} (process {pid})")
    os.kill(pid, signal.SIGKILL)
    return cell


def test_of_two_at_once_the_other_goes_on_when_one_is_killed(tmp_path: Path) -> None:
    """The one that goes on is the next run of all that were ended before, and clean."""
    killed = start(tmp_path / "killed")
    other = start(tmp_path / "other")
    killed.await_said("creating the cluster for Kubernetes")
    other.await_said("creating the cluster for Kubernetes")
    say("SIGKILL to one of two runs while the clusters of both are made")
    killed.child.kill()
    assert killed.end() == -signal.SIGKILL
    other.await_step(Step.SUBJECT_CREATE)
    killed.known.hosts |= other.known.hosts  # it had no node yet that could be asked
    other.must_be_clean()
    say("the next run sweeps after the killed one")
    sweeper = start(tmp_path / "sweeper")
    sweeper.await_said(f"Removed what run {killed.folder.name} (killed) left: ")
    sweeper.known.hosts |= other.known.hosts
    sweeper.await_said("results in ")  # what it has is known by its folder's name
    sweeper.signal_all(signal.SIGTERM)
    sweeper.must_have_ended(130)
    killed.must_leave_nothing()
    sweeper.must_leave_nothing()

"""Runs across processes: locks, what a killed one leaves, and being asked to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.machine import locks, runs
from conformance.machine.paths import CHECKOUT

# Who started pytest with nohup asked that SIGHUP be ignored, and not the processes below. They see
# to it themselves: Python that runs between fork and exec may wait for a lock of a thread that the
# fork left behind, and the watchdogs of earlier tests are such threads.
HEARS_SIGHUP = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""

HOLD_A_RUN = """
import sys
from pathlib import Path
from conformance.machine import runs
with runs.start(Path(sys.argv[1]), host="unix:///nowhere", keep=len(sys.argv) > 2) as run:
    run.register(run.cluster_name("1.33"))
    print(run.id, flush=True)
    sys.stdin.read()
"""

CLEAN_UP_SLOWLY = """
import sys
from conformance.machine import runs
with runs.interrupts() as interrupts:
    try:
        print("working", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt as asked:
        try:
            print("asked by", asked, flush=True)
            sys.stdin.readline()
            print("cleaned up", flush=True)
        except KeyboardInterrupt:
            print("gave up", flush=True)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, inherited by its processes."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


PATIENCE = 120  # seconds


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Started by ``python``; killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        one.kill()
        one.communicate()


def python(
    processes: list[subprocess.Popen[str]], program: str, *arguments: str | Path
) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HEARS_SIGHUP + program, *map(str, arguments)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    processes.append(child)
    watchdog = threading.Timer(PATIENCE, child.kill)  # what hangs says nothing, and fails
    watchdog.daemon = True
    watchdog.start()
    return child


def removed(_: runs.Record) -> None:
    """A deleter that succeeds."""


def say(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_locks_count_users_and_exclude_others(tmp_path: Path) -> None:
    path = tmp_path / "users.lock"
    with locks.shared(path), locks.shared(path):
        assert locks.try_exclusive(path) is None
    with locks.exclusive(path):
        assert locks.try_exclusive(path) is None
    last = locks.try_exclusive(path)
    assert last is not None
    last.release()


def test_a_lock_on_a_removed_file_excludes_nobody_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    first = locks.exclusive(path)
    path.unlink()
    with locks.exclusive(path):
        assert locks.try_exclusive(path) is None
    first.release()


def test_a_run_has_a_sortable_name_a_folder_and_is_the_latest(tmp_path: Path) -> None:
    with runs.start(tmp_path) as first, runs.start(tmp_path) as second:
        assert first.id != second.id
        assert second.results.is_dir()
        assert second.cluster_name("1.28-nogate") == f"sc-{second.short}-1-28-nogate"
        # kind appends "-control-plane", and a host name has at most 63 characters.
        assert len(second.cluster_name("1.28-nogate") + "-control-plane") <= 63
    assert [record.id for record in runs.alive()] == []
    assert (tmp_path / "latest").resolve() == first.results  # the one that ended last


def test_evidence_is_its_owners_whatever_its_writers_need(tmp_path: Path) -> None:
    """Inside, containers write as users of all numbers; nobody else comes to these folders."""
    with runs.start(tmp_path / "all" / "results") as run:
        assert run.results.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "all" / "results").stat().st_mode & 0o700 == 0o700


def test_a_run_without_a_verdict_is_not_the_latest(tmp_path: Path) -> None:
    with runs.start(tmp_path, worth=lambda _: True) as good:
        pass
    with runs.start(tmp_path, worth=lambda _: False):
        pass
    assert (tmp_path / "latest").resolve() == good.results


def test_a_run_that_ended_well_leaves_no_record(cache: Path, tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        run.register("sc-x")
        run.unregister("sc-x")
        assert [record.id for record in runs.alive()] == [run.id]
    assert list((cache / "runs").iterdir()) == []


def test_results_that_cannot_be_made_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="--results"), runs.start(tmp_path / "file"):
        pass


def test_a_live_run_is_not_swept_and_a_killed_one_is(
    cache: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    child = python(processes, HOLD_A_RUN, tmp_path)
    run_id = say(child)
    deleted: list[runs.Record] = []
    assert runs.sweep(deleted.append) == []
    assert [record.id for record in runs.alive()] == [run_id]

    child.kill()
    child.wait()
    assert runs.alive() == []
    assert runs.sweep(deleted.append) == [run_id]
    (record,) = deleted
    assert record.clusters == (f"sc-{runs.short(run_id)}-1-33",)
    assert record.host == "unix:///nowhere"
    assert record.network == f"sc-{runs.short(run_id)}"
    assert list((cache / "runs").iterdir()) == []


def test_what_cannot_be_removed_is_tried_again(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    child = python(processes, HOLD_A_RUN, tmp_path)
    run_id = say(child)
    child.kill()
    child.wait()

    def engine_is_down(_: runs.Record) -> None:
        raise EnvironmentProblem("No engine answers.")

    assert runs.sweep(engine_is_down) == []
    assert runs.sweep(removed) == [run_id]


def test_kept_clusters_stay_until_they_are_asked_for(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    child = python(processes, HOLD_A_RUN, tmp_path, "keep")
    run_id = say(child)
    assert runs.kept() == []  # its run is still alive
    child.communicate("")
    assert [record.id for record in runs.kept()] == [run_id]
    assert runs.sweep(removed) == []
    assert runs.sweep(removed, kept_too=True) == [run_id]
    assert runs.kept() == []


def test_a_broken_record_does_not_stop_the_next_run(cache: Path) -> None:
    (cache / "runs").mkdir(parents=True)
    (cache / "runs" / "20260101-000000-dead.json").write_text('{"id": ')
    (cache / "runs" / "20260101-000001-dead.json").write_text(json.dumps({"id": "x"}))
    assert runs.sweep(removed) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_the_second_is_answered(
    name: str, processes: list[subprocess.Popen[str]]
) -> None:
    child = python(processes, CLEAN_UP_SLOWLY)
    assert say(child) == "working"
    child.send_signal(signal.Signals[name])
    assert say(child) == f"asked by {name}"
    child.send_signal(signal.Signals[name])
    assert child.stderr is not None
    assert "once more" in child.stderr.readline()
    out, _ = child.communicate("\n")
    assert out.split("\n")[0] == "cleaned up"


def test_the_third_signal_ends_the_clean_up(processes: list[subprocess.Popen[str]]) -> None:
    child = python(processes, CLEAN_UP_SLOWLY)
    assert say(child) == "working"
    child.send_signal(signal.SIGINT)
    assert say(child) == "asked by SIGINT"
    child.send_signal(signal.SIGTERM)
    assert child.stderr is not None
    child.stderr.readline()
    child.send_signal(signal.SIGINT)
    assert say(child) == "gave up"


FINISH_SHIELDED = """
import sys, time
from conformance.machine import runs
with runs.interrupts():
    try:
        with runs.shielded():
            print("removing", flush=True)
            sys.stdin.readline()
            print("removed", flush=True)
        print("went on", flush=True)
    except KeyboardInterrupt as asked:
        print("then asked by", asked, flush=True)
    runs.cleaning_up()
    print("cleaning", flush=True)
    sys.stdin.readline()
    print("cleaned", flush=True)
"""


def test_removing_is_finished_before_a_first_signal_counts(
    processes: list[subprocess.Popen[str]],
) -> None:
    child = python(processes, FINISH_SHIELDED)
    assert say(child) == "removing"
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    assert "Cleaning up" in child.stderr.readline()
    out, _ = child.communicate("\n\n")
    assert out.split("\n")[:4] == ["removed", "then asked by SIGINT", "cleaning", "cleaned"]


def test_a_first_signal_during_the_clean_up_is_only_answered(
    processes: list[subprocess.Popen[str]],
) -> None:
    child = python(processes, FINISH_SHIELDED)
    assert say(child) == "removing"
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    assert [say(child) for _ in range(3)] == ["removed", "went on", "cleaning"]
    child.send_signal(signal.SIGTERM)
    assert child.stderr is not None
    assert "Cleaning up" in child.stderr.readline()
    out, _ = child.communicate("\n")
    assert out.strip() == "cleaned"


def test_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with runs.interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.asked
        assert interrupts.first is signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_results_go_back_to_who_called_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "54321")
    with runs.start(tmp_path / "results") as run:
        (run.results / "deep").mkdir()
        (run.results / "deep" / "file").write_text("")
        (run.results / "dangling").symlink_to("nowhere")
    for place in (run.results, run.results / "deep" / "file", run.results / "dangling"):
        assert (place.lstat().st_uid, place.lstat().st_gid) == (12345, 54321)
    assert (tmp_path / "results" / "latest").lstat().st_uid == 12345
    assert (tmp_path / "results").stat().st_uid == 12345
    assert tmp_path.stat().st_uid == 0


def test_a_results_folder_that_was_there_keeps_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "54321")
    with runs.start(tmp_path):
        pass
    assert tmp_path.stat().st_uid == os.geteuid()

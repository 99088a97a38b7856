"""What happens to the machine while cells are observed: no room, another time, no memory.

The machine itself is left alone. The disk is a file system of the test's own, the clock is that of
the run's own processes, and the memory that of the node's control group.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.engine.client import docker
from conformance.evidence.vocabulary import Step
from tests.faults.playing import Played, require_root, say, start

SMALL = "96m"  # of the file system: the evidence of two cells is some 20 MB
STEP_NS = 1_000_000_000
CLOCK = Path(__file__).parent / "stepped"
# Bytes that are left to a node beside what it uses: enough to go on, until somebody takes them.
SPARE = 96 << 20
# Takes memory until the kernel ends it: it never ends by itself.
TAKE = "held = []\nwhile True: held.append(bytearray(b'x') * (8 << 20))"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room, mounted for the test."""
    require_root()
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=700", "sc-faults", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_disk_of_the_results_is_full(small_disk: Path, tmp_path: Path) -> None:
    run = start(tmp_path, results=small_disk / "results")
    (bundle, *_) = run.await_step(Step.SUBJECT_CREATE)
    say("the disk of the results is filled")
    _fill(small_disk / "filler")
    run.must_have_ended(3)
    run.must_have_said("The disk of the results is full")
    assert (bundle / "steps.jsonl").stat().st_size, "the evidence of a cell is gone"
    run.must_leave_nothing()


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as sink:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    sink.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def test_the_clock_is_stepped_by_a_second(tmp_path: Path) -> None:
    """Of the run's own processes: no namespace has a real-time clock of its own (Linux gives one
    to CLOCK_MONOTONIC and CLOCK_BOOTTIME alone, time_namespaces(7)), and the machine's is
    everybody's."""
    step = tmp_path / "step"
    old = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(filter(None, (str(CLOCK), old)))
    run = start(tmp_path, env={"PYTHONPATH": paths, "SC_FAULTS_STEP": str(step)})
    run.await_step(Step.SUBJECT_READY, cells=2)
    say("the clock of the run's processes is stepped by 1 s")
    step.write_text(str(STEP_NS))
    run.must_have_ended(5)
    run.must_be_honest("clock")
    run.must_leave_nothing()


def test_the_kernel_kills_for_want_of_memory(tmp_path: Path) -> None:
    """In the node's control group alone, whose limit is set to a little more than it uses."""
    run = start(tmp_path)
    run.await_step(Step.SUBJECT_READY)
    _limit(run)
    say("memory is taken in the node until the kernel kills who takes it, and others before")
    script = 'chroot /opt/sidecar-conformance /usr/bin/python3 -c "$1"; echo "ended with $?"'
    said = run.in_node("sh", "-c", script, "sh", TAKE).strip()
    assert said == f"ended with {128 + signal.SIGKILL}", f"the taker of memory {said}"
    # There is no word for "no limit" of both that client and runtime take: it is the machine's.
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    docker(run.engine, "update", f"--memory={whole}", f"--memory-swap={whole}", run.node)
    run.must_have_ended(0, 5)
    run.must_be_honest()
    run.must_leave_nothing()


def _limit(run: Played) -> None:
    used = docker(run.engine, "stats", "--no-stream", "--format={{.MemUsage}}", run.node)
    limit = str(_bytes(used.partition("/")[0]) + SPARE)
    try:
        docker(run.engine, "update", f"--memory={limit}", f"--memory-swap={limit}", run.node)
    except Exception as error:
        run.child.terminate()
        run.end()
        pytest.skip(f"the engine cannot limit a node's memory: {error}")
    say(f"the node uses {used.strip()}; its limit is {int(limit) >> 20} MiB now")


def _bytes(text: str) -> int:
    units = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
    unit = next(one for one in units if text.strip().endswith(one))
    return int(float(text.strip().removesuffix(unit)) * units[unit])


def test_the_next_run_is_clean(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.await_step(Step.SUBJECT_CREATE)
    run.must_be_clean()

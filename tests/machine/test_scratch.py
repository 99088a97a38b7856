"""Folders of one process's life: gone with it, or with the next process after a SIGKILL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conformance.machine import scratch
from conformance.machine.paths import CHECKOUT

DIE_IN_IT = """
import os, signal
from conformance.machine import scratch
with scratch.folder("work") as place:
    (place / "file").write_text("")
    print(place, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path))
    return tmp_path


def test_it_goes_with_the_block_and_leaves_no_lock(cache: Path) -> None:
    with scratch.folder("work") as one, scratch.folder("work") as two:
        assert one.is_dir() and two.is_dir() and one != two
    assert not list((cache / "work").iterdir())


def test_what_a_killed_process_left_goes_with_the_next(cache: Path) -> None:
    command = [sys.executable, "-c", DIE_IN_IT]
    killed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert (left / "file").exists() and left.is_relative_to(cache)
    with scratch.folder("work") as own:
        assert [path for path in (cache / "work").iterdir() if path.is_dir()] == [own]

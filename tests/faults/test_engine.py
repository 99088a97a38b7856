"""The engine is killed under a run: an engine of the suite's own, with a cache of the test's own.

Nobody else's engine is touched, so that other runs on the machine go on.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.engine import engine as engines
from conformance.engine.engine import Engine
from conformance.engine.own import dockerd
from conformance.evidence.vocabulary import Step
from conformance.machine.paths import CHECKOUT, cache_dir
from tests.faults.playing import NARROW, require_root, say, start


@pytest.fixture
def own_cache(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache with the images of the narrow run, in an engine of its own that does not run."""
    require_root()
    if not engine.own:
        pytest.skip(
            f"the engine of this machine ({engine.host}) is its user's; none of the suite's own "
            "can be started beside it, and that one is not ours to kill"
        )
    # On the disk of the real cache, which is known to be fit for an engine's data.
    place = Path(tempfile.mkdtemp(prefix="faults-", dir=cache_dir()))
    selection = [one for one in NARROW if not one.startswith("--scenario")]
    try:
        say("the images of the narrow run are copied to an engine of the test's own")
        _images("--save", place / "images.tar", *selection)
        monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(place / "cache"))
        _images("--load", place / "images.tar")
        (place / "images.tar").unlink()
        yield place / "cache"
    finally:
        dockerd.stop(dockerd.Daemon(place / "cache" / "engine"))
        monkeypatch.undo()
        shutil.rmtree(place)


def _images(what: str, file: Path, *selection: str) -> None:
    command = [sys.executable, "-m", "conformance", "images", what, str(file), *selection]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"images {what} failed: {done.stderr[-800:]}", pytrace=False)


def test_the_engine_is_killed(own_cache: Path, tmp_path: Path) -> None:
    daemon = engines.own()
    assert daemon.home == own_cache / "engine"
    run = start(tmp_path)
    (bundle, *_) = run.await_step(Step.SUBJECT_CREATE)
    pid = daemon.pid()
    assert pid is not None
    say(f"SIGKILL to the engine (process {pid})")
    os.kill(pid, signal.SIGKILL)
    run.must_have_ended(3)
    run.must_have_said(f"The Docker engine at {daemon.host} has gone (")
    run.must_be_honest()
    assert (bundle / "steps.jsonl").stat().st_size, "the evidence of a cell is gone"

    say("the next run, on an engine that is started anew")
    following = start(tmp_path)
    following.await_step(Step.SUBJECT_CREATE)
    following.must_be_clean()
    run.must_leave_nothing()
    assert daemon.pid() is None, "the engine was not stopped by its last user"
    assert not dockerd.mounts_below(daemon.home, daemon.state)

"""Processes that draw pages end with the process that they draw for, however that ends."""

from __future__ import annotations

import subprocess
import sys

OWNER = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from conformance.report.page.cells import _as_a_drawer

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_as_a_drawer)
    pool.submit(os.getpid).result()
    print("drawing", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_leaves_no_process_that_waits_for_work() -> None:
    # The drawer has the owner's end of the pipe too: it closes when both are gone.
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "drawing\n"
    owner.kill()
    rest, _ = owner.communicate(timeout=60)
    assert not rest

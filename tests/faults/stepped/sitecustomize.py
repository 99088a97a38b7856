"""A real-time clock that a test can step, for every Python process of a run.

On PYTHONPATH it is imported before anything else. The step (ns) is what the file that
SC_FAULTS_STEP names says; without that file the clock is the machine's. Nobody's clock is touched:
the monotonic one goes on as it is, which is how a step shows. Programs in the nodes keep the true
time, as on a machine of which only the run's own part were stepped.
"""

from __future__ import annotations

import os
import time

_FILE = os.environ.get("SC_FAULTS_STEP", "")
_real_ns, _real = time.time_ns, time.time


def _step_ns() -> int:
    try:
        with open(_FILE) as file:  # noqa: PTH123 - before the interpreter is whole
            return int(file.read() or 0)
    except OSError:
        return 0


def _stepped_ns() -> int:
    return _real_ns() + _step_ns()


def _stepped() -> float:
    return _real() + _step_ns() / 1e9


if _FILE:
    time.time_ns, time.time = _stepped_ns, _stepped

"""What a command costs: processor seconds and the most memory, as the kernel has counted them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.errors import EnvironmentProblem


@dataclass(frozen=True)
class Spent:
    """cpu: processor seconds, user's and kernel's (getrusage(2)). whole: seconds on the clock.
    memory: bytes at most. said: its output."""

    cpu: float
    whole: float
    memory: int
    said: str


def spent(command: Sequence[str]) -> Spent:
    """Run a command to its end. Raises EnvironmentProblem when it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = code = os.waitstatus_to_exitcode(status)
        whole = time.monotonic() - began
        out.seek(0)
        errors.seek(0)
        said = out.read().decode(errors="replace")
        if code:
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise EnvironmentProblem(
                f"{command[0]} gave exit code {code}: {' '.join(last) or 'no word'}; try "
                f"{' '.join(command[:8])} by hand."
            )
    return Spent(usage.ru_utime + usage.ru_stime, whole, usage.ru_maxrss * 1024, said)


def work(kind: str, *arguments: str) -> Spent:
    """One kind of this package's own work (see work.py)."""
    return spent([sys.executable, "-m", "conformance.measures.work", kind, *arguments])

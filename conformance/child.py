"""A run in a process of its own, with everything that belongs to one: for questions that take
several runs (upgrade, bisect)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from conformance.plan.options import OPTIONS

Given = Mapping[str, str | bool | None]


def arguments(given: Given) -> Sequence[str]:
    """Options as they stand on a command line."""
    found = []
    for option in OPTIONS:
        value = given.get(option.dest)
        if value:
            found.append(f"--{option.name}" if option.flag else f"--{option.name}={value}")
    return found


def run(options: Sequence[str]) -> int:
    """A run in a process of its own; a signal to this one reaches it. Its exit code."""
    child = subprocess.Popen([sys.executable, "-m", "conformance", "run", *options])

    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    # Ctrl-C comes to the whole group of a terminal: the run hears it itself.
    before = signal.signal(signal.SIGTERM, pass_on), signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return child.wait()
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])

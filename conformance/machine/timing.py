"""Where a run's time goes: spans, which its processes append to one file (timing.jsonl)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "timing.jsonl"


@dataclass(frozen=True)
class Span:
    """A named stretch of work, in ns. about: of which version (k8s), sidecar or cell, and
    by which process (pid)."""

    name: str
    start: int
    end: int
    about: Mapping[str, str]

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


@contextmanager
def span(results: Path, name: str, **about: str) -> Iterator[None]:
    """Note how long the block took, whatever became of it."""
    start, spent = time.time_ns(), time.process_time()
    try:
        yield
    finally:
        cpu_s = f"{time.process_time() - spent:.3f}"
        note(results, name, start, time.time_ns(), cpu_s=cpu_s, **about)


def note(results: Path, name: str, start: int, end: int, **about: str) -> None:
    """Append a span. One write for each line, so that no process cuts another's in two."""
    fields = {"name": name, "start_ns": start, "end_ns": end, "pid": str(os.getpid()), **about}
    line = json.dumps(fields) + "\n"
    file = os.open(results / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def spans(results: Path) -> list[Span]:
    """What a run has noted so far, in the order in which it ended; [] when nothing."""
    path = results / FILE
    if not path.exists():
        return []
    return [
        Span(fields.pop("name"), fields.pop("start_ns"), fields.pop("end_ns"), fields)
        for fields in map(json.loads, path.read_text().splitlines())
    ]

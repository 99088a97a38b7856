"""A trace as Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open.

The format is "Trace Event Format" (Chromium's tracing project): complete events (X) and instants
(i) in µs, each lane a thread of its cell's process; requests are joined by flows (s, t, f).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.report.trace.model import Lane, Mark, Trace

Json = dict[str, Any]
SUFFIX = ".trace.json.gz"  # both viewers unpack it by themselves


def write(target: Path, trace: Trace) -> None:
    """Write a cell's trace, counted from its zero."""
    events = list(_process(1, trace))
    text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, separators=(",", ":"))
    target.write_bytes(gzip.compress(text.encode(), 4, mtime=0))


def _process(pid: int, trace: Trace) -> Iterator[Json]:
    yield _named(pid, 0, "process_name", trace.id)
    windows = Lane("windows", "windows")
    windows.marks += [Mark(one.begin, one.end, one.kind, one.title) for one in trace.shades]
    proofs = Lane("verdicts", "windows")
    proofs.marks += [
        Mark(one.begin, one.end, one.verdict, f"{one.behaviour}: {one.verdict}")
        for one in trace.brackets
    ]
    for tid, lane in enumerate([proofs, windows, *trace.lanes], 1):
        yield _named(pid, tid, "thread_name", lane.name)
        yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index",
               "args": {"sort_index": tid}}  # fmt: skip
        for mark in lane.marks:
            yield _event(pid, tid, trace, lane, mark)
    yield from _flows(pid, trace)


def _named(pid: int, tid: int, what: str, name: str) -> Json:
    return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {"name": name}}


def _event(pid: int, tid: int, trace: Trace, lane: Lane, mark: Mark) -> Json:
    event: Json = {
        "ph": "i" if mark.end is None else "X", "pid": pid, "tid": tid,
        "name": mark.name, "cat": lane.group, "ts": _us(trace, mark.begin),
    }  # fmt: skip
    if mark.end is None:
        event["s"] = "t"
    else:
        event["dur"] = max((mark.end - mark.begin) / 1000, 0.001)
    where = {"file": mark.file, "line": mark.line, "frame": mark.frame, "token": mark.token}
    event["args"] = {name: value for name, value in where.items() if value}
    return event


def _flows(pid: int, trace: Trace) -> Iterator[Json]:
    """The way of each request through the lanes, in order of time."""
    steps: dict[str, list[tuple[int, int]]] = {}
    for tid, lane in enumerate(trace.lanes, 3):
        for mark in lane.marks:
            if mark.token and mark.end is not None:
                steps.setdefault(mark.token, []).append((mark.begin, tid))
    for token, found in steps.items():
        found.sort()
        for place, (begin, tid) in enumerate(found):
            if len(found) > 1:
                phase = "s" if place == 0 else "f" if place == len(found) - 1 else "t"
                yield {
                    "ph": phase, "id": f"{pid}.{token}", "pid": pid, "tid": tid, "bp": "e",
                    "name": "request", "cat": "requests", "ts": _us(trace, begin),
                }  # fmt: skip


def _us(trace: Trace, ns: int) -> float:
    return (ns - trace.zero) / 1000

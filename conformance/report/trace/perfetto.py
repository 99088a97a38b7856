"""A trace as Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open.

The format is "Trace Event Format" (Chromium's tracing project): complete events (X) and instants
(i) in µs, each row of a lane a thread of its cell's process; requests are joined by flows (s, t,
f). Complete events of a thread must nest, and Perfetto draws others wrongly; it leaves out what is
earlier than 0. So requests that overlap get rows of their own, and time begins with the first mark.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.report.trace.model import Lane, Mark, Trace

Json = dict[str, Any]
SUFFIX = ".trace.json.gz"  # both viewers unpack it by themselves


def write(target: Path, trace: Trace) -> None:
    """Write a cell's trace. otherData says where its zero, the pod's creation, stands (µs)."""
    begin = min([trace.zero, *_begins(trace)])
    told = {
        "traceEvents": list(_process(1, trace, begin)),
        "displayTimeUnit": "ms",
        "otherData": {"cell": trace.id, "zero": _us(trace.zero, begin)},
    }
    text = json.dumps(told, separators=(",", ":"))
    target.write_bytes(gzip.compress(text.encode(), 4, mtime=0))


def _begins(trace: Trace) -> Iterator[int]:
    yield from (mark.begin for lane in trace.lanes for mark in lane.marks)
    yield from (shade.begin for shade in trace.shades)
    yield from (bracket.begin for bracket in trace.brackets)


def _process(pid: int, trace: Trace, zero: int) -> Iterator[Json]:
    yield _named(pid, 0, "process_name", trace.id)
    windows = Lane("windows", "windows")
    windows.marks += [Mark(one.begin, one.end, one.kind, one.title) for one in trace.shades]
    proofs = Lane("verdicts", "windows")
    proofs.marks += [
        Mark(one.begin, one.end, one.verdict, f"{one.behaviour}: {one.verdict}")
        for one in trace.brackets
    ]
    steps: dict[str, list[tuple[int, int]]] = {}
    tid = 0
    for lane in (proofs, windows, *trace.lanes):
        for number, marks in enumerate(_rows(lane.marks) or [[]], 1):
            tid += 1
            name = lane.name if number == 1 else f"{lane.name} ({number})"
            yield _named(pid, tid, "thread_name", name)
            yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index",
                   "args": {"sort_index": tid}}  # fmt: skip
            for mark in marks:
                yield _event(pid, tid, zero, lane, mark)
                if mark.token and mark.end is not None:
                    steps.setdefault(mark.token, []).append((mark.begin, tid))
    yield from _flows(pid, steps, zero)


def _rows(marks: Sequence[Mark]) -> list[list[Mark]]:
    """The marks in as few rows as leave no two of them at the same time; instants take no time."""
    rows: list[list[Mark]] = []
    ends: list[int] = []
    for mark in sorted(marks, key=lambda one: one.begin):
        free = (place for place, end in enumerate(ends) if end <= mark.begin or mark.end is None)
        place = next(free, len(rows))
        if place == len(rows):
            rows.append([])
            ends.append(mark.begin)
        rows[place].append(mark)
        if mark.end is not None:
            ends[place] = max(mark.end, mark.begin + 1)
    return rows


def _named(pid: int, tid: int, what: str, name: str) -> Json:
    return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {"name": name}}


def _event(pid: int, tid: int, zero: int, lane: Lane, mark: Mark) -> Json:
    event: Json = {
        "ph": "i" if mark.end is None else "X", "pid": pid, "tid": tid,
        "name": mark.name, "cat": lane.group, "ts": _us(mark.begin, zero),
    }  # fmt: skip
    if mark.end is None:
        event["s"] = "t"
    else:
        event["dur"] = max(mark.end - mark.begin, 1) / 1000
    where = {"file": mark.file, "line": mark.line, "frame": mark.frame, "token": mark.token}
    event["args"] = {name: value for name, value in where.items() if value}
    return event


def _flows(pid: int, steps: Mapping[str, list[tuple[int, int]]], zero: int) -> Iterator[Json]:
    """The way of each request through the lanes, in order of time. steps: token → begin, thread."""
    for token, found in steps.items():
        found.sort()
        for place, (begin, tid) in enumerate(found):
            if len(found) > 1:
                phase = "s" if place == 0 else "f" if place == len(found) - 1 else "t"
                yield {
                    "ph": phase, "id": f"{pid}.{token}", "pid": pid, "tid": tid, "bp": "e",
                    "name": "request", "cat": "requests", "ts": _us(begin, zero),
                }  # fmt: skip


def _us(ns: int, zero: int) -> float:
    return (ns - zero) / 1000

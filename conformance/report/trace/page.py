"""A page for each cell, that can be sent alone: its trace and its twin's on one axis.

The viewer is our own script on SVG (viewer.js, some 14 kB), and no library. vis-timeline (0.5 MB),
ECharts (1 MB) and Perfetto's own viewer (several MB of wasm) are each larger than a page may be
(150 kB, data included), and none of them brackets a span between two events or puts two cells on
one axis. Who wants a full trace viewer gets the same data as trace-event JSON (perfetto.py).

The data is packed with gzip, and unpacked by the browser itself (DecompressionStream: Chrome 80,
Firefox 113, Safari 16.4); without it, or without scripts, the verdicts, their evidence and the
commands still stand on the page.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.evidence.packets.dissect import Dissection
from conformance.plan.catalogue import scenarios
from conformance.report import words
from conformance.report.page.environment import environment
from conformance.report.trace.model import Lane, Trace

Json = dict[str, Any]
LARGEST = 150_000  # bytes of a page
_ROOM = 100_000  # of them for the packed data, in base64; the rest is markup, style and script
_MANY, _DIALS = 100, "outsider dials"
_LEAST = 0.02  # a smaller share of the logs tells nothing
_TENTH_MS = 100_000  # ns: what pages count in
_FIRST = {"broken": 0, "inconclusive": 1}  # of verdicts: what a reader came for
_FOLDER = Path(__file__).parent


def render(
    trace: Trace, twin: Trace | None, entries: Sequence[Json], told: Mapping[str, Any]
) -> str:
    """The page. told: what the template needs beside the trace: letters, classes, and whether
    the twin is the same cell of another run (compared)."""
    return (
        environment()
        .get_template("cell.html.j2")
        .render(
            trace=trace,
            twin=twin,
            entries=sorted(entries, key=lambda one: _FIRST.get(one["observed"], len(_FIRST))),
            condition=scenarios()[entries[0]["scenario"]].title,
            data=_fitted(trace, twin),
            script=(_FOLDER / "viewer.js").read_text(),
            dissect=words.dissect,
            judge_again=words.judge_again,
            fragment=words.fragment,
            **told,
        )
    )


def _fitted(trace: Trace, twin: Trace | None) -> str:
    """The packed data, with as much of the logs and packets as a page has room for."""
    keep = 1.0
    while True:
        cells = [_cell(trace, keep)]
        if twin is not None:
            cells.append(_cell(twin, keep if keep == 1.0 else keep / 2))
        packed = _packed({"cells": cells})
        if len(packed) <= _ROOM or not keep:
            return packed
        keep = keep * _ROOM / len(packed) * 0.7 if keep > _LEAST else 0.0


def _packed(data: Json) -> str:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _cell(trace: Trace, keep: float) -> Json:
    """What the viewer knows of a cell. keep: the share of log lines and of packets that stays."""

    def at(ns: int) -> int:
        return round((ns - trace.zero) / _TENTH_MS)

    step = round(1 / keep) if keep else 0
    return {
        "id": trace.id,
        "pattern": trace.label or trace.pattern,
        "bundle": trace.bundle,
        "span": [at(trace.begin), at(trace.end)],
        "shades": [[at(one.begin), at(one.end), one.kind, one.title] for one in trace.shades],
        "brackets": [
            [one.behaviour, one.verdict, at(one.begin), at(one.end), one.first, one.last]
            for one in trace.brackets
        ],
        "lanes": [_lane(lane, at, step) for lane in trace.lanes],
        "records": [
            [at(one.ns), one.source, one.text]
            for one in trace.records[:: step or len(trace.records) + 1]
        ],
        "thinned": step != 1,
        "frames": {
            f"{file}#{number}": _frame(one, trace.bundle, file, number)
            for (file, number), one in trace.frames.items()
        },
    }


def _frame(one: Dissection, bundle: str, file: str, number: int) -> Json:
    return {
        "summary": list(one.summary),
        "hexdump": one.hexdump,
        "command": words.dissect(bundle, file, number),
    }


def _lane(lane: Lane, at: Any, step: int) -> Json:
    """A lane in columns: differences of times and numbers, and places in its texts.

    step: of packets and of an outsider's dials each so manieth stays; of all else everything.
    """
    marks = sorted(lane.marks, key=lambda one: one.begin)
    if step != 1 and len(marks) > _MANY and (lane.group == "packets" or lane.name == _DIALS):
        marks = marks[:: step or _MANY]
    begins = [at(one.begin) for one in marks]
    tokens = [one.token.rpartition(".") for one in marks]
    texts: dict[str, int] = {}

    def coded(text: str) -> int:
        return texts.setdefault(text, len(texts))

    columns = {
        "b": _differences(begins),
        "w": [-1 if one.end is None else max(at(one.end) - at(one.begin), 0) for one in marks],
        "k": [coded(one.kind) for one in marks],
        "t": [coded(one.title) for one in marks],
        "o": [coded(before) for before, _, _ in tokens],
        "q": _differences([int(number or 0) for _, _, number in tokens]),
        "f": [coded(one.file) for one in marks],
        "n": _differences([one.frame or one.line for one in marks]),
    }
    return {"name": lane.name, "group": lane.group, "texts": list(texts), **columns}


def _differences(numbers: Sequence[int]) -> list[int]:
    return [now - before for before, now in zip([0, *numbers], numbers, strict=False)]

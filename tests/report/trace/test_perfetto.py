"""A cell's trace-event file, held against the format that it claims to be in.

"Trace Event Format" (Chromium's tracing project), and what Perfetto says of it in its FAQ: complete
events of a thread nest, or are drawn wrongly; what is earlier than 0 is left out.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from conformance.report.trace import perfetto
from conformance.report.trace.build import build
from conformance.report.trace.model import Lane, Mark, Trace
from tests.forge.bundle import token
from tests.report.made import report
from tests.worlds import lifecycle as worlds

Json = dict[str, Any]
_PLACE: Json = {"pid": {"type": "integer"}, "tid": {"type": "integer", "minimum": 0}}
_TIMED: Json = {
    **_PLACE, "ts": {"type": "number", "minimum": 0}, "cat": {"type": "string", "minLength": 1},
    "name": {"type": "string", "minLength": 1},
}  # fmt: skip


def _kind(phase: str, required: str, properties: Json) -> Json:
    return {
        "properties": {"ph": {"const": phase}, "args": {"type": "object"}, **properties},
        "required": ["ph", "pid", "tid", "name", *required.split()],
        "additionalProperties": False,
    }


_NAMES = {"enum": ["process_name", "thread_name", "thread_sort_index"]}
_FLOW = {"id": {"type": ["string", "integer"]}, "bp": {"const": "e"}, **_TIMED}
SCHEMA: Json = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object"},
        "traceEvents": {
            "type": "array",
            "items": {
                "oneOf": [
                    _kind("X", "ts dur cat", {"dur": {"exclusiveMinimum": 0}, **_TIMED}),
                    _kind("i", "ts s cat", {"s": {"enum": ["g", "p", "t"]}, **_TIMED}),
                    _kind("M", "args", {**_PLACE, "name": _NAMES}),
                    *(_kind(phase, "ts id cat", _FLOW) for phase in "stf"),
                ]
            },
        },
    },
    "additionalProperties": False,
}


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    world = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    made = report(tmp_path, (world, "native", "stop.order stop.no-plaintext"))
    found = build(tmp_path / made["cells"][0]["bundle"], made["cells"], "id")
    # Requests side by side, and one before the pod was asked for, as every real cell has them.
    zero = found.zero
    marks = [
        Mark(zero + at, zero + at + 5000, "ok", "r", f"t{at}") for at in (-2000, 0, 1000, 3000)
    ]
    return replace(found, lanes=[*found.lanes, Lane("side by side", "requests", marks)])


def read(trace: Trace, folder: Path) -> Json:
    target = folder / f"x{perfetto.SUFFIX}"
    perfetto.write(target, trace)
    told: Json = json.loads(gzip.decompress(target.read_bytes()))
    return told


def test_every_event_is_of_the_format(trace: Trace, tmp_path: Path) -> None:
    told = read(trace, tmp_path)
    jsonschema.validate(told, SCHEMA)
    assert {one["ph"] for one in told["traceEvents"]} == set("XiMstf")
    assert told["otherData"]["zero"] == 2.0  # µs after the first mark


def test_complete_events_of_a_thread_nest_and_none_is_lost(trace: Trace, tmp_path: Path) -> None:
    events = read(trace, tmp_path)["traceEvents"]
    spans = [one for one in events if one["ph"] == "X"]
    drawn = [mark for lane in trace.lanes for mark in lane.marks if mark.end is not None]
    assert len(spans) == len(drawn) + len(trace.shades) + len(trace.brackets)
    for tid, group in groupby(sorted(spans, key=lambda one: (one["tid"], one["ts"])), _thread):
        open_until = 0
        for one in group:
            begin = round(one["ts"] * 1000)
            assert begin >= open_until, tid
            open_until = begin + round(one["dur"] * 1000)


def test_every_thread_has_a_name_and_rows_of_a_lane_stand_together(
    trace: Trace, tmp_path: Path
) -> None:
    events = read(trace, tmp_path)["traceEvents"]
    names = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
    used = {one["tid"] for one in events if "ts" in one}
    assert used <= set(names)
    rows = [name for name in names.values() if name.startswith("side by side")]
    assert rows == ["side by side", "side by side (2)", "side by side (3)"]


def test_a_flow_has_one_begin_and_one_end_and_each_stands_in_a_span(
    trace: Trace, tmp_path: Path
) -> None:
    events = read(trace, tmp_path)["traceEvents"]
    begins = {(one["tid"], one["ts"]) for one in events if one["ph"] == "X"}
    flows: dict[str, list[Json]] = {}
    for one in events:
        if one["ph"] in "stf":
            flows.setdefault(one["id"], []).append(one)
            assert (one["tid"], one["ts"]) in begins
    assert flows
    for steps in flows.values():
        assert [one["ph"] for one in steps] == ["s", *"t" * (len(steps) - 2), "f"]
        assert [one["ts"] for one in steps] == sorted(one["ts"] for one in steps)


def _thread(event: Json) -> int:
    return int(event["tid"])

"""Where a run's time went, from its spans: for report.json (run.timing) and the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.machine.timing import Span

Json = dict[str, Any]
# Kinds of work, in the order of a run, and what they are to people.
KINDS = {
    "engine": "engine, sweep",
    "images": "images of the fixtures and sidecars",
    "node-image": "node images",
    "kind": "kind creates a cluster",
    "load": "images are loaded into it",
    "system": "CoreDNS and kube-proxy come up",
    "install": "a sidecar is installed",
    "await": "a worker waits for a cluster",
    "room": "a cell waits for room on the machine",
    "observe": "a cell is observed",
    "judge": "a cell is judged",
    "remove": "clusters are removed",
    "page": "report.html is written",
}


def profile(spans: Sequence[Span]) -> Json:
    """What the spans of a run add up to, in seconds; {} when no cell was observed.

    whole = setup + creation + cells + closing, one after the other on the clock: until the first
    cluster is begun, until the last one is ready, until the last verdict, and the rest. bound is
    creation + longest_cell: no run of these cells on these clusters can be shorter. waited is, over
    all cells, the time from their cluster's readiness to their own beginning: for a free worker,
    and for room.
    """
    cells = _cells(spans)
    clusters = [one for one in spans if one.name == "cluster"]
    if not cells or not clusters:
        return {}
    start, end = min(one.start for one in spans), max(one.end for one in spans)
    ready: dict[str, int] = {}
    for one in spans:
        if one.name in ("cluster", "install"):
            ready[one.about["k8s"]] = max(one.end, ready.get(one.about["k8s"], 0))
    begun, up = min(one.start for one in clusters), max(ready.values())
    judged = max(last for _, _, last in cells.values())
    longest = max(cells, key=lambda cell: cells[cell][2] - cells[cell][1])
    took = sum(last - first for _, first, last in cells.values())
    workers = len({one.about["pid"] for one in spans if one.name == "observe"})
    creation, longest_ns = up - begun, cells[longest][2] - cells[longest][1]
    on_the_clock = judged - min(first for _, first, _ in cells.values())
    return {
        "whole": _s(end - start),
        "setup": _s(begun - start),
        "creation": _s(creation),
        "cells": _s(max(judged - up, 0)),
        "closing": _s(end - max(judged, up)),
        "longest_cell": _s(longest_ns),
        "longest_cell_id": longest,
        "bound": _s(creation + longest_ns),
        "ratio": round((end - start) / (creation + longest_ns), 2),
        "begun_ns": begun,
        "up_ns": up,
        "judged_ns": judged,
        "cells_observed": len(cells),
        "workers": workers,
        "workers_busy": round(took / (workers * on_the_clock), 2),
        "waited": _s(sum(max(first - ready[k8s], 0) for k8s, first, _ in cells.values())),
        "kinds": {kind: _sum(spans, kind) for kind in KINDS if _sum(spans, kind)["count"]},
    }


def _cells(spans: Sequence[Span]) -> dict[str, tuple[str, int, int]]:
    """Cell → its Kubernetes version, and when its observation began and its judging ended."""
    cells: dict[str, tuple[str, int, int]] = {}
    for one in spans:
        if one.name in ("observe", "judge"):
            cell, k8s = one.about["cell"], one.about["k8s"]
            _, first, last = cells.get(cell, (k8s, one.start, one.end))
            cells[cell] = k8s, min(first, one.start), max(last, one.end)
    return cells


def _sum(spans: Sequence[Span], kind: str) -> Json:
    found = [one.end - one.start for one in spans if one.name == kind]
    return {"count": len(found), "sum": _s(sum(found)), "longest": _s(max(found, default=0))}


def _s(ns: int) -> float:
    return round(ns / 1e9, 1)

"""A report of forged cells, made as a run makes it: judged, kept, and put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.model import Cell
from conformance.plan.cells import Item
from conformance.report import document
from conformance.verdicts import store as verdicts
from tests.forge.bundle import World

Json = dict[str, Any]
RUN = {
    "id": "r", "started": "2026-01-01T00:00:00Z", "duration_seconds": 1.0,
    "exit_code": 1, "exit_meaning": "a promise was broken",
}  # fmt: skip


def report(results: Path, *cells: tuple[World, str, str]) -> Json:
    """The report of a run. cells: the world, its pattern, and the behaviours that are judged."""
    items = []
    for world, pattern, behaviours in cells:
        scenario = world.index["cell"]["scenario"]
        cell = Cell("1.33", "envoy", "native", "init-rules", scenario)
        if pattern == "classic":
            cell = Cell("1.33", "envoy", "classic", "init-rules", scenario)
        world.complete()  # a real bundle holds together
        folder = world.write(results / "evidence" / "1.33" / cell.slug)
        for behaviour in behaviours.split():
            items.append(Item(cell, behaviour))
            found = verdicts.hold(items[-1], judge(behaviour, Bundle.open(folder)))
            verdicts.keep(results, found, folder)
    made = document.document(results, document.collect(results, items), run=RUN)
    document.write(results, made)
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]

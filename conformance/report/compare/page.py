"""A comparison as a page, with the traces of both runs on one axis for what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from conformance.report import words
from conformance.report.compare import say
from conformance.report.compare.pairs import Comparison, Pair
from conformance.report.page import marks
from conformance.report.page.environment import environment
from conformance.report.trace import page
from conformance.report.trace.build import build
from conformance.report.trace.model import Trace

Json = Mapping[str, Any]
MOST = 40  # traces, the worst changes first


def write(folder: Path, found: Comparison, before: Path, after: Path) -> Path:
    """Save compare.html, and cells/ beside it. before, after: the runs' folders.

    A pair whose bundles are not there (a report alone was named) has no trace.
    """
    (folder / words.CELLS).mkdir(parents=True, exist_ok=True)
    traces: dict[str, str] = {}
    for pair in list(_told(found))[:MOST]:
        name = _trace(folder, pair, before, after)
        if name:
            traces[pair.name] = name
    text = (
        environment()
        .get_template("compare.html.j2")
        .render(lines=list(say.lines(found)), traces=traces, code=found.exit_code)
    )
    target = folder / "compare.html"
    target.write_text(text)
    return target


def _told(found: Comparison) -> Iterator[Pair]:
    for change in say.TOLD:
        yield from found.of(change)
    yield from (pair for pair in found.sized if pair.change not in say.TOLD)


def _trace(folder: Path, pair: Pair, before: Path, after: Path) -> str:
    """The page of a pair, both runs on one axis; "" where one of them has no bundle."""
    sides: list[tuple[Trace, dict[str, Any]]] = []
    for label, run, entry in (("before", before, pair.before), ("after", after, pair.after)):
        if entry is None or not entry["bundle"] or not (run / entry["bundle"]).is_dir():
            return ""
        trace = build(run / entry["bundle"], [entry], words.cell_id(entry))
        sides.append((replace(trace, label=label), entry))
    (one, _), (two, now) = sides
    name = f"{words.CELLS}/{words.fragment(now)}.html"
    told = {"letters": marks.letter, "classes": marks.letter, "compared": True}
    (folder / name).write_text(page.render(two, one, [now], told))
    return name

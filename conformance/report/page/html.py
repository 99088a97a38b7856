"""The pages of a run: report.html, article.html, and cells/<id>.html for each cell's trace.

report.html decides and points; what happened in a cell stands on the cell's own page. Nothing is
fetched, and only the traces need a script. report.html keeps below 300 kB for one version and 1 MB
for eight: reasons of what is well stand on the cells' pages.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from conformance.machine.progress import board
from conformance.plan.catalogue import behaviours
from conformance.plan.selection import PATTERNS
from conformance.report import words
from conformance.report.decision import answer, summary
from conformance.report.page import marks, matrix
from conformance.report.page.environment import environment
from conformance.report.trace import page, perfetto
from conformance.report.trace.build import build
from conformance.report.trace.model import Trace

Json = dict[str, Any]
SIGNS = {"holds": "✓", "broken": "✗", "measured": "·", "inconclusive": "?", "not-verified": "-"}
_TWIN = ("k8s", "sidecar", "mode", "scenario", "turn")


def write(results: Path, report: Json, *, pages: Path | None = None) -> Path:
    """Save the pages of a report. results: where its bundles are; pages: where they are to stand,
    beside its report.json by default."""
    target = pages or results
    _cells(results, report, target)
    article = (
        environment()
        .get_template("article.html.j2")
        .render(
            run=report["run"],
            behaviours=behaviours(),
            article=report["article"],
            signs=SIGNS,
            patterns=PATTERNS,
        )
    )
    (target / "article.html").write_text(article)
    return report_page(report, target)


def report_page(report: Json, target: Path) -> Path:
    """Save report.html alone."""
    decision = report["decision"]
    text = (
        environment()
        .get_template("report.html.j2")
        .render(
            run=report["run"],
            decision=decision,
            behaviours=behaviours(),
            summary=report["summary"],
            standing=answer.standing(decision),
            broken=[one for one in answer.broken(decision) if not one.known],
            limits=answer.limits(decision),
            known=answer.by_condition(decision),
            gaps=answer.gaps(decision),
            other=[entry for entry in report["cells"] if _is_other(entry)],
            parts=list(answer.parts(decision)),
            bounds=[answer.bound_line(one) for one in decision["bounds"]],
            exit_line=answer.exit_line(report),
            again=words.again(report),
            entries={words.fragment(entry): entry for entry in report["cells"]},
            controls=[one for one in report["cells"] if marks.letter(one) in "CX"],
            grids=list(matrix.grids(report["cells"])),
            letters=marks.LETTERS,
            letter=marks.letter,
            fragment=words.fragment,
            trace=words.trace,
            kubelets=summary.kubelets,
        )
    )
    (target / "report.html").write_text(text)
    return target / "report.html"


def _is_other(entry: Json) -> bool:
    """A failure that is no broken promise of the pattern: the run exits with 1 because of it."""
    return (
        entry["verdict"] in summary.BAD
        and marks.letter(entry) in "BXI"
        and (entry["pattern"] != "native" or entry["verdict"] == "not-reproduced")
    )


def _cells(results: Path, report: Json, target: Path) -> None:
    """A page and a trace-event file for each cell that has a bundle."""
    folder = target / words.CELLS
    folder.mkdir(exist_ok=True)
    for cells in _twins(report["cells"]):
        try:
            traces = {
                id_: build(results / entries[0]["bundle"], entries, id_) for id_, entries in cells
            }
            for id_, entries in cells:
                twin = next((one for other, one in traces.items() if other != id_), None)
                _page(folder, traces[id_], twin, entries)
        except Exception as error:  # a page that cannot be drawn changes no verdict
            _undrawn(folder, [id_ for id_, _ in cells], error)


def _undrawn(folder: Path, ids: Sequence[str], error: Exception) -> None:
    """Say in place of each page why it is not there; the traceback is kept beside it."""
    for id_ in ids:
        (folder / f"{id_}.error.log").write_text("".join(traceback.format_exception(error)))
        said = (
            f"The trace of {id_} could not be drawn ({type(error).__name__}: {error}); its "
            f"verdicts stand. The traceback is in {id_}.error.log beside this page."
        )
        (folder / f"{id_}.html").write_text(
            f'<!doctype html><meta charset="utf-8"><title>{escape(id_)}</title>'
            f"<p>{escape(said)}</p>\n"
        )
        board.say(said)


def _page(folder: Path, trace: Trace, twin: Trace | None, entries: Sequence[Json]) -> None:
    told: Mapping[str, Any] = {"letters": marks.letter, "classes": marks.letter, "compared": False}
    (folder / f"{trace.id}.html").write_text(page.render(trace, twin, entries, told))
    perfetto.write(folder / f"{trace.id}{perfetto.SUFFIX}", trace)


def _twins(entries: Sequence[Json]) -> Iterator[list[tuple[str, list[Json]]]]:
    """The cells of a report that have bundles, a classic cell and its native twin together."""

    def twin(entry: Json) -> tuple[Any, ...]:
        return tuple(entry[name] for name in _TWIN)

    kept = sorted((one for one in entries if one["bundle"]), key=twin)
    for _, group in groupby(kept, key=twin):
        cells: dict[str, list[Json]] = {}
        for entry in group:
            cells.setdefault(words.cell_id(entry), []).append(entry)
        yield list(cells.items())

"""The pages of a run: report.html, article.html, and cells/<id>.html for each cell's trace.

report.html decides and points; what happened in a cell stands on the cell's own page. Nothing is
fetched, and only the traces need a script. report.html keeps below 300 kB for one version and 1 MB
for eight: reasons of what is well stand on the cells' pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.plan.catalogue import behaviours
from conformance.plan.selection import PATTERNS
from conformance.report import words
from conformance.report.decision import answer, summary
from conformance.report.page import cells, marks, matrix
from conformance.report.page.environment import environment

Json = dict[str, Any]
SIGNS = {"holds": "✓", "broken": "✗", "measured": "·", "inconclusive": "?", "not-verified": "-"}


def write(results: Path, report: Json, *, pages: Path | None = None) -> Path:
    """Save the pages of a report. results: where its bundles are; pages: where they are to stand,
    beside its report.json by default."""
    target = pages or results
    cells.draw(results, report["cells"], target / words.CELLS)
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
            broken=answer.new(decision),
            limits=answer.limits(decision),
            known=answer.by_condition(decision),
            gaps=list(answer.of_one_cause(answer.gaps(decision))),
            other=[entry for entry in report["cells"] if _is_other(entry)],
            parts=list(answer.parts(decision)),
            bounds=[_around(answer.bound_line(one), one["id"]) for one in decision["bounds"]],
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


def _around(line: str, id_: str) -> tuple[str, str, str]:
    """An id, and what a line says before and after it."""
    before, _, after = line.partition(id_)
    return id_, before, after

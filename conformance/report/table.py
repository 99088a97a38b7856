"""The report as a table in the terminal: behaviour by pattern, with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from conformance.catalogue import behaviours
from conformance.model import Cell, Verdict

STYLE = {
    "pass": ("✓", "green"),
    "reproduced": ("✓", "cyan"),
    "measured": ("·", "blue"),
    "fail": ("✗", "bold red"),
    "not-reproduced": ("✗", "bold magenta"),
    "inconclusive": ("?", "yellow"),
    "not-verified": ("-", "dim"),
}
WORD = {"pass": "holds"}


def tables(found: Sequence[Verdict]) -> RenderableType:
    """One table for each Kubernetes version, sidecar and mode; a column for each pattern."""
    parts = []
    rows = sorted(found, key=lambda verdict: _group(verdict.cell))
    for (k8s, sidecar, mode), members in groupby(rows, key=lambda verdict: _group(verdict.cell)):
        parts.append(_table(f"Kubernetes {k8s} · {sidecar} · {mode}", list(members)))
    return Group(*parts)


def line(verdict: Verdict) -> Text:
    """One verdict in one line, as it falls."""
    mark, style = STYLE[verdict.outcome]
    text = Text(f"{mark} ", style=style)
    text.append(f"{verdict.cell.id}  {verdict.finding.behaviour}  ", style="default")
    text.append(verdict.outcome, style=style)
    text.append(f"  {verdict.reason}", style="dim")
    return text


def _group(cell: Cell) -> tuple[str, str, str]:
    return cell.k8s, cell.sidecar, cell.mode


def _table(title: str, members: Sequence[Verdict]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    table.add_column("behaviour", no_wrap=True)
    patterns = [p for p in ("classic", "native") if any(v.cell.pattern == p for v in members)]
    for pattern in patterns:
        table.add_column(pattern, ratio=1)
    by_place: Mapping[tuple[str, str], Verdict] = {
        (verdict.finding.behaviour, verdict.cell.pattern): verdict for verdict in members
    }
    for id_ in behaviours():
        if any(place[0] == id_ for place in by_place):
            table.add_row(id_, *(_entry(by_place.get((id_, pattern))) for pattern in patterns))
    return table


def _entry(verdict: Verdict | None) -> Text:
    if verdict is None:
        return Text("")
    mark, style = STYLE[verdict.outcome]
    text = Text(f"{mark} {WORD.get(verdict.outcome, verdict.outcome)}", style=style)
    if verdict.outcome == "reproduced":
        text.append(f" ({verdict.finding.hazard})", style=style)
    text.append(f"\n{verdict.reason}", style="default")
    return text

"""The report in the terminal: behaviour by pattern with numbers, and one line across versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from conformance.model import Verdict
from conformance.report.compare import say
from conformance.report.compare.pairs import Comparison
from conformance.report.decision import answer, summary
from conformance.report.decision import decide as decision
from conformance.report.page import article, groups
from conformance.report.page.groups import Json, Line, Place

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
# Across versions the mark says what was seen; in STYLE it says whether that is as expected.
SEEN = {
    "pass": "✓",
    "reproduced": "✗ expected",
    "measured": "· measured",
    "fail": "✗ broken",
    "not-reproduced": "✓ unexpected",
    "inconclusive": "? inconclusive",
    "not-verified": "- not verified",
}


def tables(entries: Sequence[Json]) -> RenderableType:
    """One table for each Kubernetes version, sidecar and mode; a column for each pattern."""
    return Group(*(_table(place) for place in groups.places(entries)))


def versions(clusters: Json) -> Iterator[str]:
    """One line for each Kubernetes version: what its cluster says of itself."""
    for k8s, cluster in clusters.items():
        told = cluster["versions"]
        state = "not verified here" if cluster["state"] == "unobtainable" else cluster["state"]
        yield f"Kubernetes {k8s}: {summary.versions(told) if told else state}"


def across(entries: Sequence[Json]) -> Iterator[Text]:
    """The same behaviour across Kubernetes versions, a line each; what differs comes first."""
    lines = list(groups.lines(entries))
    differing = [line for line in lines if line.differs]
    alike = [line for line in lines if not line.differs]
    widths = (
        max(len(line.name) for line in lines),
        max(len(line.who) for line in lines),
        max(len(_seen(line, entry)) for line in lines for entry in line.entries.values()),
    )
    for title, group in (
        ("Differs between Kubernetes versions:", differing),
        ("The same in every version:", alike),
    ):
        if group:
            yield Text(f"\n{title}", style="bold")
        yield from (_across(line, *widths) for line in group)


def contradictions(compared: Sequence[Json]) -> Iterator[Text]:
    """A line for each claim of the source article that this run contradicts; [] when none."""
    found = list(article.contradictions(compared))
    if found:
        yield Text("\nContradicts the article:", style="bold")
    for row, claim in found:
        yield Text(f"{row} ({claim['column']}): “{claim['says']}”. {claim['reason']}").append(
            f"  {claim['reason_from']}", style="dim"
        )


_COMPARED: Mapping[str, str] = {
    "answer": "bold",
    "version": "dim", "control lost": "bold red", "coverage lost": "bold yellow",
    "lost": "bold red", "other hazard": "bold red", "undecided": "yellow", "gone": "yellow",
    "won": "green", "new": "cyan", "pair": "bold", "sizes": "bold", "size worse": "red",
    "size better": "green", "exit": "bold",
}  # fmt: skip
_INDENTED = {"side": "  ", "size worse": "  ", "size better": "  ", "size other": "  "}


def compared(comparison: Comparison) -> Iterator[Text]:
    """Two runs side by side: what differs, each with its sentence of before and after."""
    for kind, text in say.lines(comparison):
        yield Text(_INDENTED.get(kind, "") + text, style=_COMPARED.get(kind, ""))


def line(verdict: Verdict) -> Text:
    """One verdict in one line, as it falls."""
    mark, style = STYLE[verdict.outcome]
    text = Text(f"{mark} ", style=style)
    text.append(f"{verdict.cell.id}  {verdict.finding.behaviour}  ", style="default")
    text.append(verdict.outcome, style=style)
    text.append(f"  {verdict.reason}", style="dim")
    return text


def _across(line: Line, ids: int, whos: int, marks: int) -> Text:
    text = Text(f"{line.name:{ids}}  {line.pattern:7}  {line.who:{whos}}")
    for k8s, entry in line.entries.items():
        text.append(f"  {k8s} ")
        text.append(f"{_seen(line, entry):{marks}}", style=STYLE[entry["verdict"]][1])
    text.rstrip()
    return text


def _seen(line: Line, entry: Json) -> str:
    """The mark of a version; with its hazard where versions differ in that alone."""
    hazards = {one["hazard"] for one in line.entries.values()} - {""}
    hazard = f" ({entry['hazard']})" if entry["hazard"] and len(hazards) > 1 else ""
    return SEEN[entry["verdict"]] + hazard


def _table(place: Place) -> Table:
    table = Table(title=place.title, title_justify="left", title_style="bold", expand=False)
    table.add_column("behaviour", no_wrap=True)
    for pattern in place.patterns:
        table.add_column(pattern, ratio=1)
    for _, name, row in place.rows:
        table.add_row(name, *(_entry(entry) for entry in row))
    return table


def _entry(entry: Json | None) -> Text:
    if entry is None:
        return Text("")
    outcome = entry["verdict"]
    mark, style = STYLE[outcome]
    text = Text(f"{mark} {WORD.get(outcome, outcome)}", style=style)
    if outcome == "reproduced":
        text.append(f" ({entry['hazard']})", style=style)
    text.append(f"\n{entry['reason']}", style="default")
    return text


_ANSWERS = {
    "word": "bold", "broken": "default", "repair": "dim", "gap": "yellow", "bound": "dim",
    "known": "dim", "outside": "dim", "trace": "dim",
}  # fmt: skip
_STEPS = {
    "repair": "    ",
    "trace": "    ",
    "broken": "  ",
    "gap": "  ",
    "part": "  ",
    "known": "  ",
}
_WORDS = {
    decision.NOT_SAFE: "bold red",
    decision.NOT_PROVEN: "bold yellow",
    decision.SAFE: "bold green",
}


def answered(report: Json) -> Iterator[Text]:
    """The answer to the question that the run was made for: see answer.py."""
    for kind, line in answer.lines(report):
        word = _WORDS[report["decision"]["rest"]]
        style = word if kind == "word" else _ANSWERS.get(kind, "")
        yield Text(_STEPS.get(kind, "") + line, style=style)

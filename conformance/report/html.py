"""The report as one page that can be sent to someone: report.html, no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from conformance.model import Cell
from conformance.plan.catalogue import behaviours
from conformance.plan.selection import PATTERNS
from conformance.report import groups, picture, summary
from conformance.report.table import SEEN, STYLE

Json = dict[str, Any]
SIGNS = {"holds": "✓", "broken": "✗", "measured": "·", "inconclusive": "?", "not-verified": "-"}
FEW = 3  # tables or cells that a page shows open
LANES = 3  # fewer tell nothing: the pods of some scenarios are not one subject


def write(results: Path, report: Json) -> Path:
    """Save the page of a report beside its report.json."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html", "j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    entries = report["cells"]
    cells = list(_cells(results, entries))
    settled = groups.settled(entries)
    lines = list(groups.lines(settled))
    page = environment.get_template("page.html.j2").render(
        run=report["run"],
        summary=report["summary"],
        versions=groups.versions(entries),
        differing=[line for line in lines if line.differs],
        alike=[line for line in lines if not line.differs],
        places=list(groups.places(settled)),
        cells=cells,
        sidecars=list(_sidecars(report["run"]["clusters"])),
        pair=_pair(cells),
        article=report["article"],
        signs=SIGNS,
        behaviours=behaviours(),
        patterns=PATTERNS,
        marks={outcome: mark for outcome, (mark, _) in STYLE.items()},
        seen=SEEN,
        kubelets=summary.kubelets,
        bad=summary.BAD,
        few=FEW,
    )
    target = results / "report.html"
    target.write_text(page)
    return target


def _sidecars(clusters: Json) -> Iterator[tuple[tuple[str, str], Sequence[str]]]:
    """What the installed sidecars say of themselves, and on which versions they say so."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, cluster in clusters.items():
        for sidecar, told in ((cluster.get("versions") or {}).get("sidecars") or {}).items():
            said = "; ".join(f"{key.replace('_', ' ')} {one}" for key, one in told.items() if one)
            if said:
                found.setdefault((sidecar, said), []).append(name)
    yield from found.items()


def _cells(results: Path, entries: Sequence[Json]) -> Iterator[Json]:
    names = ("k8s", "sidecar", "pattern", "mode", "scenario", "turn")
    for played, group in groupby(entries, key=lambda entry: [entry[name] for name in names]):
        cell = Cell(*played)
        members = list(group)
        bundle = next((entry["bundle"] for entry in members if entry["bundle"]), None)
        drawn = picture.draw(results / bundle, members) if bundle else None
        yield {
            "id": cell.id,
            "twins": replace(cell, pattern="classic"),
            "pattern": cell.pattern,
            "bundle": bundle,
            "entries": members,
            "hazards": sum(entry["observed"] == "broken" for entry in members),
            "bad": any(entry["verdict"] in summary.BAD for entry in members),
            "picture": drawn if drawn and len(drawn.lanes) >= LANES else None,
        }


def _pair(cells: Sequence[Json]) -> tuple[Json, Json] | None:
    """A classic cell and its native twin, to be shown first: those that differ the most."""
    drawn = {(cell["twins"], cell["pattern"]): cell for cell in cells if cell["picture"]}
    pairs = [
        (classic, drawn[twins, "native"])
        for (twins, pattern), classic in drawn.items()
        if pattern == "classic" and (twins, "native") in drawn
    ]
    return max(pairs, key=lambda pair: pair[0]["hazards"] - pair[1]["hazards"], default=None)

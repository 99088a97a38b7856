"""The report as one page that can be sent to someone: report.html, no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from conformance.catalogue import behaviours
from conformance.report import picture, summary
from conformance.report.table import STYLE

Json = dict[str, Any]


def write(results: Path, report: Json) -> Path:
    """Save the page of a report beside its report.json."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html", "j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        run=report["run"],
        summary=report["summary"],
        tables=list(_tables(report["cells"])),
        cells=list(_cells(results, report["cells"])),
        marks={outcome: mark for outcome, (mark, _) in STYLE.items()},
    )
    target = results / "report.html"
    target.write_text(page)
    return target


def _tables(entries: Sequence[Json]) -> Iterator[tuple[str, list[str], list[Any]]]:
    def place(entry: Json) -> tuple[str, str, str]:
        return entry["k8s"], entry["sidecar"], entry["mode"]

    for (k8s, sidecar, mode), group in groupby(sorted(entries, key=place), key=place):
        members = list(group)
        patterns = [p for p in ("classic", "native") if any(e["pattern"] == p for e in members)]
        by_place = {(entry["behaviour"], entry["pattern"]): entry for entry in members}
        rows = [
            (behaviour.id, behaviour.promise, [by_place.get((behaviour.id, p)) for p in patterns])
            for behaviour in behaviours().values()
            if any(place[0] == behaviour.id for place in by_place)
        ]
        yield f"Kubernetes {k8s} · {sidecar} · {mode}", patterns, rows


def _cells(results: Path, entries: Sequence[Json]) -> Iterator[Json]:
    def ident(entry: Json) -> str:
        names = ("k8s", "sidecar", "pattern", "mode", "scenario")
        return "-".join(entry[name] for name in names)

    for name, group in groupby(entries, key=ident):
        members = list(group)
        bundle = next((entry["bundle"] for entry in members if entry["bundle"]), None)
        yield {
            "id": name,
            "bundle": bundle,
            "entries": members,
            "open": any(entry["verdict"] in summary.BAD for entry in members),
            "picture": picture.draw(results / bundle, members) if bundle else None,
        }

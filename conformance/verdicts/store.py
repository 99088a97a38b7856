"""From a bundle to verdicts on disk: findings held against the table, and kept.

Each verdict is one JSON file beside its bundle, so that a crashed worker loses nothing that was
judged, and the report needs nothing but files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from conformance.machine import files as atomic
from conformance.model import Cell, Evidence, Expectation, Finding, Verdict
from conformance.plan.cells import Item
from conformance.verdicts import expectations


class HazardReproduced(Exception):
    """A control arm showed the very hazard that it must show (pytest's XFAIL)."""


class PromiseBroken(AssertionError):
    """A promise was seen to be broken."""


class Inconclusive(Exception):
    """The evidence cannot carry a verdict."""


def hold(
    item: Item, finding: Finding, *, attempts: int = 1, strict_promises: bool = False
) -> Verdict:
    """Hold a finding against what is expected of this item."""
    expectation = expectations.expected(item.behaviour, item.cell, strict_promises=strict_promises)
    return expectations.hold(item.cell, finding, expectation, attempts)


def without_evidence(
    item: Item,
    observed: Literal["inconclusive", "not-verified"],
    reason: str,
    strict: bool = False,
) -> Verdict:
    """The verdict of an item that has no bundle: inconclusive or not-verified, with its reason."""
    return hold(item, Finding(item.behaviour, observed, reason), strict_promises=strict)


def path(results: Path, item: Item) -> Path:
    """Where an item's verdict is kept."""
    return results / "verdicts" / item.cell.k8s / item.cell.slug / f"{item.behaviour}.json"


def keep(results: Path, verdict: Verdict, bundle: Path | None) -> None:
    """Write a verdict down, atomically."""
    target = path(results, Item(verdict.cell, verdict.finding.behaviour))
    target.parent.mkdir(parents=True, exist_ok=True)
    record = asdict(verdict) | {
        "bundle": str(bundle.relative_to(results)) if bundle is not None else None
    }
    atomic.write_text(target, json.dumps(record, indent=1))


def kept(results: Path) -> Iterator[tuple[Verdict, str | None]]:
    """Every verdict of a run, with its bundle's folder relative to the results."""
    for file in sorted((results / "verdicts").glob("*/*/*.json")):
        yield read(file)


def read(file: Path) -> tuple[Verdict, str | None]:
    """One kept verdict, with its bundle's folder relative to the results."""
    raw = json.loads(file.read_text())
    return from_record(raw), raw["bundle"]


def from_record(raw: dict[str, Any]) -> Verdict:
    """A verdict as it was before ``keep``."""
    finding = raw["finding"]
    evidence = tuple(Evidence(**one) for one in finding.pop("evidence"))
    return Verdict(
        cell=Cell(**raw["cell"]),
        finding=Finding(**finding, evidence=evidence),
        expectation=Expectation(**raw["expectation"]),
        outcome=raw["outcome"],
        reason=raw["reason"],
        attempts=raw["attempts"],
    )

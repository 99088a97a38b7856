"""The report of a run as data (report.json), made from verdicts and bundles only.

Its shape is described by schema.json beside this file; SCHEMA is raised when a field changes its
meaning or goes.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from conformance.machine import capacity, timing
from conformance.machine import files as atomic
from conformance.model import Verdict
from conformance.plan.article import tables
from conformance.plan.cells import Item
from conformance.plan.selection import version_order
from conformance.report.decision import answer, summary
from conformance.report.page import article, groups
from conformance.report.profile import profile
from conformance.verdicts import store as verdicts

SCHEMA = 1
Json = dict[str, Any]


def collect(
    results: Path, items: Sequence[Item], *, strict_promises: bool = False, unjudged: str = ""
) -> Sequence[tuple[Verdict, str | None]]:
    """Every planned verdict in the plan's order, with its bundle.

    An item that nobody judged (the run was interrupted, a worker died) is inconclusive. unjudged:
    why, where it is known.
    """
    kept = {
        Item(verdict.cell, verdict.finding.behaviour): (verdict, bundle)
        for verdict, bundle in verdicts.kept(results)
    }
    return [
        kept.get(item)
        or (
            verdicts.without_evidence(
                item,
                "inconclusive",
                unjudged or "No verdict was reached: the run ended before this cell was judged.",
                strict_promises,
            ),
            None,
        )
        for item in items
    ]


def document(
    results: Path,
    found: Sequence[tuple[Verdict, str | None]],
    *,
    run: Mapping[str, Any],
) -> Json:
    """The whole report. run: what the controlling process knows (id, options, start, duration)."""
    counted = summary.counts(verdict for verdict, _ in found)
    cells = [entry(verdict, bundle) for verdict, bundle in found]
    clusters = _clusters(results, found)
    report: Json = {
        "schema": SCHEMA,
        "run": {
            **run,
            "suite": metadata.version("sidecar-conformance"),
            "machine": machine(),
            "clusters": clusters,
            "images": _images(results),
            "timing": profile(timing.spans(results)),
            "attempts": {
                "cells": len({verdict.cell for verdict, _ in found}),
                "repeated": sorted({v.cell.id for v, _ in found if v.attempts > 1}),
                "turns": max((cell["turn"] for cell in cells), default=1),
                "unstable": [_unstable(entry) for entry in groups.unstable(cells)],
            },
        },
        "cells": cells,
        "article": article.compare(groups.settled(cells), clusters, tables()),
        "summary": {**counted, "total": len(found)},
    }
    return report | {"decision": answer.decided(report)}


def write(results: Path, report: Json) -> Path:
    """Save as report.json, atomically."""
    target = results / "report.json"
    atomic.write_text(target, json.dumps(report, indent=1) + "\n")
    return target


def machine() -> Json:
    """The machine of the controlling process."""
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mb": capacity.memory() // 2**20,
        "python": platform.python_version(),
        "cgroup": 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
    }


def iso(seconds: float) -> str:
    """UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def entry(verdict: Verdict, bundle: str | None) -> Json:
    """A verdict as an entry of report.json (cells)."""
    cell, finding, expectation = verdict.cell, verdict.finding, verdict.expectation
    return {
        "k8s": cell.k8s,
        "sidecar": cell.sidecar,
        "pattern": cell.pattern,
        "mode": cell.mode,
        "scenario": cell.scenario,
        "turn": cell.turn,
        "behaviour": finding.behaviour,
        "expected": expectation.expect,
        "expected_hazards": list(expectation.hazards),
        "expected_because": expectation.reason,
        "known_hazards": list(expectation.known),
        "source": expectation.source,
        "observed": finding.observed,
        "hazard": finding.hazard,
        "verdict": verdict.outcome,
        "reason": verdict.reason,
        "measured": finding.measured,
        "evidence": [
            {key: value for key, value in asdict(one).items() if value not in (None, "")}
            for one in finding.evidence
        ],
        "attempts": verdict.attempts,
        "bundle": bundle,
    }


def _unstable(entry: Json) -> str:
    told = ", ".join(f"{count} {outcome}" for outcome, count in entry["turns"].items())
    names = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")
    return f"{' · '.join(entry[name] for name in names)}: {told}"


def _clusters(results: Path, found: Sequence[tuple[Verdict, str | None]]) -> Json:
    """By Kubernetes version: state, and the versions that the cluster told, as bundles keep them.

    A cluster without a bundle has told them to the run alone, or nobody.
    """
    files = {
        verdict.cell.k8s: results / bundle / "cell.json" for verdict, bundle in found if bundle
    }
    clusters: Json = {}
    states = (results / "clusters").glob("*/state.json")
    for state in sorted(states, key=lambda state: version_order(state.parent.name)):
        k8s = state.parent.name
        index, own = files.get(k8s), state.with_name("versions.json")
        versions = None
        if index is not None and index.exists():
            versions = json.loads(index.read_text())["versions"]
        elif own.exists():
            versions = json.loads(own.read_text())
        clusters[k8s] = {**json.loads(state.read_text()), "versions": versions}
    return clusters


def _images(results: Path) -> Json:
    context = results / "context.json"
    images: Json = json.loads(context.read_text())["images"] if context.exists() else {}
    return images

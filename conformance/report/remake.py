"""The pages of a run, made again from what is kept: a run's folder, or its pack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.errors import UsageProblem
from conformance.model import Verdict
from conformance.report import document, junit, pack
from conformance.report.decision import answer, markdown, summary
from conformance.report.page import html
from conformance.verdicts import store as verdicts

Json = dict[str, Any]


def remake(path: Path, target: Path | None = None) -> Path:
    """Write report.html, cells/, report.json, junit.xml and summary.md; returns report.html.

    target: the folder for them; by default the run's own, and beside a pack a folder of its name.
    Raises UsageProblem when the path is no run.
    """
    with pack.opened(path) as run:
        report = read(run)
        if target is None:
            target = run if run == path else path.with_name(path.name.removesuffix(pack.SUFFIX))
        return write(run, report, target)


def write(run: Path, report: Json, target: Path) -> Path:
    """Write every page of a report into a folder, which is made; returns report.html."""
    target.mkdir(parents=True, exist_ok=True)
    document.write(target, report)
    junit.write(run, report, target)
    (target / "summary.md").write_text(markdown.render(report))
    return html.write(run, report, pages=target)


def judged(run: Path, found: Sequence[tuple[Verdict, str | None]]) -> Json:
    """The report of a run with other verdicts than its own: those that its evidence gives now."""
    kept = run / "report.json"
    was: Json = json.loads(kept.read_bytes())["run"] if kept.is_file() else {**_killed(run)}
    failed = was.get("exit_code") == 3  # a cluster that never came up comes up no better now
    interrupted = bool(was.get("interrupted"))
    made = document.document(run, found, run=was)
    return finished(made, interrupted=interrupted, clusters_failed=failed)


def read(run: Path) -> Json:
    """A run's report, its decision made anew; of a run that was killed, from its verdicts alone."""
    found = list(verdicts.kept(run)) if (run / "verdicts").is_dir() else []
    if not found:
        raise UsageProblem(
            f"{run} has no verdicts; name a run's folder, such as results/latest, or a pack."
        )
    kept = run / "report.json"
    if kept.is_file():
        report: Json = json.loads(kept.read_bytes())
        meaning = summary.MEANING.get(report["run"].get("exit_code"), "")
        told = report["run"] | ({"exit_meaning": meaning} if meaning else {})
        return report | {"run": told, "decision": answer.decided(report)}
    return finished(document.document(run, found, run=_killed(run)))


def finished(report: Json, *, interrupted: bool = False, clusters_failed: bool = False) -> Json:
    """A report with its exit code, which only the whole of it gives."""
    code = summary.exit_code(report["summary"], clusters_failed=clusters_failed)
    code = 130 if interrupted else code
    told = {"exit_code": code, "exit_meaning": summary.MEANING[code]}
    return report | {"run": report["run"] | told}


def _killed(run: Path) -> Mapping[str, Any]:
    """What can be said of a run that wrote no report."""
    started = min((one.stat().st_mtime for one in run.iterdir()), default=0.0)
    return {"id": run.name, "started": document.iso(started), "duration_seconds": 0.0,
            "interrupted": True, "options": {}}  # fmt: skip

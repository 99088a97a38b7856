"""Reports a run while it goes on and at its end. Registered by the plugin, in one process only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import EnvironmentProblem
from conformance.machine import room, timing
from conformance.machine.progress import board
from conformance.plan import cells as plan
from conformance.plan import size
from conformance.plan.cells import Item
from conformance.plan.options import Options
from conformance.plan.selection import known_k8s
from conformance.report import document, junit, story, table
from conformance.report.decision import markdown, summary
from conformance.report.page import groups, html
from conformance.verdicts import store as verdicts


class Reporter:
    """Prints each verdict as it falls; writes report.json and the page; sets the exit code.

    items: every verdict to come. fallen: is told the Kubernetes version of each verdict as it
    falls. absent: whether a version has no cluster in this run, why was said once for all of its
    verdicts. ended: why the run ended itself, or "".
    """

    def __init__(
        self,
        results: Path,
        options: Options,
        items: Sequence[Item],
        *,
        fallen: Callable[[str], None],
        absent: Callable[[str], bool],
        ended: Callable[[], str],
    ) -> None:
        self._results = results
        self._options = options
        self._items = items
        self._fallen = fallen
        self._absent = absent
        self._ended = ended
        self._said: set[str] = set()
        self._started = time.time()
        self._unprinted = {item.id: item for item in items}
        left_out = plan.left_out(options.selection, known_k8s())
        cells = len({item.cell for item in items})
        board.say(
            f"{cells} cell{'s' * (cells != 1)}, {size.estimate(cells)} (an estimate); "
            f"{len(items)} verdicts; Ctrl-C to stop"
        )
        board.say(f"results in {results}")
        if left_out:
            board.say(left_out)

    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str] | None:
        """The verdict's own word in place of pytest's letter; lines are printed by ourselves."""
        if report.when != "call" and not report.failed:
            return None
        properties = dict(getattr(report, "user_properties", ()))
        outcome = properties.get("verdict")
        return (str(outcome), "", "") if outcome else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        item = self._unprinted.get(report.nodeid.partition("[")[2].partition("]")[0])
        if report.when != "call" or item is None:
            return
        file = verdicts.path(self._results, item)
        if file.exists():
            del self._unprinted[item.id]
            verdict, bundle = verdicts.read(file)
            # What left no evidence has the same cause as the others without: it is said once.
            if not self._absent(item.cell.k8s) and (bundle or verdict.reason not in self._said):
                board.console.print(table.line(verdict))
            self._said |= set() if bundle else {verdict.reason}
            self._fallen(item.cell.k8s)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        try:
            session.exitstatus = self._finish(interrupted)
        except OSError as error:
            why = room.lacking(self._results) or f"{self._results} cannot be written: {error}."
            board.say(f"There is no report of this run. {why}")
            session.exitstatus = EnvironmentProblem.exit_code

    def _finish(self, interrupted: bool) -> int:
        """Write the report; the exit code. Raises OSError."""
        why = self._ended() or room.lacking(self._results)
        found = document.collect(
            self._results,
            self._items,
            strict_promises=self._options.strict_promises,
            unjudged=why,
        )
        report = document.document(self._results, found, run=self._run(interrupted))
        failed = any(one["state"] == "failed" for one in report["run"]["clusters"].values())
        code = summary.exit_code(report["summary"], clusters_failed=failed)
        if interrupted:
            code = EnvironmentProblem.exit_code if why else 130
        report["run"]["exit_code"] = code
        report["run"]["exit_meaning"] = summary.MEANING[code]
        self._say(report, document.write(self._results, report))
        with timing.span(self._results, "page"):
            junit.write(self._results, report)
            markdown.publish(self._results, report)
            html.write(self._results, report)
        return code

    def _run(self, interrupted: bool) -> dict[str, Any]:
        options = self._options
        return {
            "id": self._results.name,
            "started": document.iso(self._started),
            "duration_seconds": round(time.time() - self._started, 1),
            "interrupted": interrupted,
            "options": {
                "k8s": options.selection.k8s,
                "sidecars": options.selection.sidecars,
                "patterns": options.selection.patterns,
                "modes": options.selection.modes,
                "scenarios": options.selection.scenarios,
                "behaviours": options.selection.behaviours,
                "images": options.images,
                "take_away": options.take_away,
                "sidecars_named": not options.selection.whatever,
                "strict_promises": options.strict_promises,
            },
        }

    def _say(self, report: dict[str, Any], target: Path) -> None:
        board.console.print()
        for one in table.versions(report["run"]["clusters"]):
            board.say(one)
        cells = [one for one in report["cells"] if not self._absent(one["k8s"])]
        unobserved = [one for one in cells if _unobserved(one)]
        cells = [one for one in cells if not _unobserved(one)]
        settled = groups.settled(cells)
        board.console.print(table.tables(settled))
        if len(groups.versions(settled)) > 1:
            for line in table.across(settled):
                board.console.print(line)
        for line in table.contradictions(report["article"]):
            board.console.print(line)
        bad = [one for one in cells if one["verdict"] in summary.BAD]
        for entry in bad[: story.STORIES]:
            board.console.print(story.tell(self._results, entry))
        if len(bad) > story.STORIES:
            board.say(
                f"… and {len(bad) - story.STORIES} more like these; report.html shows them all."
            )
        attempts = report["run"]["attempts"]
        if attempts["turns"] > 1:
            board.say(f"{attempts['turns']} turns; unstable: {len(attempts['unstable'])}")
        for one in attempts["unstable"]:
            board.say(f"unstable: {one}")
        board.say(
            f"{summary.sentence(report['summary'])}; {report['run']['duration_seconds']:.0f} s"
        )
        answer = list(table.answered(report))
        for line in answer:
            board.console.print(line, soft_wrap=True)
        told = "\n".join(line.plain for line in answer)
        for reason, number in Counter(one["reason"] for one in unobserved).items():
            if reason not in told:
                board.say(f"{number} verdicts without any evidence: {reason}")
        for note in sorted({one["note"] for one in report["run"]["images"].values()} - {""}):
            board.say(f"substituted: {note}")
        board.say(f"report: {target} (and report.html, junit.xml, summary.md beside it)")


def _unobserved(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of the report has no evidence, for a cause that others have with it."""
    return not entry["bundle"] and entry["verdict"] in ("inconclusive", "not-verified")

"""The answer as Markdown: summary.md, and where the CI runner offers a file for a job's summary.

GitHub names that file in GITHUB_STEP_SUMMARY (at most 1 MiB for each step). GitLab shows junit.xml
by itself; summary.md can be posted there as a note.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem
from conformance.report.decision import answer
from conformance.report.decision import decide as decision

Json = Mapping[str, Any]
VARIABLE = "GITHUB_STEP_SUMMARY"
_SIGNS = {decision.NOT_SAFE: "❌", decision.NOT_PROVEN: "❓", decision.SAFE: "✅"}
_LONG = 300  # characters of a reason; report.html has the rest


def render(report: Json) -> str:
    """The whole page."""
    return "\n".join(_lines(report)) + "\n"


def publish(results: Path, report: Json) -> None:
    """Write summary.md, and add it to the runner's own file where there is one.

    Raises EnvironmentProblem when that file cannot be written.
    """
    text = render(report)
    (results / "summary.md").write_text(text)
    offered = os.environ.get(VARIABLE)
    if offered:
        try:
            with Path(offered).open("a") as target:
                target.write(text)
        except OSError as error:
            raise EnvironmentProblem(
                f"The summary could not be added to {VARIABLE}={offered} ({error.strerror}); unset "
                f"it, or look into {results / 'summary.md'}."
            ) from error


def _lines(report: Json) -> Iterator[str]:
    found = report["decision"]
    yield "## Sidecar conformance"
    yield ""
    yield f"{_SIGNS[found['word']]} **{_plain(found['sentence'])}**"
    yield ""
    yield f"- {_plain(found['instrument_sentence'])}"
    if "exit_code" in report["run"]:
        yield f"- {_plain(answer.exit_line(report))}"
    if found["word"] != found["rest"]:
        yield f"- {answer.apart(found)}"
    yield from (f"- {_plain(bound)}" for bound in map(answer.bound_line, found["bounds"]))
    broken = answer.broken(found)
    if broken:
        yield from ("", "| broken promise | where | what was seen | how to repair |")
        yield "|---|---|---|---|"
        for one in broken:
            known = "known" if one.known else "**not known before**"
            what = f"`{one.behaviour}` ({one.hazard}, {known})"
            yield f"| {what} | {one.where} | {_plain(one.reason)} | {_plain(one.repair)} |"
    gaps = answer.gaps(found)
    if gaps:
        yield from ("", "| not proven | why | where | what was seen |", "|---|---|---|---|")
        for one in gaps:
            repeat = f" `REPEAT={one.repeat}` would do." if one.repeat else ""
            name = f"`{one.behaviour}`" if one.behaviour else "all"
            yield f"| {name} | {one.kind} | {one.where} | {_plain(one.reason)}{repeat} |"
    yield from ("", "<details><summary>Scope</summary>", "")
    yield from (f"- {name}: {_plain(value)}" for name, value in found["scope"]["inside"])
    yield from (f"- outside: {_plain(one)}" for one in found["scope"]["outside"])
    yield from ("", "</details>")


def _plain(text: str) -> str:
    """Text that no Markdown or HTML reads as its own, on one line of a table."""
    short = text if len(text) <= _LONG else text[: _LONG - 1] + "…"
    for sign, escaped in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("*", "\\*"), ("\n", " ")):
        short = short.replace(sign, escaped)
    return short

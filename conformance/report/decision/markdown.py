"""The answer as Markdown: summary.md, and where the CI runner offers a file for a job's summary.

GitHub names that file in GITHUB_STEP_SUMMARY (at most 1 MiB for each step). GitLab shows junit.xml
by itself; summary.md can be posted there as a note.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem, harmless
from conformance.report.decision import answer
from conformance.report.decision import decide as decision

Json = Mapping[str, Any]
VARIABLE = "GITHUB_STEP_SUMMARY"
_SIGNS = {decision.NOT_SAFE: "❌", decision.NOT_PROVEN: "❓", decision.SAFE: "✅"}
_LIMITED = "⚠️"  # safe but for what was known to break
_LONG = 300  # characters of a reason; report.html has the rest
_LONGER = 2000  # of the answer itself


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
    limited = found["rest"] == decision.SAFE != found["word"]
    sign = _LIMITED if limited else _SIGNS[found["rest"]]
    yield f"{sign} **{_plain(found['sentence'], _LONGER)}**"
    yield ""
    yield f"- {_plain(found['instrument_sentence'])}"
    if "exit_code" in report["run"]:
        yield f"- {_plain(answer.exit_line(report))}"
    yield from (f"- {_plain(bound)}" for bound in map(answer.bound_line, found["bounds"]))
    for title, alike in answer.new(found):
        yield from ("", f"| {title.lower()} | where | seen | how to repair |", "|---|---|---|---|")
        for one in alike:
            what = f"`{one.behaviour}` ({one.hazard})"
            yield f"| {what} | {one.where} | {_plain(one.reason)} | {_plain(one.repair)} |"
    if known := answer.by_condition(found):
        title = f"{answer.limits(found)}: when each is met, and what breaks then"
        yield from ("", f"<details><summary>{title}</summary>", "")
        yield from ("| when | what breaks | where | how to repair |", "|---|---|---|---|")
        for condition, alike in known:
            for one in alike:
                what = f"`{one.behaviour}` ({one.hazard})"
                yield f"| {_plain(condition)} | {what} | {one.where} | {_plain(one.repair)} |"
        yield from ("", "</details>")
    gaps = answer.gaps(found)
    if gaps:
        yield from ("", "| not proven | why | where | what was seen |", "|---|---|---|---|")
        for alike in answer.of_one_cause(gaps):
            one = alike[0]
            repeat = f" `REPEAT={one.repeat}` would do." if one.repeat else ""
            name = ", ".join(f"`{each.behaviour}`" for each in alike if each.behaviour) or "all"
            yield f"| {name} | {one.kind} | {one.where} | {_plain(one.reason)}{repeat} |"
    yield from ("", "<details><summary>Scope</summary>", "")
    yield from (f"- {name}: {_plain(value)}" for name, value in found["scope"]["inside"])
    yield from (f"- outside: {_plain(one)}" for one in found["scope"]["outside"])
    yield from ("", "</details>")


def _plain(text: str, most: int = _LONG) -> str:
    """Text that no Markdown or HTML reads as its own, on one line of a table."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    short = harmless(short)
    for sign, escaped in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("*", "\\*"), ("\n", " ")):
        short = short.replace(sign, escaped)
    return short

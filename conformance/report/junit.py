"""junit.xml for CI systems, made from the verdicts: one suite for each sidecar and version.

Its shape is the one that Jenkins, GitLab and GitHub's actions read (testsuites, testsuite,
testcase; failure, error, skipped). A control arm that showed its hazard has passed, and says so in
a property; skipped is what this machine could not verify. A case's time is its cell's own, from the
first step to the last, for all verdicts of a cell alike; a suite's time counts each cell once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from conformance.errors import harmless
from conformance.machine import files as atomic
from conformance.model import NS
from conformance.report import story
from conformance.report.decision import answer
from conformance.report.decision import decide as decision
from conformance.report.words import cell_id, fragment, judge_again

Json = Mapping[str, Any]
_FAILED = ("fail", "not-reproduced")
_TOLD = 40  # lines of a timeline, and pieces of evidence, in a body
# What XML 1.0 cannot hold, not even escaped (its production Char).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(results: Path, report: Json, folder: Path | None = None) -> Path:
    """Save as junit.xml, atomically; in another folder than the run's own, where one is named."""
    target = (folder or results) / "junit.xml"
    root = build(results, report)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
    atomic.write_text(target, text + "\n")
    return target


def build(results: Path, report: Json) -> ElementTree.Element:
    """The document. results: the run's folder, from which timelines and durations are read."""
    root = ElementTree.Element("testsuites", name="sidecar-conformance")

    def suite(entry: Json) -> tuple[str, str]:
        return entry["sidecar"], entry["k8s"]

    seconds = 0.0
    for (sidecar, k8s), group in groupby(sorted(report["cells"], key=suite), key=suite):
        entries = list(group)
        durations = {one["bundle"]: duration(results, one["bundle"]) for one in entries}
        element = ElementTree.SubElement(root, "testsuite", name=f"{sidecar} on Kubernetes {k8s}")
        if started := report["run"].get("started"):
            element.set("timestamp", started.removesuffix("Z"))
        _properties(element, _of_suite(report, sidecar, k8s))
        for entry in entries:
            element.append(_case(results, entry, durations[entry["bundle"]]))
        seconds += _totals(element, entries, sum(durations.values()))
    _totals(root, report["cells"], seconds)
    return root


def duration(results: Path, bundle: str | None) -> float:
    """How long a cell was observed (s); 0 where there is no bundle, or it says nothing."""
    index = results / bundle / "cell.json" if bundle else None
    if index is None or not index.is_file():
        return 0.0
    told = json.loads(index.read_text())
    return float(told.get("ended_ns", 0) - told.get("started_ns", 0)) / NS


def _totals(element: ElementTree.Element, entries: Sequence[Json], seconds: float) -> float:
    verdicts = [one["verdict"] for one in entries]
    element.set("tests", str(len(verdicts)))
    element.set("failures", str(sum(one in _FAILED for one in verdicts)))
    element.set("errors", str(verdicts.count("inconclusive")))
    element.set("skipped", str(verdicts.count("not-verified")))
    element.set("time", f"{seconds:.3f}")
    return seconds


def _of_suite(report: Json, sidecar: str, k8s: str) -> Iterator[tuple[str, str]]:
    found = report["decision"]
    yield "decision", found["sentence"]
    yield "instrument", found["instrument_sentence"]
    for part in found["parts"]:
        if (part["sidecar"], part["k8s"]) == (sidecar, k8s):
            yield f"decision {part['mode']}", answer.part_word(part)
    told = (report["run"]["clusters"].get(k8s) or {}).get("versions") or {}
    for name in ("server", "kubelet", "runtime", "kernel"):
        if name in told:
            yield name, str(told[name])
    for name, value in ((told.get("sidecars") or {}).get(sidecar) or {}).items():
        yield f"{sidecar} {name}", str(value)


def _case(results: Path, entry: Json, seconds: float) -> ElementTree.Element:
    names = ("pattern", "mode", "scenario")
    turn = f" turn {entry['turn']}" if entry.get("turn", 1) > 1 else ""
    case = ElementTree.Element(
        "testcase",
        classname=f"{entry['sidecar']}.{entry['k8s'].replace('.', '_')}",
        name=f"{entry['behaviour']} [{' '.join(entry[one] for one in names)}{turn}]",
        time=f"{seconds:.3f}",
    )
    told = [
        ("id", decision.identifier(entry)), ("verdict", entry["verdict"]),
        ("observed", entry["observed"]), ("expected", entry["expected"]),
        ("hazard", entry["hazard"]), ("reason", entry["reason"]),
        ("bundle", entry["bundle"] or ""), ("link", f"report.html#{fragment(entry)}"),
    ]  # fmt: skip
    _properties(case, told)
    verdict = entry["verdict"]
    if verdict in _FAILED:
        kind = entry["hazard"] or verdict
        _add(case, "failure", kind, entry["reason"], _body(results, entry))
    elif verdict == "inconclusive":
        _add(case, "error", verdict, entry["reason"], _body(results, entry))
    elif verdict == "not-verified":
        _add(case, "skipped", "", entry["reason"], "")
    return case


def _add(case: ElementTree.Element, tag: str, kind: str, message: str, body: str) -> None:
    element = ElementTree.SubElement(case, tag, message=_clean(message))
    if kind:
        element.set("type", kind)
    element.text = _clean(body) or None


def _body(results: Path, entry: Json) -> str:
    """All that a reader of a CI page needs to find the packet: no source, no traceback."""
    parts = [entry["reason"], ""]
    if entry["hazard"]:
        parts.append(f"hazard:   {entry['hazard']}")
    parts.append(f"expected: {entry['expected']}; {entry['expected_because']}")
    parts.append(f"trace:    cells/{cell_id(entry)}.html#{entry['behaviour']}")
    if entry["bundle"]:
        parts.append(f"bundle:   {entry['bundle']}")
        parts.append(f"again:    {judge_again(entry)}")
        for one in entry["evidence"][:_TOLD]:
            place = f", frame {one['frame']}" if "frame" in one else f":{one.get('line', '')}"
            parts.append(f"evidence: {one['file']}{place} {one.get('text', '')}".rstrip())
        timeline = story.timeline(results / entry["bundle"])
        parts += ["", *timeline[:_TOLD]]
        if len(timeline) > _TOLD:
            parts.append(f"… and {len(timeline) - _TOLD} more events")
    return "\n".join(parts)


def _properties(
    element: ElementTree.Element, told: Iterator[tuple[str, str]] | Sequence[Any]
) -> None:
    group = ElementTree.SubElement(element, "properties")
    for name, value in told:
        if value:
            ElementTree.SubElement(group, "property", name=name, value=_clean(value))


def _clean(text: str) -> str:
    return harmless(_FORBIDDEN.sub("\ufffd", text))

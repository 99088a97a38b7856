"""What holds of every finding, whatever world it is of: it can be read, and looked up by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from conformance.evidence.bundle import CLOCK, Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.judges import judge
from conformance.model import Evidence, Finding
from tests.approved import given

_HAZARD = re.compile(r"[a-z][A-Za-z0-9 -]*")
_LINE = re.compile(r"([\w./-]+\.jsonl):(\d+)")
_FIGURE = re.compile(r"[a-z][a-z0-9_-]*|[A-Z][a-z].*")


def told(behaviour: str, bundle: Bundle, *, trusting: bool = False, full: int = 0) -> Finding:
    """What judge() says of a bundle, once that is known to be told rightly; it is held against what
    is approved at the end of the test. full: so many pieces of evidence are approved in full."""
    found = judge(behaviour, bundle, trusting=trusting)
    require_told(found, bundle.root)
    given.finding(found, full=full)
    return found


def require_told(finding: Finding, bundle: Path) -> None:
    """Raises AssertionError unless a finding says what it saw, and where that is in the bundle."""
    assert isinstance(finding.reason, str)
    assert finding.reason not in ("", ".", "None", "None."), finding.reason
    if finding.observed == "broken":
        assert isinstance(finding.hazard, str), finding.hazard
        assert _HAZARD.fullmatch(finding.hazard), finding.hazard
    else:
        assert finding.hazard == "", finding.hazard
    require_figures(finding.measured)
    require_places(finding.evidence, bundle)


def require_contradiction(found: Contradiction, bundle: Path) -> None:
    """Raises AssertionError unless a contradiction says which files are in doubt, and where."""
    assert isinstance(found.reason, str) and found.reason not in ("", "None"), found.reason
    assert found.evidence, found.reason
    require_places(found.evidence, bundle)
    shown = {(one.file, str(one.line)) for one in found.evidence}
    assert set(_LINE.findall(found.reason)) <= shown, f"{found.reason} is not shown"
    for name in found.files:
        assert isinstance(name, str) and (bundle / name).is_file(), name
    if found.files:
        assert {one.file for one in found.evidence} <= {*found.files, "cell.json", CLOCK}, found


def require_figures(measured: object) -> None:
    """What is measured has names that stay the same from run to run, for they are compared."""
    assert isinstance(measured, Mapping), measured
    for name in measured:
        assert _FIGURE.fullmatch(name), name
    json.dumps(measured)


def require_places(evidence: Iterable[Evidence], bundle: Path) -> None:
    """Each piece of evidence is in a file of the bundle, at a place that is there."""
    for one in evidence:
        assert isinstance(one, Evidence), one
        assert isinstance(one.file, str) and isinstance(one.text, str), one
        path = bundle / one.file
        if one.line is None and one.frame is None:
            assert one.ns is None, f"{one} has a moment, and no place"
            continue
        if one.frame is not None:
            assert one.line is None and one.frame >= 1 and path.suffix == ".pcap", one
            assert one.ns is not None, one
            continue
        times = _times(path, path.stat().st_mtime_ns)
        assert one.line is not None and 1 <= one.line <= len(times), one
        if times[one.line - 1] is not None and (one.text or one.ns is not None):
            assert one.ns == times[one.line - 1], one


@cache
def _times(path: Path, _: int) -> list[int | None]:
    """When each line of a file is of, by itself; None where it does not say."""
    found: list[int | None] = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(json.loads(line).get("ns"))
        except (ValueError, AttributeError, RecursionError):
            found.append(None)
    return found

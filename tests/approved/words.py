"""How an answer stands in a file of approved ones: words and figures in full, evidence as places
and a sum over all that it says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from conformance.evidence.contradiction import Contradiction
from conformance.model import Evidence, Finding

_PLACES = 6  # more are in the sum alone
_BYTES = re.compile(r"(?<=cell\.json knows it, with )\d+(?= bytes)")  # of a world, not of a judge


def of_finding(found: Finding, full: int = 0) -> list[str]:
    """The lines of a finding. full: so many pieces of evidence stand in full."""
    head = " ".join(filter(None, (found.behaviour, found.observed, found.hazard)))
    return [
        f"{head}{', to be tried again' if found.retry else ''}: {_flat(found.reason)}",
        *([f"  {_figures(found)}"] if found.measured else []),
        *(f"  {in_full(one)}" for one in found.evidence[:full]),
        *([f"  {_places(found.evidence)}"] if found.evidence else []),
    ]


def of_contradiction(found: Contradiction) -> list[str]:
    """The lines of a contradiction."""
    strikes = ", proof too" if found.strikes_proof else ""
    return [
        f"contradiction{strikes}: {_flat(found.reason)}",
        f"  in doubt: {' '.join(sorted(found.files)) or 'everything'}",
        *([f"  {_places(found.evidence)}"] if found.evidence else []),
    ]


def in_full(one: Evidence) -> str:
    """A piece of evidence with its moment and its text."""
    return f"{_place(one)} at {one.ns}: {_flat(one.text)}"


def _figures(found: Finding) -> str:
    said = (f"{name} {json.dumps(its, ensure_ascii=False)}" for name, its in found.measured.items())
    return _BYTES.sub("…", "; ".join(said))


def _places(evidence: Sequence[Evidence]) -> str:
    said = "\n".join(map(in_full, evidence)).encode()
    shown = [
        f"{file}:{','.join(map(_number, of_file))}"
        for file, of_file in groupby(evidence[:_PLACES], key=lambda one: one.file)
    ]
    more = " …" if len(evidence) > _PLACES else ""
    return f"{len(evidence)} {hashlib.sha256(said).hexdigest()[:8]} {' '.join(shown)}{more}"


def _place(one: Evidence) -> str:
    return f"{one.file}:{_number(one)}"


def _number(one: Evidence) -> str:
    return f"f{one.frame}" if one.frame is not None else f"{one.line or '-'}"


def _flat(text: str) -> str:
    return _BYTES.sub("…", json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"'))


def joined(answers: Iterable[Sequence[str]]) -> str:
    """The answers that a test was given, one after the other."""
    first: dict[tuple[str, ...], int] = {}
    lines: list[str] = []
    for number, answer in enumerate(map(tuple, answers), 1):
        its = first.setdefault(answer, number)
        lines += answer if its == number else [f"the same as answer {its}"]
    return "\n".join(lines)

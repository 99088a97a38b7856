"""What an audit says: as text, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from conformance.audit.examine import Audited
from conformance.audit.finding import Finding
from conformance.audit.rule import LEVELS

SCHEMA = 1
EXIT: Mapping[int, str] = {
    0: "nothing was found",
    1: "there are findings",
    2: "wrong use",
    3: "something could not be read, so there may be more",
}


def exit_code(findings: Sequence[Finding], unread: Sequence[str]) -> int:
    """3 before 1: who reads the code alone must not take a part for the whole."""
    return 3 if unread else 1 if findings else 0


def text(audited: Audited, findings: Sequence[Finding], *, short: bool = False) -> Iterator[str]:
    """Line by line, by object. short: a line for each finding."""
    for title, group in groupby(findings, key=lambda one: (one.object, one.file)):
        name, file = title
        yield f"{name}  ({file})" if file else name
        for one in group:
            where = f":{one.line}" if one.line else ""
            told = f" in {one.pods} pods, {one.pod} the first" if one.pods else ""
            yield f"  {one.level}  {one.rule.id}  {one.field}{where}{told}"
            if not short:
                yield f"      {one.message}"
                yield f"      proof: {one.proof}"
                yield f"      see: {one.rule.see}"
                yield f"      repair: {one.rule.repair}"
                if one.patch is not None:
                    if one.patch.anew:
                        yield f"      made anew, for {one.patch.anew} (what runs of it ends):"
                    yield f"      {one.patch.command}"
        yield ""
    yield summary(audited, findings)
    yield from (f"not read: {sentence}" for sentence in audited.unread)


def summary(audited: Audited, findings: Sequence[Finding]) -> str:
    """One sentence: how much was looked at, and what was found."""
    counted = Counter(one.level for one in findings)
    levels = ", ".join(
        f"{counted[one]} {one}{'s' if counted[one] != 1 else ''}"
        for one in reversed(LEVELS)
        if counted[one]
    )
    told = f"{len(findings)} findings ({levels})" if findings else "no findings"
    tally = audited.tally
    return f"{told} in {tally.objects} objects, {tally.workloads} of them with pods"


def data(audited: Audited, findings: Sequence[Finding]) -> Mapping[str, Any]:
    """The whole as JSON: schema is raised when a field changes its meaning or goes."""
    counted = Counter(one.level for one in findings)
    return {
        "schema": SCHEMA,
        "objects": audited.tally.objects,
        "workloads": audited.tally.workloads,
        "counts": {level: counted[level] for level in LEVELS},
        "unread": list(audited.unread),
        "findings": [one.data() for one in findings],
    }


def as_json(value: Mapping[str, Any]) -> str:
    """Printed JSON."""
    return json.dumps(value, indent=1)

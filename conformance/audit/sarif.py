"""An audit as SARIF 2.1.0 (OASIS), which code scanning and editors read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.audit.examine import Audited
from conformance.audit.finding import Finding
from conformance.audit.rule import Rule, rules

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
NAME = "sidecar-conformance"
_FINGERPRINT = "sidecarConformance/v1"


def log(audited: Audited, findings: Sequence[Finding]) -> Mapping[str, Any]:
    """The SARIF log: one run, a rule for each of ours, a result for each finding."""
    known = list(rules().values())
    places = {row.id: place for place, row in enumerate(known)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": NAME,
                        "version": __version__,
                        "rules": [_rule(row) for row in known],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": not audited.unread,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": sentence}}
                            for sentence in audited.unread
                        ],
                    }
                ],
                "results": [_result(one, places[one.rule.id]) for one in findings],
            }
        ],
    }


def _rule(row: Rule) -> Mapping[str, Any]:
    proof = row.behaviour or row.source
    return {
        "id": row.id,
        "shortDescription": {"text": row.title},
        "fullDescription": {"text": f"{row.title}. Proved by {proof}."},
        "help": {"text": f"See it: {row.see}\nRepair: {row.repair}"},
        "defaultConfiguration": {"level": row.level},
        "properties": {"tags": ["kubernetes", "sidecar"], "behaviour": row.behaviour},
    }


def _result(one: Finding, place: int) -> Mapping[str, Any]:
    qualified = f"{one.namespace}/{one.kind}/{one.name}/{one.field}"
    location: dict[str, Any] = {
        "logicalLocations": [
            {"name": one.name, "fullyQualifiedName": qualified, "kind": "resource"}
        ]
    }
    if one.file:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(one.file)},
            "region": {"startLine": max(one.line, 1)},
        }
    text = f"{one.object}: {one.message} {one.rule.repair}"
    properties: dict[str, Any] = {"behaviour": one.behaviour, "source": one.rule.source}
    if one.patch is not None:
        properties["patch"] = one.patch.command
        properties["anew"] = one.patch.anew
    return {
        "ruleId": one.rule.id,
        "ruleIndex": place,
        "level": one.level,
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {_FINGERPRINT: f"{one.rule.id}:{qualified}:{one.container}"},
        "properties": properties,
    }


def _uri(file: str) -> str:
    """A file as a URI reference: relative to the working folder where it is below it."""
    path = Path(file)
    if not path.is_absolute():
        return path.as_posix()
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_uri()

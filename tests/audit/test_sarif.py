"""SARIF holds what SARIF 2.1.0 asks for (OASIS, 3.13 to 3.49), and JUnit what CI reads."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import CliRunner

from conformance.audit.rule import rules
from conformance.cli import main
from tests.audit.planted import FOLDER

_TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
ESSENTIALS: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string", "minLength": 1},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "properties": {
                                                "shortDescription": _TEXT,
                                                "fullDescription": _TEXT,
                                                "help": _TEXT,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {"level": _LEVEL},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "properties": {"executionSuccessful": {"type": "boolean"}},
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "locations"],
                            "properties": {
                                "message": _TEXT,
                                "level": _LEVEL,
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "format": "uri-reference",
                                                            }
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "properties": {
                                                            "startLine": {
                                                                "type": "integer",
                                                                "minimum": 1,
                                                            }
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def sarif(*arguments: str) -> dict[str, Any]:
    told = CliRunner().invoke(main, ["audit", "--output", "sarif", *arguments])
    log: dict[str, Any] = json.loads(told.stdout)
    jsonschema.Draft202012Validator(ESSENTIALS).validate(log)
    return log


def test_all_that_is_planted_is_a_valid_log() -> None:
    (run,) = sarif(str(FOLDER / "hazards"))["runs"]
    listed = [row["id"] for row in run["tool"]["driver"]["rules"]]
    assert listed == list(rules())
    assert len(run["results"]) >= 40
    for result in run["results"]:
        assert listed[result["ruleIndex"]] == result["ruleId"]


def test_nothing_found_is_a_valid_log_too() -> None:
    (run,) = sarif(str(FOLDER / "clean" / "native-istio.yaml"))["runs"]
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True


def test_results_can_be_told_apart_over_time() -> None:
    (run,) = sarif(str(FOLDER / "hazards"))["runs"]
    prints = [
        (one["partialFingerprints"]["sidecarConformance/v1"], _file(one)) for one in run["results"]
    ]
    assert len(prints) == len(set(prints))


def test_what_could_not_be_read_is_no_success(tmp_path: Any) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (run,) = sarif(str(tmp_path))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False


def test_the_essentials_refuse_what_is_wrong() -> None:
    log = sarif(str(FOLDER / "hazards" / "classic-envoy.yaml"))
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(ESSENTIALS).validate(log)


def _file(result: dict[str, Any]) -> str:
    (place,) = result["locations"]
    return str(place["physicalLocation"]["artifactLocation"]["uri"])


def test_junit_has_a_test_for_each_rule_and_one_for_what_was_read(tmp_path: Any) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text((FOLDER / "hazards" / "mixed.yaml").read_text())
    told = CliRunner().invoke(main, ["audit", "--output", "junit", str(tmp_path)])
    suite = ElementTree.fromstring(told.stdout)
    cases = {case.get("name"): [below.tag for below in case] for case in suite}
    assert list(cases) == [*rules(), "everything-was-read"]
    assert {name: tags for name, tags in cases.items() if tags} == {
        "mixed-patterns": ["failure"],
        "everything-was-read": ["error"],
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        str(len(cases)),
        "1",
        "1",
    )

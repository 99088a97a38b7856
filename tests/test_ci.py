"""The workflow of .github: every version is in it, and it asks for nothing that is not there."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from conformance.cli.group import COMMANDS
from conformance.images.tools import GO_LEAST
from conformance.machine.paths import CHECKOUT
from conformance.plan.selection import known_k8s, select

WORKFLOW = CHECKOUT / ".github" / "workflows" / "conformance.yaml"


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["conformance"]
    return found


def step(name: str) -> str:
    return next(str(one["run"]) for one in job()["steps"] if one.get("name") == name)


def test_every_version_has_its_night() -> None:
    expression = job()["strategy"]["matrix"]["k8s"]
    listed = json.loads(re.findall(r"'(\[\"1\.28.*?\])'", expression)[0])
    assert listed == [k8s for k8s in known_k8s() if "-" not in k8s]


def test_what_it_asks_for_is_valid() -> None:
    values = yaml.safe_load(WORKFLOW.read_text())[True]["workflow_dispatch"]["inputs"]
    select({name: value["default"] for name, value in values.items()})
    run = step("Run")
    for variable in re.findall(r"(\w+)=\"", run):
        assert f",{variable})" in (CHECKOUT / "Makefile").read_text()
    commands = re.findall(r"sidecar-conformance (\w+)", WORKFLOW.read_text())
    assert commands and set(commands) <= set(COMMANDS)


def test_its_go_is_new_enough() -> None:
    (go,) = (
        one["with"]["go-version"] for one in job()["steps"] if "setup-go" in one.get("uses", "")
    )
    assert tuple(map(int, go.split("."))) >= GO_LEAST

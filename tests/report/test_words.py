"""The command that runs a report's cells once more, where they are of the user's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY, Registration
from conformance.report import words


def report(*sidecars: str) -> dict[str, object]:
    chosen = Options.check({"k8s": "1.33", "sidecar": "envoy", "mode": "init-rules"}).selection
    options = {
        "k8s": chosen.k8s, "sidecars": sidecars, "patterns": chosen.patterns,
        "modes": ["default"], "behaviours": chosen.behaviours, "scenarios": chosen.scenarios,
    }  # fmt: skip
    return {"run": {"options": options, "attempts": {}}}


def test_a_file_that_is_not_known_here_is_named_by_its_name() -> None:
    said = words.again(report("mine"))
    assert said.startswith("make conformance K8S=1.33 SIDECAR=mine.yaml")


def test_files_are_named_by_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package in (
        ("mine", "conformance.sidecars.own"),
        ("web", "conformance.sidecars.pods"),
    ):
        file = Path(f"/home/me/{name}.yaml")
        made = Registration(name, package, file.parent, ("default",), file=file)
        monkeypatch.setitem(REGISTRY, name, made)
    said = words.again(report("envoy", "mine", "web"))
    assert "SIDECAR=envoy,/home/me/mine.yaml" in said
    assert "PODS=/home/me/web.yaml" in said

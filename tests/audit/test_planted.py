"""Every planted hazard is found, nothing else is, and each patch takes its finding away."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from conformance.audit.document import Document
from conformance.audit.finding import Finding
from conformance.audit.patch import Patch
from conformance.audit.rule import rules
from tests.audit.planted import Planted, all_of

HAZARDS, CLEAN = all_of("hazards"), all_of("clean")


def name(one: Planted) -> str:
    return one.file.stem


def test_there_are_enough_of_both() -> None:
    assert len(HAZARDS) >= 40
    assert len(CLEAN) >= 40


def test_every_rule_has_a_hazard_that_it_finds() -> None:
    assert {one for planted in HAZARDS for one in planted.finds} == set(rules())


@pytest.mark.parametrize("planted", HAZARDS, ids=name)
def test_what_is_planted_is_found_and_nothing_else(planted: Planted) -> None:
    found = planted.findings()
    assert {one.rule.id for one in found} == planted.finds
    for one in found:
        assert one.file == str(planted.file)
        assert said(one), f"line {one.line} of {one.file} does not speak of {one.field}"


@pytest.mark.parametrize("planted", CLEAN, ids=name)
def test_what_is_clean_has_no_finding(planted: Planted) -> None:
    assert [(one.rule.id, one.message) for one in planted.findings()] == []


@pytest.mark.parametrize("planted", [one for one in HAZARDS if one.patched], ids=name)
def test_its_patch_takes_the_finding_away(planted: Planted) -> None:
    for one in planted.findings():
        assert one.patch is not None
        mended = [patched(document, one) for document in planted.documents]
        assert mended != planted.documents, "the patch met nothing"
        left = {(other.rule.id, other.name) for other in planted.findings(mended)}
        assert (one.rule.id, one.name) not in left


@pytest.mark.parametrize("planted", [one for one in HAZARDS if one.patched], ids=name)
def test_all_its_patches_leave_nothing_behind(planted: Planted) -> None:
    """One after the other, each made anew, as somebody would who goes on until all is well."""
    documents = planted.documents
    for _ in range(6):
        found = [one for one in planted.findings(documents) if one.patch is not None]
        if not found:
            break
        documents = [patched(document, found[0]) for document in documents]
    left = {one.rule.id for one in planted.findings(documents)}
    assert left.isdisjoint(planted.finds)
    # What is left is what a sidecar that nobody can ask for its health has.
    assert left <= {"native-without-startup-probe"}


@pytest.mark.parametrize("planted", [one for one in HAZARDS if not one.patched], ids=name)
def test_what_only_people_can_mend_has_no_patch(planted: Planted) -> None:
    assert all(one.patch is None for one in planted.findings())


def test_a_command_is_one_that_a_shell_takes() -> None:
    (one,) = next(one for one in HAZARDS if one.file.stem == "prestop-quitquitquit").findings()
    assert one.patch is not None
    start, _, body = one.patch.command.partition(" -p ")
    assert start == "kubectl patch deployment web -n shop --type=json"
    assert json.loads(body.strip("'")) == one.patch.body


def test_a_name_that_is_none_does_no_harm_in_a_shell() -> None:
    patch = Patch("Deployment", "a b", "x; touch /tmp/y", "merge", {"a": "it's"})
    assert shlex.split(patch.command) == [
        *("kubectl", "patch", "deployment", "x; touch /tmp/y", "-n", "a b"),
        *("--type=merge", "-p", '{"a": "it\'s"}'),
    ]


@pytest.mark.parametrize(
    ("kind", "kinds_patch", "body", "why"),
    [
        ("Job", "json", [{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}], ""),
        ("Job", "json", [{"op": "remove", "path": "/spec/template/spec/x"}], "a Job's template"),
        ("Job", "merge", {"spec": {"template": {"metadata": {}}}}, "a Job's template"),
        (
            "Job",
            "json",
            [{"op": "add", "path": "/spec/podFailurePolicy/rules/0", "value": {}}],
            "a Job's podFailurePolicy",
        ),
        ("CronJob", "merge", {"spec": {"jobTemplate": {}}}, ""),
        ("Deployment", "merge", {"spec": {"template": {}}}, ""),
        ("Pod", "merge", {"metadata": {"annotations": {}}}, "a pod"),
    ],
)
def test_what_the_api_server_refuses_to_change_is_made_anew(
    kind: str, kinds_patch: Any, body: Any, why: str
) -> None:
    patch = Patch(kind, "n", "x", kinds_patch, body)
    assert patch.anew.startswith(why) and bool(patch.anew) == bool(why)
    steps = patch.command.split(" | ")
    if not why:
        assert len(steps) == 1 and steps[0].startswith(f"kubectl patch {kind.lower()} x -n n ")
        return
    assert steps[0] == f"kubectl get {kind.lower()} x -n n -o json"
    assert steps[1].startswith(f"kubectl patch --local -f - --type={kinds_patch} -p ")
    assert steps[-1] == "kubectl replace --force -f -"
    assert any("controller-uid" in step for step in steps) == (kind == "Job")


def said(one: Finding) -> bool:
    """Whether the line that a finding names speaks of its field, or is where its field begins."""
    line = open_line(one)
    last = one.field.rpartition(".")[2]
    bare = last.partition("[")[0]
    return bool(one.line) and (bare in line or "- " in line or one.field == "spec")


def open_line(one: Finding) -> str:
    return Path(one.file).read_text().splitlines()[one.line - 1]


def patched(document: Document, one: Finding) -> Document:
    patch = one.patch
    assert patch is not None
    if (document.kind, document.namespace, document.name) != (
        patch.kind,
        patch.namespace,
        patch.name,
    ):
        return document
    content = copy.deepcopy(dict(document.content))
    if isinstance(patch.body, Mapping):
        return Document(merged(content, patch.body), document.file)
    return Document(jsonpatch.apply_patch(content, list(patch.body)), document.file)


def merged(content: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7386, without its deletions."""
    result = dict(content)
    for key, value in body.items():
        below = result.get(key)
        result[key] = merged(below or {}, value) if isinstance(value, Mapping) else value
    return result

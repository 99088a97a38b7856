"""What can be read: files, folders, Lists, standard input; and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.audit import manifests, say
from conformance.cli import main
from tests.audit import pods
from tests.audit.planted import FOLDER

HAZARD = FOLDER / "hazards" / "classic-envoy.yaml"
CLEAN = FOLDER / "clean" / "native-istio.yaml"


def run(*arguments: object, given: str = "") -> tuple[int, str]:
    told = CliRunner().invoke(main, ["audit", *map(str, arguments)], input=given)
    assert "Traceback" not in told.output
    return told.exit_code, told.output


def test_a_clean_file_is_exit_code_0() -> None:
    code, said = run(CLEAN)
    assert code == 0
    assert "no findings in 1 objects" in said


def test_a_hazard_is_exit_code_1_and_named_with_its_line() -> None:
    code, said = run(HAZARD)
    assert code == 1
    place = HAZARD.read_text().splitlines().index("        - name: edge") + 1
    assert f"classic-sidecar  spec.template.spec.containers[1]:{place}" in said
    assert "proof: stop.in-flight: " in said
    assert "kubectl patch deployment web" in said
    assert "exit code 1 (there are findings)" in said


def test_lesser_findings_can_be_left_out() -> None:
    assert run(HAZARD, "--least", "error")[0] == 0
    assert run(HAZARD, "--least", "warning")[0] == 1


def test_a_folder_is_read_whole_and_hidden_folders_are_not(tmp_path: Path) -> None:
    for place in ("a/web.yaml", "b/c/web.yml", ".git/web.yaml", "a/readme.md"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(HAZARD.read_text())
    read = manifests.read([str(tmp_path)])
    assert [Path(one.file).name for one in read.documents] == ["web.yaml", "web.yml"]


def test_standard_input_can_hold_many_documents() -> None:
    code, said = run("-", "--short", given=f"{HAZARD.read_text()}\n---\n{CLEAN.read_text()}\n---\n")
    assert code == 1
    assert "in 2 objects" in said
    assert "(standard input)" in said


def test_what_kubectl_prints_as_json_is_read(tmp_path: Path) -> None:
    file = tmp_path / "pods.json"
    items = [
        {"apiVersion": "v1", "kind": "Pod", **pods.pod(n, "web", native=False)} for n in (1, 2)
    ]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent="\t"))
    assert len(manifests.read([str(file)]).documents) == 2


def test_long_json_is_read_without_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "_LONG_JSON", 100)
    file = tmp_path / "list.json"
    item = pods.deployment("web")
    file.write_text(
        json.dumps({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [item]})
    )
    (document,) = manifests.read([str(file)]).documents
    assert (document.kind, document.line(("spec",))) == ("Deployment", 0)


def test_a_chart_that_is_not_rendered_is_not_taken_for_clean(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: web\n")
    (tmp_path / "templates" / "web.yaml").write_text(HAZARD.read_text())
    code, said = run(tmp_path)
    assert code == 3
    assert "helm template" in said


def test_a_template_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("kind: {{ .Values.kind }}\n")
    code, said = run(tmp_path)
    assert code == 3
    assert "is a template; render it" in said


def test_a_broken_file_beside_a_hazard_is_exit_code_3_and_both_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HAZARD.read_text())
    (tmp_path / "b.yaml").write_text("a: [")
    code, said = run(tmp_path)
    assert code == 3
    assert "classic-sidecar" in said
    assert "b.yaml is no YAML" in said


def test_what_is_no_object_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    assert run(tmp_path)[0] == 2
    assert run(tmp_path / "absent.yaml")[0] == 3


def test_wrong_options_are_wrong_use() -> None:
    assert run(HAZARD, "--k8s", "newest")[0] == 2
    assert run(HAZARD, "-n", "shop")[0] == 2


def test_the_rules_are_listed_with_their_proof() -> None:
    code, said = run("--rules")
    assert code == 0
    assert "job.completes" in said


def test_anything_may_stand_in_a_manifest(tmp_path: Path) -> None:
    """No shape of a document ends in a traceback."""
    shapes = [
        None,
        7,
        "x",
        [],
        {},
        [7],
        [None],
        {"a": 7},
        [{"name": 7}],
        [{"ports": 7, "name": []}],
    ]
    for key in ("metadata", "spec", "containers", "initContainers", "template", "env", "lifecycle"):
        for shape in shapes:
            spec = {"containers": [pods.app()], "initContainers": [{"restartPolicy": "Always"}]}
            container = {"name": "istio-proxy", "image": "istio/proxyv2", key: shape}
            spec["containers"].append(container)
            template = {
                "metadata": {"labels": {"a": "b"}},
                "spec": {**spec, key: shape},
                key: shape,
            }
            content = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": "x"},
                "spec": {"template": template, key: shape},
                key: shape,
            }
            file = tmp_path / "odd.json"
            file.write_text(json.dumps(content))
            assert run(file)[0] in say.EXIT

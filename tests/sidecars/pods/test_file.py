"""Pods of the user's own, read: which container is the app, and which are its sidecars."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.errors import UsageProblem
from conformance.sidecars.pods import file as pods_file
from conformance.sidecars.pods.gates import gate_of

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
TWO = "  containers: [{name: a, image: x}, {name: b, image: y}]\n"
SIDECAR = "  initContainers: [{name: s, image: y, restartPolicy: Always}]\n"


def read(folder: Path, text: str) -> pods_file.Workload:
    file = folder / "pods.yaml"
    file.write_text(text)
    return pods_file.read(file)


def test_the_app_and_its_sidecars(tmp_path: Path) -> None:
    found = read(tmp_path, POD + TWO)
    assert (found.app, found.sidecars, found.pattern) == ("a", ("b",), "classic")
    found = read(tmp_path, POD + SIDECAR + TWO)
    assert (found.app, found.sidecars, found.pattern) == ("a", ("s",), "native")
    note = "{name: p, annotations: {kubectl.kubernetes.io/default-container: b}}"
    found = read(tmp_path, POD.replace("{name: p}", note) + TWO)
    assert (found.app, found.sidecars) == ("b", ("a",))


def test_names_fit_a_namespace(tmp_path: Path) -> None:
    for given, name in (("p", "p"), ("9.x", "pod-9-x"), ("a" * 30, "a" * 20)):
        assert read(tmp_path, POD.replace("name: p", f"name: {given}") + TWO).name == name


WRONG = [
    ("kind: Pods\n", "line 1: kind is 'Pods', did you mean Pod"),
    ("kind: DaemonSet\n", "line 1: kind is 'DaemonSet'"),
    (f"{POD}  containers: [{{name: a, image: x}}]\n", "line 5: spec.containers is a alone"),
    (f"{POD}  restartPolicy: Never\n", "containers"),
    (f"{POD}{TWO}  hostNetwork: true\n", "line 6: spec.hostNetwork takes the pod out"),
    (f"{POD}{TWO}  volume: []\n", "line 6: volume is not known in spec, did you mean volumes?"),
    (f"{POD}  containers: [{{name: a}}, {{name: app}}]\n", "a container app that is not the app"),
    (f"{POD}{TWO}---\n{POD}{TWO}", "2 workloads in the file, and one is wanted"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "0 workloads in the file"),
    ("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}\n", "metadata has no name"),
    (f"{POD}{TWO}".replace("name: p", f"name: p, annotations: {{{pods_file.APP_ANNOTATION}: z}}"),
     "is 'z', and the containers are a, b"),
    (f"{POD}{TWO}".replace("name: p", "name: p, annotations: {sidecar-conformance/app: own}"),
     "metadata.annotations.sidecar-conformance/app is 'own', and may be own-image"),
    ("[]", "no Kubernetes object"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_one_sentence_and_code_2(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(text)
    answer = CliRunner().invoke(main, ["run", f"--pods={file}", f"--results={tmp_path}/r"])
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert str(file) in answer.stderr
    assert len(answer.stderr.splitlines()) == 2


def test_several_sidecars_are_waited_for_to_the_last_probe(tmp_path: Path) -> None:
    def container(name: str, port: int | str) -> str:
        probe = f"startupProbe: {{httpGet: {{port: {port}}}}}" if port else ""
        return f"    - {{name: {name}, image: x, restartPolicy: Always, {probe}}}\n"

    def gate(*its: tuple[str, int | str]) -> tuple[str, int]:
        init = "".join(container(*one) for one in its)
        return gate_of(
            read(tmp_path, f"{POD}  initContainers:\n{init}  containers: [{{name: a}}]\n")
        )

    assert gate(("s", 1)) == ("http", 1)
    assert gate(("s", 1), ("t", 2)) == ("http", 2)
    assert gate(("s", 1), ("t", 0)) == ("http", 1)
    assert gate(("s", 0)) == ("", 0)


@pytest.mark.parametrize("value", ["null", "{}", "{spec: null}", "{spec: {containers: []}}"])
def test_an_empty_template_is_one_sentence(value: str, tmp_path: Path) -> None:
    head = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: p}\n"
    for text in ("", f"spec: {value}\n", f"spec: {{template: {value}}}\n"):
        with pytest.raises(UsageProblem):
            read(tmp_path, head + text)

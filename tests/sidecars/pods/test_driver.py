"""Pods of the user's own, played: what is kept, what is changed, and that it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.model import Cell, Pattern
from conformance.plan import cells
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY
from conformance.run import kept
from conformance.sidecars import manifests
from conformance.sidecars.driver import load
from conformance.sidecars.pods import file as pods_file
from conformance.sidecars.pods.adapted import adapted
from conformance.sidecars.pods.registering import register
from conformance.verdicts.expectations import expected
from tests.sidecars.own.stand_ins import EXAMPLES

WEB, REPORT = EXAMPLES / "pods" / "web.yaml", EXAMPLES / "pods" / "report.yaml"


def cell(name: str, pattern: Pattern, scenario: str = "lifecycle") -> Cell:
    return Cell("1.33", name, pattern, "default", scenario)


def subject() -> dict[str, Any]:
    """The suite's own pod under test, as a template."""
    (document,) = manifests.read(
        EXAMPLES.parents[1] / "fixtures" / "manifests" / "lifecycle" / "subject.yaml",
        {"NAMESPACE": "here", "NONCE": "0"},
    )
    return dict(document)


def names(pod: dict[str, Any], group: str) -> list[str]:
    return [one["name"] for one in pod["spec"].get(group, ())]


def test_the_spec_is_kept_around_the_suites_program() -> None:
    name = register(WEB)
    pod = load(name).inject(subject(), cell(name, "native"), "subject")
    assert names(pod, "initContainers") == ["migrate", "token-writer"]
    assert names(pod, "containers") == ["app"]
    spec, app = pod["spec"], manifests.container_of(pod, "app")
    assert spec["terminationGracePeriodSeconds"] == 20
    assert app["image"] == "app"
    assert app["command"][-1] == "/app/subject.py"
    assert app["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "3"]}}}
    assert app["resources"]["requests"]["cpu"] == "100m"
    assert app["readinessProbe"] == {
        "periodSeconds": 2,
        "httpGet": {"path": "/ready", "port": 8081},
    }
    assert "envFrom" not in app
    mounts = {one["mountPath"] for one in app["volumeMounts"]}
    assert mounts == {"/evidence", "/secrets", "/data"}
    sidecar = manifests.container_of(pod, "token-writer")
    assert sidecar["startupProbe"]["exec"] == {"command": ["test", "-s", "/vault/secrets/token"]}
    assert sidecar["image"] == "docker.io/hashicorp/vault:1.20"
    assert manifests.container_of(pod, "migrate")["command"] == ["sh", "-c", "exit 0"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    assert volumes["agent"]["configMap"] == {"name": "agent"}
    assert volumes["data"] == {"name": "data", "emptyDir": {}}
    assert "evidence" in volumes
    assert not {"nodeSelector", "serviceAccountName"} & set(spec)
    assert pod["metadata"]["labels"]["app"] == "subject"


def test_whatever_is_changed_is_said() -> None:
    _, said = adapted(subject(), pods_file.read(WEB), "native")
    assert said == [
        "nodeSelector left out",
        "serviceAccountName left out",
        "init container migrate: ends at once",
        "web: the suite's program in the place of registry.internal/web:1.8",
        "web.readinessProbe asks the suite's program",
        "volume data (persistentVolumeClaim): an empty folder",
    ]


def test_the_other_pattern_is_the_control_arm() -> None:
    name = register(WEB)
    driver = load(name)
    pod = driver.inject(subject(), cell(name, "classic"), "subject")
    assert names(pod, "initContainers") == ["migrate"]
    assert names(pod, "containers") == ["app", "token-writer"]
    assert "restartPolicy" not in manifests.container_of(pod, "token-writer")
    assert driver.admitted(pod, cell(name, "classic")).pattern == "classic"
    assert driver.facts(cell(name, "classic"), "here").gate == "exec"
    assert expected("stop.order", cell(name, "classic")).expect == "broken"

    job = register(REPORT)
    moved = load(job).inject(subject(), cell(job, "native", "job"), "subject")
    assert names(moved, "initContainers") == ["metrics"]
    assert names(moved, "containers") == ["app"]
    assert manifests.container_of(moved, "metrics")["restartPolicy"] == "Always"


def test_several_sidecars_keep_their_order(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    init = [{"name": one, "image": "x", "restartPolicy": "Always"} for one in ("s", "t")]
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    pod["spec"] = {"initContainers": init, "containers": [{"name": "a", "image": "y"}]}
    file.write_text(yaml.safe_dump(pod))
    workload = pods_file.read(file)
    classic, _ = adapted(subject(), workload, "classic")
    assert names(classic, "containers") == ["app", "s", "t"]
    pod["spec"] = {"containers": [{"name": one, "image": "x"} for one in ("a", "s", "t")]}
    file.write_text(yaml.safe_dump(pod))
    native, _ = adapted(subject(), pods_file.read(file), "native")
    assert names(native, "initContainers") == ["s", "t"]
    assert names(native, "containers") == ["app"]


def test_a_short_grace_period_shortens_the_suites_drain(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    for grace, drain in ((30, "5"), (6, "3"), (1, "1.5")):
        text = f"  terminationGracePeriodSeconds: {grace}\n"
        file.write_text(
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{text}"
            "  containers: [{name: a, image: x}, {name: b, image: y}]\n"
        )
        made, _ = adapted(subject(), pods_file.read(file), "classic")
        variables = {
            one["name"]: one.get("value") for one in manifests.container_of(made, "app")["env"]
        }
        assert variables["SC_DRAIN_SECONDS"] == drain


def test_what_is_not_in_the_file_is_optional(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: a\n"
        "    - name: b\n      image: x\n      envFrom: [{secretRef: {name: there}}]\n"
        "      env: [{name: E, valueFrom: {secretKeyRef: {name: gone, key: k}}}]\n"
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: there}\n"
    )
    made, said = adapted(subject(), pods_file.read(file), "classic")
    sidecar = manifests.container_of(made, "b")
    assert sidecar["env"][0]["valueFrom"]["secretKeyRef"]["optional"] is True
    assert "optional" not in sidecar["envFrom"][0]["secretRef"]
    assert "b: gone is not in the file, and empty" in said


@pytest.mark.parametrize(
    ("file", "played"),
    [(WEB, {"lifecycle", "crash"}), (REPORT, {"job", "cronjob", "quota"})],
)
def test_the_kind_decides_what_is_played(file: Path, played: set[str]) -> None:
    selection = Options.check({"pods": str(file), "k8s": "1.33"}).selection
    found = cells.cells(selection)
    assert {one.scenario for one in found} == played
    assert {one.pattern for one in found} == {"classic", "native"}


def test_a_run_keeps_the_file(tmp_path: Path) -> None:
    name = register(WEB)
    kept.keep(tmp_path)
    del REGISTRY[name]
    kept.restore(tmp_path)
    assert load(name).admitted(subject(), cell(name, "native")).pattern == "none"


def test_the_apps_own_image_is_played_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    note = "metadata: {name: web, annotations: {sidecar-conformance/app: own-image}}"
    file.write_text(WEB.read_text().replace("metadata: {name: web}", note, 1))
    name = register(file)
    driver = load(name)
    pod = driver.inject(subject(), cell(name, "native"), "subject")
    app = manifests.container_of(pod, "app")
    assert app["image"] == "registry.internal/web:1.8"
    assert app["readinessProbe"] == {"httpGet": {"path": "/healthz", "port": "http"},
                                     "periodSeconds": 2}  # fmt: skip
    assert app["envFrom"] == [{"secretRef": {"name": "web", "optional": True}}]
    assert manifests.container_of(pod, "migrate")["command"] == ["/app/migrate"]
    assert not driver.facts(cell(name, "native"), "here").stamped
    images = driver.official_images()  # type: ignore[attr-defined]
    assert sorted(images) == ["docker.io/hashicorp/vault:1.20", "registry.internal/web:1.8"]
    selection = Options.check({"pods": str(file), "k8s": "1.33"}).selection
    asked = {
        id_ for one in cells.cells(selection) for id_ in cells.judged_in(one, selection.behaviours)
    }
    assert asked == {"start.order", "start.cost", "stop.order"}

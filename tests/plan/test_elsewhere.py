"""What a run asks of a cluster that is there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conformance.errors import UsageProblem
from conformance.model import Cell
from conformance.plan.abilities import Ground
from conformance.plan.catalogue import scenarios
from conformance.plan.elsewhere import lacking, only
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text("contexts: []\n")
    return str(path)


def test_no_control_arm_runs_there_unless_it_is_asked_for(file: str) -> None:
    selection = Options.check({"kubeconfig": file, "sidecar": "istio", "k8s": "1.33"}).selection
    assert selection.patterns == ("native",)
    assert not {"excluded", "excluded-user"} & set(selection.modes)
    all_of_it: dict[str, str | bool | None] = {
        "kubeconfig": file,
        "sidecar": "istio",
        "k8s": "1.33",
        "with_controls": True,
    }
    selection = Options.check(all_of_it).selection
    assert selection.patterns == ("classic", "native")
    assert {"excluded", "excluded-user"} <= set(selection.modes)
    named = {"kubeconfig": file, "sidecar": "istio", "k8s": "1.33", "pattern": "classic"}
    assert Options.check(named).selection.patterns == ("classic",)


def test_a_version_without_a_kind_config_will_do(file: str) -> None:
    options = Options.check({"kubeconfig": file, "k8s": "1.99", "sidecar": "fixture"})
    assert options.selection.k8s == ("1.99",)
    assert options.strict_promises  # whoever has a mesh of their own asks what is promised


def test_the_version_is_the_clusters_to_say() -> None:
    assert only("1.33", None) == only("1.33", "1.33") == "1.33"
    with pytest.raises(UsageProblem, match=r"K8S=1.30 is not what the cluster has"):
        only("1.33", "1.30")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kubeconfig": "/no/such/file"}, "is no file"),
        ({"kubeconfig": ""}, "is no file"),
        ({"context": "kind-x"}, "CONTEXT means something for a cluster that is there already"),
        ({"with_controls": True}, "WITH_CONTROLS means something"),
    ],
)
def test_what_makes_no_sense_is_said(given: dict[str, str | bool | None], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        Options.check(given)


def test_a_mesh_that_is_there_is_not_set_otherwise(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str | bool | None] = {"kubeconfig": file, "k8s": "1.33", "sidecar": "istio"}
    with pytest.raises(UsageProblem, match="ISTIO_VERSION means something where the run installs"):
        Options.check({**given, "istio_version": "1.29.2"})
    values = tmp_path / "values.yaml"
    values.write_text("pilot: {}\n")
    monkeypatch.setitem(REGISTRY, "istio", replace(REGISTRY["istio"], values=values))
    with pytest.raises(UsageProblem, match=r"ISTIO_VALUES means something .* stays as it is"):
        Options.check(given | {"istio_values": str(values)})


def cell(scenario: str, sidecar: str = "istio", mode: str = "default") -> Cell:
    return Cell("1.33", sidecar, "native", mode, scenario)


def test_what_a_cluster_lacks_leaves_scenarios_out() -> None:
    assert not lacking(cell("lifecycle"), dict.fromkeys(Ground, ""))
    assert "stays as it is" in lacking(cell("outage"), {str(Ground.PLANE): ""})
    refused: dict[str, str] = {Ground.NODE: "a privileged pod is refused"}
    assert lacking(cell("crash"), refused).endswith("is refused")
    assert not lacking(cell("crash"), {str(Ground.PLANE): ""})


def test_a_control_plane_of_others_is_not_set_otherwise() -> None:
    plane: dict[str, str] = {Ground.PLANE: ""}
    assert "stays as it is" in lacking(cell("keepalive", "linkerd"), plane)
    assert "stays as it is" in lacking(cell("lifecycle", "linkerd", "transparent"), plane)
    assert not lacking(cell("lifecycle", "linkerd"), plane)
    assert not lacking(cell("keepalive", "istio"), plane)
    assert not lacking(cell("keepalive", "linkerd"), {})


def test_without_a_name_what_is_not_there_is_not_missed(file: str) -> None:
    unnamed = Options.check({"kubeconfig": file, "k8s": "1.33"})
    assert unnamed.selection.sidecars == ("fixture", "istio", "linkerd")
    assert unnamed.existing and not unnamed.existing.named
    named = Options.check({"kubeconfig": file, "k8s": "1.33", "sidecar": "istio"})
    assert named.existing and named.existing.named


def test_every_ground_is_a_word() -> None:
    words = {word for one in scenarios().values() for word in one.ground.split()}
    assert words <= set(Ground)
    assert all(one.ground for one in scenarios().values() if one.k8s)

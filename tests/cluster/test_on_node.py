"""All pods of a run on one node of a cluster: the one that is asked for, or any that takes pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance.cluster import existing
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.plan.options import Options

Json = dict[str, Any]


class Cluster:
    name = "theirs"

    def __init__(self, *nodes: Json) -> None:
        self.nodes = nodes

    def kubectl(self, args: list[str]) -> Json:
        assert args == ["get", "nodes"]
        return {"items": list(self.nodes)}


def node(name: str, **spec: Any) -> Json:
    about = ("kubeletVersion", "containerRuntimeVersion", "kernelVersion", "osImage")
    return {
        "metadata": {"name": name, "labels": {}},
        "spec": spec,
        "status": {
            "addresses": [],
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": dict.fromkeys((*about, "architecture"), "x"),
        },
    }


def chosen(wanted: str, *nodes: Json) -> str:
    return existing.choose_node(Cluster(*nodes), wanted).name  # type: ignore[arg-type]


def test_the_first_that_takes_pods_unless_one_is_named() -> None:
    assert chosen("", node("a", unschedulable=True), node("b"), node("c")) == "b"
    assert chosen("c", node("a"), node("b"), node("c")) == "c"


def test_a_control_plane_is_taken_last_and_told_as_what_it_is() -> None:
    control, worker = node("a"), node("b")
    control["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = ""
    assert chosen("", control, worker) == "b"
    roles = [existing.choose_node(Cluster(one)).about["role"] for one in (control, worker)]  # type: ignore[arg-type]
    assert roles == ["control-plane", "worker"]


def test_pods_ask_for_a_node_by_its_label_which_need_not_be_its_name() -> None:
    labelled, bare = node("a"), node("b")
    labelled["metadata"]["labels"]["kubernetes.io/hostname"] = "a.internal"
    found = [existing.choose_node(Cluster(one)).hostname for one in (labelled, bare)]  # type: ignore[arg-type]
    assert found == ["a.internal", "b"]


def test_a_node_that_is_not_there_or_takes_no_pods_is_an_error() -> None:
    with pytest.raises(EnvironmentProblem, match="no node d"):
        chosen("d", node("a"))
    with pytest.raises(EnvironmentProblem, match="none is Ready"):
        chosen("a", node("a", unschedulable=True), node("b"))


def test_it_is_an_option_of_a_cluster_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    there = {"kubeconfig": str(tmp_path / "config"), "k8s": "1.33"}
    options = Options.check({**there, "on_node": "worker-7"})
    assert options.existing is not None
    assert options.existing.node == "worker-7"
    with pytest.raises(UsageProblem, match="ON_NODE is empty"):
        Options.check({**there, "on_node": " "})
    with pytest.raises(UsageProblem, match="ON_NODE means something"):
        Options.check({"on_node": "worker-7"})

"""kind: rendered configs, what it says of a failure, and waiting for its cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from conformance.cluster import kind
from conformance.errors import EnvironmentProblem
from conformance.images import ensure
from conformance.machine import process
from conformance.machine.paths import KIND_CONFIGS
from tests.stand_ins.cluster import does

pytestmark = pytest.mark.usefixtures("own_cache")
MOUNT = {"hostPath": "/here", "containerPath": "/there", "readOnly": True}


@pytest.mark.parametrize("path", sorted(KIND_CONFIGS.glob("v*.yaml")), ids=lambda path: path.stem)
def test_every_kind_config_takes_the_runs_own_parts(path: Path) -> None:
    config = kind.read_config(path)
    names = ensure.node_image_names(path.stem.removeprefix("v"))
    ours = {name: f"mine:{place}" for place, name in enumerate(dict.fromkeys(names))}
    made = kind.render(config, name="sc-1", images=ours, mounts=lambda _: [MOUNT])
    assert made["name"] == "sc-1"
    for name, node in zip(names, made["nodes"], strict=True):
        assert node["image"] == ours[name]
        assert MOUNT in node["extraMounts"]
    # One CNI for pulled and built images alike, with the capture plugin in its chain.
    assert made["networking"]["disableDefaultCNI"] is True
    # Docker picks the port: kind would let it go before Docker takes it.
    assert made["networking"]["apiServerPort"] == -1


def test_the_control_plane_is_patched_by_files_that_kubeadm_takes() -> None:
    made = kind.render({}, name="n", images={"": "i"}, mounts=lambda _: [])
    (patch,) = map(yaml.safe_load, made["kubeadmConfigPatches"])
    assert patch == {
        "kind": "InitConfiguration",
        "patches": {"directory": kind.PATCHES_IN_NODE},
    }
    # target, a suffix that orders them, "+", the kind of patch: kubeadm refuses other names.
    for file in (KIND_CONFIGS / "node" / "patches").iterdir():
        target, _, rest = file.name.partition("+")
        target = target.rstrip("0123456789")
        content = yaml.safe_load(file.read_text())
        assert rest in ("strategic.yaml", "json.yaml")
        if rest == "strategic.yaml":
            (container,) = content["spec"]["containers"]
            assert container["name"] == target
        else:
            assert {one["path"] for one in content} == {"/spec/containers/0/command/-"}


def test_rendering_leaves_the_original_and_other_settings_alone() -> None:
    config = {
        "kind": "Cluster",
        "featureGates": {"SidecarContainers": True},
        "networking": {"apiServerPort": 6443},
        "nodes": [{"role": "control-plane", "extraMounts": [{"hostPath": "/a"}]}],
    }
    before = json.dumps(config)
    made = kind.render(config, name="n", images={"": "i"}, mounts=lambda _: [MOUNT])
    assert json.dumps(config) == before
    assert made["featureGates"] == {"SidecarContainers": True}
    assert made["networking"]["apiServerPort"] == 6443
    assert made["nodes"][0]["extraMounts"] == [{"hostPath": "/a"}, MOUNT]


def test_every_node_has_the_image_and_the_mounts_that_are_its_own() -> None:
    config = {
        "nodes": [
            {"role": "control-plane", "image": "kindest/node:v1.29.14"},
            {"role": "worker", "image": "kindest/node:v1.28.15"},
            {"role": "worker"},
        ]
    }
    ours = {"kindest/node:v1.29.14": "built:29", "kindest/node:v1.28.15": "kindest/node:v1.28.15"}

    def mounts(place: int) -> list[dict[str, object]]:
        return [{**MOUNT, "hostPath": f"/{place}"}]

    made = kind.render(config, name="n", images=ours, mounts=mounts)
    assert [node["image"] for node in made["nodes"]] == [
        "built:29",
        "kindest/node:v1.28.15",
        "built:29",
    ]
    assert [node["extraMounts"][0]["hostPath"] for node in made["nodes"]] == ["/0", "/1", "/2"]


def test_a_config_without_nodes_gets_one() -> None:
    made = kind.render(
        {"kind": "Cluster"},
        name="n",
        images={"kindest/node:v1.33.12": "i"},
        mounts=lambda _: [MOUNT],
    )
    assert made["nodes"] == [{"role": "control-plane", "image": "i", "extraMounts": [MOUNT]}]


@pytest.mark.parametrize("content", ["", "- 1", "kind: Pod", "a: b: c"])
def test_what_is_no_kind_config_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "v1.yaml").write_text(content)
    with pytest.raises(EnvironmentProblem, match=r"v1\.yaml"):
        kind.read_config(tmp_path / "v1.yaml")


def test_waiting_for_readiness_ends_with_the_run(tmp_path: Path, docker: Path) -> None:
    config = tmp_path / "kind.yaml"
    config.write_text("kind: Cluster\nname: sc-x\n")
    (tmp_path / "kubeconfig").write_text("")
    cluster = kind.KindCluster(config, tmp_path / "kubeconfig", tmp_path / "log", {})
    does(docker, "kubectl", "echo refused >&2; exit 1")
    began = time.monotonic()
    process.stop_all()
    try:
        assert cluster.ready(timeout=60) is False
    finally:
        process.resume()
    assert time.monotonic() - began < 5
    assert cluster.ready(timeout=0) is False
    assert "refused" in cluster.seen


def test_dns_begins_anew_and_is_asked_each_second(tmp_path: Path, docker: Path) -> None:
    (tmp_path / "kubeconfig").write_text("")
    (tmp_path / "kind.yaml").write_text("kind: Cluster\nname: sc-x\n")
    cluster = kind.KindCluster(tmp_path / "kind.yaml", tmp_path / "kubeconfig", tmp_path / "l", {})
    does(docker, "kubectl", f'printf "%s\\n" "$@" > {tmp_path}/asked')
    cluster.renew_dns()
    *_, patched, patch = (tmp_path / "asked").read_text().splitlines()
    assert patched == "--patch"
    spec = json.loads(patch)["spec"]
    assert spec["replicas"] == 1
    (container,) = spec["template"]["spec"]["containers"]
    assert container["name"] == "coredns"
    assert container["readinessProbe"] == {"periodSeconds": 1}
    assert container["resources"] == {"requests": {"cpu": "20m"}}


def test_nodes_are_added_for_what_is_meant_for_them_alone() -> None:
    config = kind.read_config(KIND_CONFIGS / "v1.33.yaml")
    assert kind.with_nodes(config, 1) == config
    first, second, third = kind.with_nodes(config, 3)["nodes"]
    assert first == config["nodes"][0]
    assert second == third
    assert second["role"] == "worker"
    assert second["labels"] == {kind.FAR: "true"}
    (patch,) = second["kubeadmConfigPatches"]
    (taint,) = yaml.safe_load(patch)["nodeRegistration"]["taints"]
    assert taint == {"key": kind.FAR, "effect": "NoSchedule"}


def test_a_config_with_enough_nodes_is_left_as_it_is() -> None:
    config = kind.read_config(KIND_CONFIGS / "v1.29-skew.yaml")
    assert kind.with_nodes(config, 2) == config


def test_nodes_are_named_as_kind_names_them() -> None:
    config = kind.with_nodes(kind.read_config(KIND_CONFIGS / "v1.33.yaml"), 4)
    assert kind.node_names(config, "c") == ["c-control-plane", "c-worker", "c-worker2", "c-worker3"]

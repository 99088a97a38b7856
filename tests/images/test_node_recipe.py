"""The recipes of the node image."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import node_recipe


def test_every_pinned_minor_is_whole() -> None:
    assert "1.33" in node_recipe.minors()
    for minor in node_recipe.minors():
        found = node_recipe.parts(minor)
        assert found.version.startswith(f"v{minor}.")
        assert (found.kubernetes.module / "go.sum").is_file()
        assert found.tag == f"sidecar-conformance/node:{found.version}-{found.digest}"


def test_minors_share_everything_but_kubernetes() -> None:
    made = [node_recipe.parts(minor) for minor in node_recipe.minors()]
    assert len({parts.kubernetes.digest for parts in made}) == len(made)
    assert len({(parts.containerd.digest, parts.coredns.digest) for parts in made}) == 1
    assert len({parts.rootfs.tag for parts in made}) == 1


def test_data_files_change_the_image_and_compile_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = node_recipe.parts("1.33").tag, node_recipe.parts("1.33").kubernetes.digest
    shutil.copytree(node_recipe.RECIPE, tmp_path / "node-image", symlinks=True)
    monkeypatch.setattr(node_recipe, "RECIPE", tmp_path / "node-image")
    assert node_recipe.parts("1.33").tag == before[0]
    unit = tmp_path / "node-image/rootfs/etc/systemd/system/kubelet.service"
    unit.write_text(unit.read_text() + "# changed\n")
    after = node_recipe.parts("1.33")
    assert after.tag != before[0]
    assert after.kubernetes.digest == before[1]


def test_an_unknown_minor_says_which_there_are() -> None:
    with pytest.raises(Unobtainable, match=r"1\.99.*1\.33"):
        node_recipe.parts("1.99")


def test_etcd_is_the_newest_patch_of_the_minor_that_kubeadm_names() -> None:
    available = ["3.5.9", "3.5.24", "3.6.8"]
    assert node_recipe.pick_etcd("3.5.15", available) == "3.5.24"
    assert node_recipe.pick_etcd("3.6.5", available) == "3.6.8"
    with pytest.raises(EnvironmentProblem, match=r"3\.7"):
        node_recipe.pick_etcd("3.7.0", available)


def test_the_version_is_stamped_where_kubernetes_reads_it() -> None:
    stamps = node_recipe.version_stamps("v1.33.13")
    assert stamps["k8s.io/component-base/version.gitVersion"] == "v1.33.13"
    assert stamps["k8s.io/client-go/pkg/version.gitMinor"] == "33"

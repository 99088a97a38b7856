"""The node image: what kubeadm asks for, and what stays out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.images import node_image, node_recipe


def test_kubeadm_is_asked_for_the_names(tmp_path: Path) -> None:
    kube = tmp_path / "kube"
    names = [f"r.example/{name}:v1.33.13" for name in (*node_image.CONTROL_PLANE, "kube-proxy")]
    names += [
        "r.example/coredns/coredns:v1.12.0",
        "r.example/pause:3.10",
        "r.example/etcd:3.5.24-0",
    ]
    kube.write_text("#!/bin/sh\n" + "".join(f"echo {name}\n" for name in names))
    kube.chmod(0o755)
    found = node_image.control_plane_images(kube, "v1.33.13")
    assert found["coredns"] == "r.example/coredns/coredns:v1.12.0"
    assert found["pause"] == "r.example/pause:3.10"
    kube.write_text("#!/bin/sh\necho r.example/pause:3.10\n")
    with pytest.raises(EnvironmentProblem, match="no image for coredns, etcd, kube-apiserver"):
        node_image.control_plane_images(kube, "v1.33.13")


def test_the_node_image_names_no_registry() -> None:
    """Image names come from kubeadm and from kind configs, mirrors from the machine's own apt."""
    config = (node_recipe.RECIPE / "rootfs/etc/containerd/config.toml").read_text()
    assert config.count(node_image.SANDBOX_MARK) == 1

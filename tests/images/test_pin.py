"""A version of Kubernetes is pinned from its own go.mod."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import UsageProblem
from conformance.images import pin


def test_a_version_is_pinned_from_kubernetes_own_go_mod() -> None:
    theirs = (
        "module k8s.io/kubernetes\n\ngo 1.24.0\n\ngodebug default=go1.24\n\nreplace (\n"
        "\tk8s.io/api => ./staging/src/k8s.io/api\n"
        "\tk8s.io/kubectl => ./staging/src/k8s.io/kubectl\n)\n"
    )
    assert pin.render_go_mod(theirs, "1.33.13") == (
        "module sidecar-conformance/node-image/kubernetes\n\n"
        "go 1.24.0\n\n"
        "godebug default=go1.24\n\n"
        "require k8s.io/kubernetes v1.33.13\n\n"
        "replace (\n"
        "\tk8s.io/api => k8s.io/api v0.33.13\n"
        "\tk8s.io/kubectl => k8s.io/kubectl v0.33.13\n"
        ")\n"
    )


@pytest.mark.parametrize("version", ["1.33", "v1.33.4", "1.33.4-nogate", "../1.33.4", ""])
def test_what_is_no_patch_is_not_pinned(version: str, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem):
        pin.pin(version, tmp_path / "pins")
    assert not list(tmp_path.iterdir())

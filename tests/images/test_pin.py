"""A version of Kubernetes is pinned from its own go.mod."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem, UsageProblem
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


SAID = (
    "go: downloading k8s.io/ktesting v0.38.0\n"
    "go: node-image/kubernetes imports\n"
    "\tk8s.io/kubernetes/cmd/kube-apiserver/app imports\n"
    "\tk8s.io/a-api/v1: k8s.io/a-api@v0.38.0: reading there/a-api.zip: 403 Forbidden\n"
    "\tserver response: This module version is not available.\n"
    "go: node-image/kubernetes imports\n"
    "\tk8s.io/a-api/v2: k8s.io/a-api@v0.38.0: reading there/a-api.zip: 403 Forbidden\n"
    "go: node-image/kubernetes imports\n"
    "\tk8s.io/kubernetes/pkg/proxy tested by\n"
    "\tk8s.io/kubernetes/pkg/proxy.test imports\n"
    "\tk8s.io/ktesting: k8s.io/ktesting@v0.38.0: reading there/ktesting.zip: 403 Forbidden\n"
    "go: node-image/kubernetes imports\n"
    "\texample.org/late: example.org/late@v1.0.0: Get there: dial tcp: i/o timeout\n"
)


def test_modules_that_cannot_be_had_are_named_once_and_with_the_reason() -> None:
    lacking = ["k8s.io/a-api/v1", "k8s.io/a-api/v2", "example.org/late", "example.org/odd"]
    assert pin.unobtainable(lacking, SAID) == [
        "k8s.io/a-api@v0.38.0 (403 Forbidden)",
        "example.org/late@v1.0.0 (Get there: dial tcp: i/o timeout)",
        "example.org/odd",
    ]


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("lacking", ["", "k8s.io/a-api/v1\nk8s.io/a-api/v2\n"])
def test_a_module_of_tests_alone_may_be_missing_and_one_that_is_compiled_may_not(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.mod"
    theirs.write_text("go 1.27.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n")
    (tmp_path / "said").write_text(SAID)
    (tmp_path / "lacking").write_text(lacking)
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(
        "#!/bin/sh\n"
        'case "$1 $2" in\n'
        f"""'mod download') echo '{{"GoMod": "{theirs}"}}' ;;\n"""
        f"'mod tidy') touch go.sum; cat {tmp_path}/said >&2 ;;\n"
        f"'list -e') cat {tmp_path}/lacking ;;\n"
        "esac\n"
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    if not lacking:
        pinned = pin.pin("1.38.0-beta.0", tmp_path / "pins")
        assert "k8s.io/api v0.38.0-beta.0" in (pinned / "go.mod").read_text()
        return
    with pytest.raises(EnvironmentProblem) as caught:
        pin.pin("1.38.0-beta.0", tmp_path / "pins")
    said = str(caught.value)
    assert "cannot be compiled without k8s.io/a-api@v0.38.0 (403 Forbidden); the whole" in said
    assert "ktesting" not in said
    assert not (tmp_path / "pins").exists()

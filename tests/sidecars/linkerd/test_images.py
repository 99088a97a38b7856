"""Linkerd's images: which there are, where the CLI comes from, and what is said without them."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from conformance.engine import client
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images.pull import PullFailure
from conformance.machine import process
from conformance.sidecars.linkerd import images
from conformance.sidecars.linkerd.release import wanted

MANIFESTS = """
kind: Deployment
spec:
  containers:
  - image: cr.l5d.io/linkerd/controller:edge-26.8.3
  - image: "cr.l5d.io/linkerd/proxy:edge-26.8.3"
  initContainers:
  - image: cr.l5d.io/linkerd/proxy-init:v2.4.1
  - image: cr.l5d.io/linkerd/proxy:edge-26.8.3
  - image: docker.io/other/thing:1
"""


@pytest.fixture(autouse=True)
def _no_cli_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)


class TestReferences:
    def test_they_are_read_from_what_the_cli_would_install(self) -> None:
        assert images.read_references(MANIFESTS) == [
            "cr.l5d.io/linkerd/controller:edge-26.8.3",
            "cr.l5d.io/linkerd/proxy:edge-26.8.3",
            "cr.l5d.io/linkerd/proxy-init:v2.4.1",
        ]

    def test_one_that_the_release_must_have_and_is_not_named_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process, "run", lambda *_, **__: MANIFESTS)
        assert len(images.references(wanted("edge-25.8.3"))) == 3
        with pytest.raises(EnvironmentProblem, match="names no image policy-controller"):
            images.references(wanted("2.18"))


class TestCli:
    @pytest.mark.parametrize(
        "name", ["linkerd2-cli-edge-26.8.3-linux-{}", "out/linkerd-linux-{}", "./linkerd-linux-{}"]
    )
    def test_it_is_taken_out_of_its_image(self, name: str, tmp_path: Path) -> None:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        other = {"amd64": "arm64", "arm64": "amd64"}[machine]
        names = ["etc/hosts", name.format(other), name.format(machine)]
        with tarfile.open(tmp_path / "image.tar", "w") as archive:
            for each in names:
                member = tarfile.TarInfo(each)
                member.size = len(each)
                archive.addfile(member, io.BytesIO(each.encode()))
        images._take_out(tmp_path / "image.tar", tmp_path / "linkerd", "the image")
        assert (tmp_path / "linkerd").read_text() == names[-1]
        assert os.access(tmp_path / "linkerd", os.X_OK)

    def test_an_image_without_it_is_an_error(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "image.tar", "w"):
            pass
        with pytest.raises(EnvironmentProblem, match="the image holds no CLI for linux-"):
            images._take_out(tmp_path / "image.tar", tmp_path / "linkerd", "the image")


class TestWithoutThem:
    """Where the engine neither has the images nor gets them."""

    @pytest.fixture
    def fails(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[PullFailure]:
        found = [PullFailure("unreachable", "no such host")]
        monkeypatch.setattr(images, "cache_dir", lambda: tmp_path)
        monkeypatch.setattr(client, "inspect", lambda *_: None)
        monkeypatch.setattr(images, "pull", lambda *_: found[0])
        return found

    @pytest.mark.usefixtures("fails")
    def test_the_reason_is_a_sentence_that_says_what_to_do(self) -> None:
        with pytest.raises(Unobtainable) as caught:
            images.ensure(None, wanted(""), "auto")  # type: ignore[arg-type]
        said = str(caught.value)
        assert said.startswith("cr.l5d.io/linkerd/cli-bin:edge-26.8.3 could not be pulled: no such")
        assert "docker load" in said

    def test_a_refusal_is_the_users_to_settle(self, fails: list[PullFailure]) -> None:
        fails[0] = PullFailure("refused", "toomanyrequests")
        with pytest.raises(EnvironmentProblem, match="toomanyrequests") as caught:
            images.ensure(None, wanted(""), "auto")  # type: ignore[arg-type]
        assert not isinstance(caught.value, Unobtainable)

    def test_nothing_is_built_in_their_place(self) -> None:
        with pytest.raises(Unobtainable, match="cannot be built from packages"):
            images.ensure(None, wanted(""), "build")  # type: ignore[arg-type]

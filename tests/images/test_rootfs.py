"""The export of the observer's file system, with a stand-in for the docker client."""

from __future__ import annotations

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.engine.client import Client
from conformance.errors import EnvironmentProblem
from conformance.images import rootfs

DOCKER = """#!/bin/sh
echo "$@" >>{folder}/calls
case $1 in
    create) echo 0123456789abcdef ;;
    export) cp {folder}/image.tar "$3" ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    client = tmp_path / "docker"
    client.write_text(DOCKER.format(folder=tmp_path))
    client.chmod(0o755)
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        for name, mode, kind in [
            ("usr/", 0o755, tarfile.DIRTYPE),
            ("usr/bin/python3", 0o755, tarfile.REGTYPE),
            ("usr/bin/su", 0o4755, tarfile.REGTYPE),
            ("etc/shadow", 0o640, tarfile.REGTYPE),
            ("bin", 0o777, tarfile.SYMTYPE),
            ("dev/console", 0o600, tarfile.CHRTYPE),
            ("../outside", 0o644, tarfile.REGTYPE),
        ]:
            member = tarfile.TarInfo(name)
            member.mode, member.type, member.uid = mode, kind, 42
            member.linkname = "usr/bin" if kind == tarfile.SYMTYPE else ""
            tar.addfile(member, io.BytesIO())
    return client


def calls(docker: Path) -> list[str]:
    return [line.split()[0] for line in docker.with_name("calls").read_text().splitlines()]


def test_the_tree_is_plain(docker: Path) -> None:
    tree = rootfs.export(Client(docker), "observer", "sha256:abc")
    assert tree == docker.parent / "cache" / "rootfs" / "abc"
    assert (tree / "bin" / "python3").stat().st_mode & 0o7777 == 0o755
    assert (tree / "usr" / "bin" / "su").stat().st_mode & 0o7777 == 0o755
    assert (tree / "etc" / "shadow").stat().st_mode & 0o7777 == 0o644
    assert not (tree / "dev").exists()
    assert not (tree.parent / "outside").exists()
    assert {path.lstat().st_uid for path in tree.rglob("*")} == {tree.stat().st_uid}


def test_it_is_exported_once_however_many_ask(docker: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        trees = set(pool.map(lambda _: rootfs.export(Client(docker), "o", "sha256:abc"), range(4)))
    assert len(trees) == 1
    assert calls(docker) == ["create", "export", "rm"]


def test_a_failed_export_leaves_nothing(docker: Path) -> None:
    docker.with_name("image.tar").write_bytes(b"cut short")
    with pytest.raises(EnvironmentProblem, match="exporting the file system of observer failed"):
        rootfs.export(Client(docker), "observer", "sha256:abc")
    assert calls(docker)[-1] == "rm"
    assert not (docker.parent / "cache" / "rootfs").exists()
    assert not list((docker.parent / "cache" / "scratch").iterdir())

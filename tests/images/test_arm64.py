"""Nothing in the recipes is for x86-64 alone, as far as that can be seen without such a machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.images import fetch, oci_layout
from conformance.images.node_recipe import RECIPE
from conformance.machine import paths

EM_AARCH64 = 183  # elf.h; in the ELF header at byte 18


@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
def test_a_program_of_the_nodes_own_is_built_for_arm64(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOOS": "linux", "GOARCH": "arm64"}
    subprocess.run(["go", "build", "-o", program, "."], cwd=RECIPE / "pause", env=env, check=True)
    assert int.from_bytes(program.read_bytes()[18:20], "little") == EM_AARCH64


def test_images_and_fetched_files_are_of_the_machines_own_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (envoy,) = fetch.read_fetch_file(paths.FIXTURES / "envoy" / fetch.FETCH_FILE)
    kept = set()
    for machine, architecture in (("x86_64", "amd64"), ("aarch64", "arm64")):
        assert oci_layout.ARCHITECTURES[machine] == architecture
        named = os.uname_result(("Linux", "host", "6.1", "#1", machine))
        monkeypatch.setattr(os, "uname", lambda named=named: named)
        kept.add(envoy.digest)
    assert len(kept) == 2  # a file that was fetched for one machine is never taken for another's


def test_no_recipe_names_a_type_of_machine() -> None:
    files = [*paths.FIXTURES.rglob("Dockerfile*"), *paths.FIXTURES.rglob("*.toml")]
    files += [*RECIPE.glob("*"), *RECIPE.glob("rootfs/**/*"), *RECIPE.glob("*/main.go")]
    read = [file for file in files if file.is_file()]
    assert len(read) > 10
    for file in read:
        text = file.read_text(errors="replace")
        assert not [word for word in ("amd64", "x86_64", "x86-64", "arm64") if word in text], file

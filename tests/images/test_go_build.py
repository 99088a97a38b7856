"""Which Go there is, and what it can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.images import go_build


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go version devel go1.28-3b1e", (1, 28)),
        ("gcc (Debian) 12", None),
    ],
)
def test_the_version_of_go(said: str, version: tuple[int, int] | None) -> None:
    assert go_build.parse_go_version(said) == version


def test_an_old_go_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"go1\.19\.8.*install Go 1\.26"):
        go_build.require_go()
    go.unlink()
    with pytest.raises(EnvironmentProblem, match="no go on PATH"):
        go_build.require_go()


def test_memory_decides_about_garbage_collection(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   1024 kB\n")
    assert go_build.available_memory(tmp_path / "meminfo") == 2**20
    assert go_build.available_memory(tmp_path / "none") == 0

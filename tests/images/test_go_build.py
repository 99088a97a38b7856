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


def test_a_change_is_made_in_a_copy_that_takes_the_modules_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, work = tmp_path / "source", tmp_path / "work"
    (source / "vendor").mkdir(parents=True)
    (source / "a.go").write_text("package a // one\n")
    source.chmod(0o555)
    work.mkdir()
    (work / "go.mod").write_text("module m\n")
    monkeypatch.setattr(go_build, "sources_of", lambda *_: source)
    change = go_build.Change("example/a", "a.go", "one", "two")
    go_build._make_change(tmp_path, change, work)
    assert (work / "changed" / "a.go").read_text() == "package a // two\n"
    assert not (work / "changed" / "vendor").exists()
    assert (work / "go.mod").read_text().endswith("\nreplace example/a => ./changed\n")
    assert (source / "a.go").read_text() == "package a // one\n"


def test_a_change_that_finds_nothing_to_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.go").write_text("package a // three\n")
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(go_build, "sources_of", lambda *_: tmp_path / "source")
    change = go_build.Change("example/a", "a.go", "one", "two")
    with pytest.raises(EnvironmentProblem, match="0 times, not once"):
        go_build._make_change(tmp_path, change, tmp_path / "work")


def test_a_change_is_part_of_the_recipe(tmp_path: Path) -> None:
    plain = go_build.GoBuild("a", tmp_path, {".": "a"})
    changed = go_build.GoBuild(
        "a", tmp_path, {".": "a"}, change=go_build.Change("x", "y", "1", "2")
    )
    assert plain.digest != changed.digest

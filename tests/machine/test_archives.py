"""Archives of others are unpacked alike by every Python from 3.11.0 on."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from conformance.machine import archives
from conformance.machine.paths import CHECKOUT


@pytest.fixture(params=["by tarfile's filter", "by Python 3.11.2"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways; the older Python knows no filter at all."""
    if request.param == "by Python 3.11.2":
        extract = tarfile.TarFile.extractall
        monkeypatch.delattr(tarfile, "data_filter", raising=False)  # it may be that Python

        def former(self: tarfile.TarFile, path: str, members: list[tarfile.TarInfo]) -> None:
            self.extraction_filter = lambda member, _: member
            extract(self, path, members)

        monkeypatch.setattr(tarfile.TarFile, "extractall", former)


def archive(*names: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarFile:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as made:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid = kind, mode, 42
            member.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            made.addfile(member, io.BytesIO())
    written.seek(0)
    return tarfile.open(fileobj=written)


def test_files_and_folders_belong_to_who_unpacks_them(tmp_path: Path) -> None:
    archives.unpack(archive("a/b", "a/c/d", mode=0o4777), tmp_path / "there")
    files = [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["b", "d"]
    assert {path.stat().st_mode & 0o7777 for path in files} == {0o755}
    assert {path.stat().st_uid for path in files} == {tmp_path.stat().st_uid}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside", tarfile.REGTYPE),
        ("a/../../outside", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("link", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
    ],
)
def test_what_leads_elsewhere_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with pytest.raises((tarfile.TarError, KeyError)):
        archives.unpack(archive(name, kind=kind), tmp_path / "there")
    assert not (tmp_path / "outside").exists()


def test_every_archive_is_unpacked_here() -> None:
    """Or by a rule of its own: the observer's file system is of links, too."""
    package = CHECKOUT / "conformance"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"extract(all)?\([^)]*filter=|\.extractall\(", path.read_text())
    }
    assert found == {"machine/archives.py", "images/rootfs.py"}

"""Names by recipe, and what is made once and kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.images import cache


def test_a_digest_knows_where_parts_end() -> None:
    assert cache.digest_of("ab", "c") != cache.digest_of("a", "bc")
    assert cache.digest_of("ab") == cache.digest_of(b"ab")


def test_a_folders_digest_sees_what_matters(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = {cache.digest_of_files(tmp_path)}
    (tmp_path / "a").chmod(0o755)
    seen.add(cache.digest_of_files(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(cache.digest_of_files(tmp_path))
    (tmp_path / "b").write_text("y")
    seen.add(cache.digest_of_files(tmp_path))
    (tmp_path / "link").symlink_to("b")
    seen.add(cache.digest_of_files(tmp_path))
    assert len(seen) == 5
    before = cache.digest_of_files(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.pyc").write_text("z")
    os.utime(tmp_path / "b", (1, 1))
    assert cache.digest_of_files(tmp_path) == before


def test_a_thing_is_made_once_and_whole(own_cache: Path) -> None:
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "half").write_text("x")
        if len(calls) == 1:
            raise EnvironmentProblem("interrupted")

    with pytest.raises(EnvironmentProblem):
        cache.component("thing-1", build)
    assert not (own_cache / "components" / "thing-1").exists()
    place = cache.component("thing-1", build)
    assert (place / "half").read_text() == "x"
    assert cache.component("thing-1", build) == place
    assert len(calls) == 2
    assert list((own_cache / "scratch").iterdir()) == []

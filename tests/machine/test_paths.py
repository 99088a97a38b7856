"""A user that is only a number, without HOME: as in containers, and in jobs of a scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.audit import api
from conformance.clean import clean_all
from conformance.errors import UsageProblem
from conformance.machine.paths import cache_dir, expanded
from conformance.plan import own

NOBODY = 51789


@pytest.fixture(autouse=True)
def without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    del tmp_path  # made before: pytest asks who the user is as well
    for name in ("HOME", "XDG_CACHE_HOME", "SIDECAR_CONFORMANCE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: NOBODY)


def test_a_cache_below_no_home_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageProblem, match=r"~ in ~/\.cache: set HOME, .*SIDECAR_CONFORMANCE_CACHE"
    ):
        cache_dir()
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


def test_a_file_of_an_unknown_users_is_refused_in_a_sentence() -> None:
    with pytest.raises(UsageProblem, match=r"~no-such-user/mine\.yaml"):
        own.admit("~no-such-user/mine.yaml")
    assert expanded("/a/b") == Path("/a/b")


def test_kubectls_own_file_is_not_looked_for_in_no_home() -> None:
    with pytest.raises(UsageProblem, match="No cluster can be told"):
        api.connect("", "")


def test_a_cache_named_outright_can_be_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    (cache / "runs").mkdir(parents=True)
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(cache))
    clean_all()
    assert not cache.exists()

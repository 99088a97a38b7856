"""istioctl of a pulled release: a registry that refuses it is no machine that cannot have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import official, pull
from conformance.sidecars.istio import images
from conformance.sidecars.istio.release import BUILT, Release
from tests.stand_ins.docker import NO_HOST, client


@pytest.mark.parametrize(
    ("said", "raised", "words"),
    [
        ("toomanyrequests: slow down", EnvironmentProblem, "slow down; log in to the registry"),
        (NO_HOST, Unobtainable, "could not be pulled: .*no such host; put istioctl 1.30.5 on PATH"),
    ],
)
def test_a_refusal_is_an_error_and_absence_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    raised: type[EnvironmentProblem],
    words: str,
) -> None:
    """The images are there; the one with istioctl in it is not."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pull, "_failures", pull._Failures())
    monkeypatch.setattr(images, "_istioctl_on_path", lambda _: None)
    monkeypatch.setattr(official, "archived", lambda *_: None)
    script = (
        'case "$1" in\n'
        '    image) echo \'[{"Id": "sha256:a"}]\' ;;\n'
        f"    *) echo '{said}' >&2; exit 1 ;;\n"
        "esac"
    )
    with pytest.raises(raised, match=words) as problem:
        images.ensure(client(tmp_path, script), Release("1.30.5"), "auto")
    assert type(problem.value) is raised


def test_what_is_built_is_published_by_nobody() -> None:
    assert images.references(Release(BUILT)) == []
    named = images.references(Release("1.30.5"))
    assert [one.rpartition("/")[2] for one in named] == [
        "pilot:1.30.5",
        "proxyv2:1.30.5",
        "istioctl:1.30.5",
    ]

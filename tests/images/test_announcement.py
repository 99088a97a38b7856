"""What a run says before its first build, with an engine that is a script."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.images import announcement
from conformance.images import go_build as image_go
from conformance.images import node_recipe as image_recipe
from conformance.images import pull as image_pull
from conformance.plan import cells as plan
from conformance.plan.selection import select
from conformance.sidecars.istio import images as image_istio
from conformance.sidecars.istio import release as istio_release

UNREACHABLE = "dial tcp: lookup registry.example: no such host"


@dataclass(frozen=True)
class FakeEngine:
    docker: Path
    env: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, two processors, and no memory of pulls."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(image_pull, "_failures", image_pull._Failures())
    return tmp_path / "cache"


def engine(tmp_path: Path, *, pull: str, has: str = "@none@") -> FakeEngine:
    """An engine with the images that the pattern ``has`` names, whose ``pull`` does this."""
    program = tmp_path / "docker"
    program.write_text(
        f"""#!/bin/sh
case "$1 $3" in
pull*) echo "$2" >> {tmp_path}/pulls; {pull} ;;
tag*) ;;
*{has}*) echo '[{{"Id": "sha256:1"}}]' ;;
*) echo "No such image" >&2; exit 1 ;;
esac
"""
    )
    program.chmod(0o755)
    return FakeEngine(program)


def offline(tmp_path: Path, has: str = "@none@") -> FakeEngine:
    return engine(tmp_path, pull=f'echo "{UNREACHABLE}" >&2; exit 1', has=has)


def compiled(cache: Path, build: image_go.GoBuild) -> None:
    (cache / "components" / f"{build.name}-{build.digest}").mkdir(parents=True)


def test_a_machine_that_pulls_nothing_says_all_that_it_will_build(
    tmp_path: Path, cache: Path
) -> None:
    del cache
    said = announcement.sentence(offline(tmp_path), ["1.33", "1.29", "1.28-nogate"], "auto", {})
    assert said == (
        "Will build from packages: what all nodes share (about 3 min), Kubernetes 1.33, 1.29, 1.28 "
        "(about 5 min each); about 16 min in all, on 2 idle processors; verdicts of 1.33 fall "
        "meanwhile."
    )
    (asked,) = (tmp_path / "pulls").read_text().split()
    assert asked == f"kindest/node@{image_pull.digest_of('kindest/node:v1.33.12')}"


def test_what_two_clusters_share_is_told_once(tmp_path: Path, cache: Path) -> None:
    del cache
    versions = ["1.29", "1.28", "1.29-skew"]
    said = announcement.sentence(offline(tmp_path), versions, "auto", {})
    assert "Kubernetes 1.29, 1.28 (about 5 min each); about 12 min in all" in said


def test_a_cluster_of_two_versions_needs_both(tmp_path: Path, cache: Path) -> None:
    del cache
    said = announcement.sentence(offline(tmp_path), ["1.29-skew"], "auto", {})
    assert "Kubernetes 1.29, 1.28 (about 5 min each)" in said
    assert "meanwhile" not in said  # no verdict falls before both are built


def test_only_what_is_missing_is_told(tmp_path: Path, cache: Path) -> None:
    parts = image_recipe.parts("1.33")
    for build in (parts.containerd, parts.coredns, parts.pause, parts.kubernetes):
        compiled(cache, build)
    said = announcement.sentence(offline(tmp_path), ["1.33", "1.37"], "auto", {})
    assert "1.33 (under a minute), Kubernetes 1.37 (about 5 min)" in said and "share" not in said


def test_what_is_compiled_already_comes_first(tmp_path: Path, cache: Path) -> None:
    versions, here = ["1.33", "1.29", "1.37"], offline(tmp_path)
    assert announcement.ready_first(here, versions, "auto") == versions
    parts, newest = image_recipe.parts("1.29"), image_recipe.parts("1.37").kubernetes
    for build in (parts.containerd, parts.coredns, parts.pause, parts.kubernetes, newest):
        compiled(cache, build)
    assert announcement.ready_first(here, versions, "auto") == ["1.29", "1.37", "1.33"]


def test_where_all_is_pulled_the_order_is_the_plans(tmp_path: Path, cache: Path) -> None:
    del cache
    versions, pulling = ["1.33", "1.29", "1.37"], engine(tmp_path, pull="exit 0")
    assert announcement.ready_first(pulling, versions, "auto") == versions


def test_the_last_version_alone_lets_no_verdict_fall_meanwhile(tmp_path: Path, cache: Path) -> None:
    del cache
    assert "meanwhile" not in announcement.sentence(offline(tmp_path), ["1.33"], "auto", {})


@pytest.mark.usefixtures("cache")
def test_a_machine_that_pulls_says_nothing(tmp_path: Path) -> None:
    pulling = engine(tmp_path, pull="exit 0")
    assert announcement.sentence(pulling, ["1.33", "1.29"], "auto", {}) == ""


@pytest.mark.usefixtures("cache")
def test_what_is_there_is_not_built(tmp_path: Path) -> None:
    assert announcement.sentence(offline(tmp_path, has="node:"), ["1.33"], "auto", {}) == ""


@pytest.mark.usefixtures("cache")
def test_by_choice_everything_is_built_and_nobody_asked(tmp_path: Path) -> None:
    said = announcement.sentence(offline(tmp_path), ["1.33"], "build", {})
    assert "Kubernetes 1.33 (about 5 min)" in said and not (tmp_path / "pulls").exists()


@pytest.mark.usefixtures("cache")
def test_an_absent_image_is_built_though_the_registry_answers(tmp_path: Path) -> None:
    answering = engine(tmp_path, pull='echo "manifest unknown: not found" >&2; exit 1')
    said = announcement.sentence(answering, ["1.33", "1.29"], "auto", {})
    assert "Kubernetes 1.33 (about 5 min)" in said and "1.29" not in said


@pytest.mark.usefixtures("cache")
def test_a_refusal_leads_to_no_build(tmp_path: Path) -> None:
    refusing = engine(tmp_path, pull='echo "toomanyrequests: limit" >&2; exit 1')
    assert announcement.sentence(refusing, ["1.33"], "auto", {}) == ""


@pytest.mark.usefixtures("cache")
def test_istio_is_told_with_its_minutes(tmp_path: Path) -> None:
    nothing = offline(tmp_path)
    release = istio_release.wanted("")
    announcement.sentence(nothing, ["1.33"], "auto", {})  # the registry is known by now
    builds = image_istio.uncompiled(nothing, release, "auto")
    said = announcement.sentence(nothing, ["1.33"], "auto", {"istio": builds})
    assert "istio (about 5 min)" in said
    asked = istio_release.wanted("1.27.3")
    assert image_istio.uncompiled(nothing, asked, "auto") == []  # what was asked for is not built


def test_versions_are_prepared_in_the_order_of_their_cells() -> None:
    cells = plan.cells(select({"k8s": "1.28,1.29,1.33", "sidecar": "envoy,istio"}))
    assert list(dict.fromkeys(cell.k8s for cell in cells)) == ["1.33", "1.28", "1.29"]
    assert cells[0].sidecar == "envoy"

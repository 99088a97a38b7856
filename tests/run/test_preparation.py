"""A sidecar that cannot be had, by whatever failure, fails its own cells and no others."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.cluster import connection, deletion, lifecycle, network
from conformance.cluster import state as cluster_state
from conformance.cluster.context import Context
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import ensure as images
from conformance.images import rootfs
from conformance.machine import digests, proxies, runs
from conformance.machine.progress import board
from conformance.model import Cell
from conformance.plan.options import Options
from conformance.run import preparation, sidecar_images
from conformance.run.cells import Cells

BROKEN = "installing Istio 1.31-dev failed: istioctl's own words."
VERSIONS = {
    "kubernetes": "v1.33.13", "cgroup": "v1", "sidecar_gate": "",
    "nodes": {"node": {"kubelet": "v1.33.13"}},
}  # fmt: skip


class Driver:
    """Istio, which fails as it is told; and a sidecar of which there is nothing to install."""

    def __init__(self, name: str, fails: str) -> None:
        self.name = name
        self._fails = fails if name == "istio" else ""

    def fixture_images(self) -> list[str]:
        if self._fails == "unobtainable":
            raise Unobtainable("no registry answers")
        if self._fails == "images":
            raise EnvironmentProblem("the build failed")
        return []

    def install(self, *_: Any) -> dict[str, str]:
        if self._fails == "install":
            raise EnvironmentProblem(BROKEN)
        if self._fails == "mistake":
            raise ZeroDivisionError("oops")
        return {"version": "1"}


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Prepares Kubernetes 1.33 with fixture and istio, without an engine or a cluster."""

    def start(fails: str, sidecars: str = "istio,fixture", k8s: str = "1.33") -> Path:
        named = {"k8s": k8s} if k8s == "1.33" else {}
        options = Options.check({**named, "sidecar": sidecars, "results": str(tmp_path)})
        made = preparation.Preparation(options)
        image = SimpleNamespace(
            image=images.Image("i", "sha256:0", "built", ""), archive=tmp_path / "i.tar"
        )
        handle = cluster_state.ClusterHandle(
            k8s.partition(",")[0],
            "c",
            made_in(tmp_path) / "kubeconfig",
            "node",
            tmp_path / "evidence",
        )
        stand_ins = {
            (preparation, "load"): lambda name, _: Driver(name, fails),
            (sidecar_images, "load"): lambda name, _: Driver(name, fails),
            (images, "ensure_fixture"): lambda *_: image,
            (rootfs, "export"): lambda *_: tmp_path,
            (lifecycle, "create"): lambda *_, **__: handle,
            (lifecycle, "load"): lambda *_: None,
            (preparation, "versions"): lambda _: VERSIONS,
            (connection, "connect"): lambda _: None,
            (preparation, "NodeCollectors"): lambda *_, **__: SimpleNamespace(start=lambda: None),
        }
        for (where, name), what in stand_ins.items():
            monkeypatch.setattr(where, name, what)
        with runs.start(tmp_path) as run:
            made.run = run
            made._engine = SimpleNamespace(docker=Path("docker"), env={})  # type: ignore[assignment]
            made._run_images = sidecar_images.RunImages(run, made._engine, options, made._told)
            made._run_images.make_base()
            for name in options.selection.sidecars:
                made._run_images.make(name)
            made._cluster(handle.minor, {"kindest/node:v1.33.12": image.image})
            return run.results

    return start


def test_nobody_waits_for_the_images_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = SimpleNamespace(image=images.Image("i", "", "built"), archive=tmp_path / "i.tar")
    monkeypatch.setattr(sidecar_images, "load", lambda name, _: Driver(name, "images"))
    monkeypatch.setattr(images, "ensure_fixture", lambda *_: image)
    monkeypatch.setattr(rootfs, "export", lambda *_: tmp_path)
    options = Options.check({"k8s": "1.33", "sidecar": "istio,fixture", "results": str(tmp_path)})
    with runs.start(tmp_path) as run:
        engine: Any = SimpleNamespace(docker=Path("docker"), env={})
        made = sidecar_images.RunImages(run, engine, options, lambda *_: "the build failed")
        made.make_base()
        assert made.base == [image.archive] and made.of("fixture", 0) is None
        made.make("fixture")
        found = made.of("fixture", 0)
        assert found and not found.reason and made.of("istio", 0) is None
        made.make("istio")
        assert made.of("istio", 0) == sidecar_images.SidecarImages(reason="the build failed")


def test_a_sidecar_that_nobody_named_and_nobody_can_have_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = SimpleNamespace(image=images.Image("i", "", "built"), archive=tmp_path / "i.tar")
    monkeypatch.setattr(sidecar_images, "load", lambda name, _: Driver(name, "images"))
    monkeypatch.setattr(images, "ensure_fixture", lambda *_: image)
    monkeypatch.setattr(rootfs, "export", lambda *_: tmp_path)
    options = Options.check({"k8s": "1.33", "results": str(tmp_path)})
    with runs.start(tmp_path) as run:
        engine: Any = SimpleNamespace(docker=Path("docker"), env={})
        made = sidecar_images.RunImages(run, engine, options, lambda *_: "the build failed")
        made.make_base()
        made.make("istio")
        assert made.of("istio", 0) == sidecar_images.SidecarImages(unobtainable=True)
        assert Context.read(run.results).unobtainable == {"istio": "the build failed"}


def made_in(folder: Path) -> Path:
    path = folder / "cluster"
    path.mkdir()
    return path


def missing(results: Path, sidecar: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, bool]:
    """What a worker is told of a cell: why there is no evidence, and whether that is a failure."""
    played: list[Cell] = []

    def play(self: Cells, cell: Cell, *_: Any) -> Any:
        del self
        played.append(cell)
        return SimpleNamespace(missing="", not_verified=False)

    monkeypatch.setattr(Cells, "_with_attempts", play)
    cell = Cell("1.33", sidecar, "native", "default", "lifecycle")
    observed = Cells(results).observed(cell, ["stop.order"])
    assert bool(played) == (not observed.missing)
    return observed.missing, observed.not_verified


@pytest.mark.parametrize(
    ("fails", "why", "not_verified"),
    [
        ("install", BROKEN, False),
        ("mistake", "ZeroDivisionError: oops", False),
        ("images", "the build failed", False),
        ("unobtainable", "no registry answers", True),
    ],
)
def test_only_its_own_cells_fail(
    prepare: Any, monkeypatch: pytest.MonkeyPatch, fails: str, why: str, not_verified: bool
) -> None:
    results = prepare(fails)
    assert missing(results, "istio", monkeypatch) == (why, not_verified)
    assert missing(results, "fixture", monkeypatch) == ("", False)
    state = json.loads((results / "clusters/1.33/state.json").read_text())
    assert state["state"] == "ready" and state["sidecars"]["fixture"] == ""
    kept = list((results / "clusters").rglob("istio.error.log"))
    assert bool(kept) != not_verified  # the whole story, for who wants it


def test_nothing_fails(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    results = prepare("")
    for sidecar in ("istio", "fixture"):
        assert missing(results, sidecar, monkeypatch) == ("", False)
        assert Context.read(results).unobtainable == {}


def test_what_does_not_run_on_a_version_is_not_installed_on_it(prepare: Any) -> None:
    """Linkerd's release wants Kubernetes 1.31, and has no cell on 1.29."""
    results = prepare("", "linkerd,fixture", "1.29")
    state = json.loads((results / "clusters/1.29/state.json").read_text())
    assert state["sidecars"] == {"fixture": ""}


@pytest.mark.parametrize(
    ("left", "removed"), [(["c"], ["delete_all"]), ([], ["remove_all"])], ids=str
)
def test_a_run_takes_its_network_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: list[str], removed: list[str]
) -> None:
    """Its clusters may be gone by then: each goes behind its own last verdict."""
    done: list[str] = []
    for module, name in ((deletion, "delete_all"), (network, "remove_all")):
        monkeypatch.setattr(module, name, lambda _, name=name: done.append(name))
    made = preparation.Preparation(Options.check({"k8s": "1.33", "results": str(tmp_path)}))
    with runs.start(tmp_path) as run:
        made.run = run
        for name in left:
            run.register(name)
        made._take_down()
    assert done == removed
    assert run.clusters == ()


def test_what_a_file_of_digests_pins_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is any engine: what is not in it is believed by its name."""

    def no_engine() -> None:
        raise EnvironmentProblem("No engine answers.")

    said: list[str] = []
    (tmp_path / "none.toml").write_text("")
    monkeypatch.setenv(digests.DIGESTS, str(tmp_path / "none.toml"))
    monkeypatch.setattr(board, "say", said.append)
    monkeypatch.setattr(preparation, "engine", no_engine)
    monkeypatch.setattr(proxies, "reach_loopback_directly", lambda _: None)
    options = Options.check({"k8s": "1.33", "results": str(tmp_path / "results")})
    with pytest.raises(EnvironmentProblem), preparation.Preparation(options):
        pass
    assert "it pins nothing" in said[0]

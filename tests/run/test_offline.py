"""Saving what a selection is made from, and loading it where no network is: a stand-in engine."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import engine as engines
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem, Unobtainable, UsageProblem
from conformance.images import ensure, tools
from conformance.images.ensure import FixtureImage, Image
from conformance.plan.options import Options
from conformance.run import offline

NODE = "kindest/node:v1.33.12"
# A docker that keeps what it has in files: name → id. What it saves is the list of names.
CLIENT = """#!/bin/sh
cd "{folder}" || exit 1
echo "$@" >>asked
case "$1 $2" in
    "save --output") printf '%s\\n' "$@" >"$3" ;;
    "load --input") cp "$3" loaded ;;
    "image inspect")
        grep -qx "$3" loaded || {{ echo "Error: No such image: $3" >&2; exit 1; }}
        echo "[{{\\"Id\\": \\"$(cat prefix)$3\\"}}]" ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in, its folder returned; a cache with kind in it, and kubectl on PATH."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "loaded").write_text("")
    (folder / "prefix").write_text("id of ")
    program = folder / "docker"
    program.write_text(CLIENT.format(folder=folder))
    program.chmod(0o755)
    its = Engine(program, "unix:///there", False, "28", {})

    @contextmanager
    def answers() -> Iterator[Engine]:
        yield its

    monkeypatch.setattr(engines, "engine", answers)
    move_to(tmp_path / "here", monkeypatch)
    (tmp_path / "kubectl").write_text("kubectl")
    monkeypatch.setattr(tools, "kubectl", lambda: tmp_path / "kubectl")

    def image(name: str) -> Image:
        return Image(name, f"id of {name}", "pulled")

    def nodes(_: Engine, k8s: str, __: str) -> dict[str, Image]:
        if k8s == "1.30":
            raise Unobtainable("it can be neither pulled nor built")
        return {NODE: image(NODE)}

    def fixture(_: Engine, name: str, __: str) -> FixtureImage:
        return FixtureImage(image(f"sidecar-conformance/{name}:1"), tmp_path)

    monkeypatch.setattr(ensure, "ensure_base", lambda *_: image(ensure.BASE_IMAGE))
    monkeypatch.setattr(ensure, "ensure_node_images", nodes)
    monkeypatch.setattr(ensure, "ensure_fixture", fixture)
    return folder


def move_to(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the cache is this folder, and kind is in it once it is there."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(cache))
    kind = cache / "tools" / "kind-v1" / "kind"
    if cache.name == "here":
        kind.parent.mkdir(parents=True)
        kind.write_text("kind")
        kind.chmod(0o755)
    monkeypatch.setattr(tools, "kind", lambda: kind)


def options(**given: str) -> Options:
    return Options.check({"k8s": "1.33", "sidecar": "fixture", **given})


def test_what_was_saved_is_there_after_loading(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "images.tar"
    missing = offline.save(options(k8s="1.30,1.33"), file)
    assert [one.partition(" ")[0] for one in missing] == ["Kubernetes", "kubectl"]
    assert "1.30 is not in it" in missing[0] and "put it on PATH there" in missing[1]
    move_to(tmp_path / "there", monkeypatch)
    about = offline.loaded(file)
    assert set(about.images) == {
        NODE,
        ensure.BASE_IMAGE,
        "sidecar-conformance/app:1",
        "sidecar-conformance/observer:1",
    }
    assert set(about.images) <= set((engine / "loaded").read_text().split())
    kind = tmp_path / "there" / "tools" / "kind-v1" / "kind"
    assert kind.read_text() == "kind" and kind.stat().st_mode & 0o100
    assert not list(tmp_path.glob("*/scratch/*"))


def test_an_engine_with_other_ids_is_told(engine: Path, tmp_path: Path) -> None:
    offline.save(options(), tmp_path / "images.tar")
    (engine / "prefix").write_text("another id of ")
    with pytest.raises(EnvironmentProblem, match="4 of the loaded images under other ids"):
        offline.loaded(tmp_path / "images.tar")


@pytest.mark.parametrize(
    ("field", "words"), [("recipe", "another state of this suite"), ("machine", "saved for other")]
)
def test_what_would_be_of_no_use_is_not_loaded(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, words: str
) -> None:
    offline.save(options(), tmp_path / "images.tar")
    made = offline._about

    def others(path: Path) -> offline.About:
        changed: dict[str, Any] = {field: "other"}
        return dataclasses.replace(made(path), **changed)

    monkeypatch.setattr(offline, "_about", others)
    with pytest.raises(EnvironmentProblem, match=words):
        offline.loaded(tmp_path / "images.tar")
    assert "load" not in (engine / "asked").read_text()


@pytest.mark.usefixtures("engine")
def test_other_files_are_wrong_use(tmp_path: Path) -> None:
    file = tmp_path / "some.tar"
    with pytest.raises(UsageProblem, match="cannot be read"):
        offline.loaded(file)
    file.write_text("text")
    with pytest.raises(UsageProblem, match="was not written by images --save"):
        offline.loaded(file)
    with tarfile.open(file, "w") as archive:
        archive.add(__file__, "about.json")
    with pytest.raises(UsageProblem, match="was not written by images --save"):
        offline.loaded(file)
    with pytest.raises(UsageProblem, match="exists; name another"):
        offline.save(options(), file)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"sidecar": "envoy"}, [NODE, "debian:bookworm-slim"]),
        (
            {"sidecar": "fluent-bit", "image_prefix": "r.internal:5000/m"},
            [f"r.internal:5000/m/{NODE}", "r.internal:5000/m/library/debian:bookworm-slim"],
        ),
    ],
)
def test_a_selection_is_listed_without_an_engine(
    given: dict[str, str], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any) -> None:
        raise EnvironmentProblem("none answers")

    monkeypatch.setattr(engines, "users_engine", nobody)
    found = offline.listed(options(**given))
    told = json.dumps([one.name for one in found])
    assert all(name in told for name in names), told
    pinned = {one.name for one in found if one.digest}
    assert pinned == (set() if "image_prefix" in given else {NODE})
    if given["sidecar"] == "fluent-bit":
        assert found[-1].name.startswith("r.internal:5000/m/fluent/fluent-bit:")

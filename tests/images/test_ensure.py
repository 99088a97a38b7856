"""What leads to building, whose parents an image has, and which images nodes need."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem, Unobtainable, UsageProblem
from conformance.images import ensure, node_recipe, pin, pull
from conformance.machine import paths
from tests.stand_ins.docker import LOOKUP, NO_HOST, client


def test_only_absence_and_no_network_lead_to_building() -> None:
    for kind in ("absent", "unreachable"):
        ensure.must_be_buildable("a:b", pull.PullFailure(kind, "gone"), "auto")
        with pytest.raises(Unobtainable, match="gone"):
            ensure.must_be_buildable("a:b", pull.PullFailure(kind, "gone"), "pull")
    with pytest.raises(EnvironmentProblem, match=r"too fast.*log in"):
        ensure.must_be_buildable("a:b", pull.PullFailure("refused", "too fast"), "auto")
    said = "toomanyrequests: You have reached your pull rate limit"
    failure = pull.PullFailure(pull.classify(said), said)
    with pytest.raises(EnvironmentProblem, match=r"wait until .*IMAGE_PREFIX.*IMAGES=build"):
        ensure.must_be_buildable("a:b", failure, "auto")
    with pytest.raises(EnvironmentProblem, match=r"odd.*set right"):
        ensure.must_be_buildable("a:b", pull.PullFailure("other", "odd"), "auto")


DOCKERFILE = """\
# FROM nowhere
FROM debian:bookworm-slim AS build
RUN echo FROM here
from --platform=linux/amd64 sidecar-conformance/app as app
FROM build
COPY --from=app /x /x
"""


def test_the_parents_of_a_dockerfile() -> None:
    assert ensure.parent_images(DOCKERFILE) == ["debian:bookworm-slim", "sidecar-conformance/app"]


def test_parents_are_named_as_the_engine_has_them() -> None:
    changed = ensure.with_parents(DOCKERFILE, {"debian:bookworm-slim": "own/debian:1"})
    assert "FROM own/debian:1 AS build\n" in changed
    assert "# FROM nowhere\n" in changed
    assert "from --platform=linux/amd64 sidecar-conformance/app as app\n" in changed


def test_every_kind_config_names_an_image_whose_minor_is_pinned() -> None:
    for path in paths.KIND_CONFIGS.glob("v*.yaml"):
        for name in ensure.node_image_names(path.stem.removeprefix("v")):
            minor = ensure.minor_of(name)
            assert minor in node_recipe.minors()
    with pytest.raises(UsageProblem, match=r"9\.99"):
        ensure.node_image_names("9.99")


def test_nodes_of_one_minor_have_one_image_in_all_kind_configs() -> None:
    """A second patch of a minor would be one more image to pull, and none more to build."""
    found: dict[str, set[str]] = {}
    for path in paths.KIND_CONFIGS.glob("v*.yaml"):
        for name in ensure.node_image_names(path.stem.removeprefix("v")):
            found.setdefault(ensure.minor_of(name), set()).add(name)
    assert all(len(names) == 1 for names in found.values()), found


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("policy", ["auto", "pull", "build"])
def test_a_minor_that_is_not_pinned_can_only_be_pulled(
    tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "v1.99.yaml"
    config.write_text("kind: Cluster\nnodes: [{image: 'kindest/node:v1.99.1'}]\n")
    monkeypatch.setattr(paths, "kind_config", lambda _: config)
    absent = '[ "$1" = image ] && { echo "No such image" >&2; exit 1; }'
    engine = client(tmp_path, f"{absent}\necho '{NO_HOST}' >&2; exit 1")
    with pytest.raises(Unobtainable, match=r"1\.99"):
        ensure.ensure_node_images(engine, "1.99", policy)


def test_a_patch_is_pulled_or_built_as_it_was_asked_for() -> None:
    assert ensure.node_image_names("1.33.4") == ["kindest/node:v1.33.4"]
    assert ensure.recipe_of("1.33.4", "kindest/node:v1.33.4") == "1.33.4"
    assert ensure.recipe_of("1.33", "kindest/node:v1.33.12") == "1.33"
    newest = max(node_recipe.minors(), key=node_recipe.numbers)
    assert paths.kind_config("1.99.0-beta.0") == paths.kind_config(newest)
    assert not paths.kind_config("1.99.0").exists()


@pytest.mark.usefixtures("own_cache")
def test_a_patch_is_pinned_once_and_by_the_minors_own_folder_where_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def go(version: str, folder: Path) -> Path:
        asked.append(version)
        if version == "1.33.99":
            raise EnvironmentProblem("no such version.")
        (folder / "go.sum").touch()
        (folder / "go.mod").write_text(f"module x\n\nrequire k8s.io/kubernetes v{version}\n")
        return folder

    monkeypatch.setattr(pin, "pin", go)
    pinned = node_recipe.parts("1.33").version.removeprefix("v")
    assert node_recipe.parts(pinned).tag == node_recipe.parts("1.33").tag
    assert node_recipe.parts("1.33.4").version == "v1.33.4"
    assert node_recipe.parts("1.33.4").tag != node_recipe.parts("1.33").tag
    assert asked == ["1.33.4"]
    with pytest.raises(Unobtainable, match=r"1\.33\.99 cannot be built.*no such version"):
        node_recipe.parts("1.33.99")


def test_the_minor_of_a_node_image() -> None:
    assert ensure.minor_of("kindest/node:v1.33.12") == "1.33"
    assert ensure.minor_of("kindest/node:v1.28.15@sha256:0a") == "1.28"
    with pytest.raises(EnvironmentProblem, match="pin one"):
        ensure.minor_of("kindest/node:latest")


@pytest.mark.usefixtures("own_cache")
def test_what_can_be_neither_pulled_nor_built_tells_both_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    absent = '[ "$1" = image ] && { echo "No such image" >&2; exit 1; }'
    engine = client(tmp_path, f"{absent}\necho '{NO_HOST}' >&2; exit 1")
    with pytest.raises(EnvironmentProblem) as caught:
        ensure.ensure_base(engine, "auto")
    said = str(caught.value)
    assert said.startswith(f"{ensure.BASE_IMAGE} could not be pulled: {LOOKUP} ")
    assert "debootstrap needs root" in said


def test_proxies_are_taken_in_capitals_too() -> None:
    assert ensure.proxies({"HTTPS_PROXY": "a", "http_proxy": "b", "HTTP_PROXY": "c"}) == {
        "https_proxy": "a",
        "http_proxy": "b",
    }

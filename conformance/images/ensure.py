"""Images of a run: nodes, the base of all fixtures, the fixtures.

Pulled where that works, built from packages where it does not; everything above sees the same
names either way. What was built in place of something pulled carries a label and a note.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from conformance.engine import client
from conformance.engine.client import Engine, docker
from conformance.errors import EnvironmentProblem, Unobtainable, UsageProblem
from conformance.images import cache, debian, fetch, node_image, node_recipe, prune, pull
from conformance.machine import paths
from conformance.machine.progress import board

Source = Literal["pulled", "present", "built"]

BASE_IMAGE = "debian:bookworm-slim"
OWN_PREFIX = "sidecar-conformance/"
BUILT_AFTER = ("absent", "unreachable")  # kinds of failed pulls that lead to building

# "FROM [--platform=…] image [AS name]", Dockerfile reference; a stage's name is no image.
_FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)(.*)$", re.IGNORECASE | re.MULTILINE)

# Predefined build arguments of Docker: they are not kept in the image. apt reads the small letters
# alone, people set the capitals as well.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class Image:
    """An image that the engine has. digest: its id there. note: for the report, or ""."""

    name: str
    digest: str
    source: Source
    note: str = ""


@dataclass(frozen=True)
class FixtureImage:
    """A fixture's image, and the archive for ``kind load image-archive``."""

    image: Image
    archive: Path


# -- node images ------------------------------------------------------------------------------


def ensure_node_images(engine: Engine, k8s: str, policy: str) -> Mapping[str, Image]:
    """The images of the nodes of a version that has a kind config ("1.33", "1.28-nogate"): the name
    in the config → what the engine has for it, the first node's first.

    Raises Unobtainable when one can be neither pulled nor built, EnvironmentProblem when a registry
    refused or a build failed.
    """
    wanted = dict.fromkeys(node_image_names(k8s))
    return {name: _ensure_node_image(engine, name, recipe_of(k8s, name), policy) for name in wanted}


def _ensure_node_image(engine: Engine, wanted: str, recipe: str, policy: str) -> Image:
    if policy == "build":
        return _built_node(engine, recipe, wanted, "IMAGES=build")
    found = client.inspect(engine, wanted)
    if found is not None:
        return Image(wanted, str(found["Id"]), "present")
    failure = pull.pull(engine, wanted)
    if failure is None:
        return image_of(engine, wanted, "pulled")
    must_be_buildable(wanted, failure, policy)
    if not node_recipe.can_be_built(recipe):
        raise Unobtainable(
            f"{wanted} could not be pulled: {failure.said}; Kubernetes {recipe} cannot be built "
            "from packages either, for not all of its modules were published; pull it by hand."
        )
    with in_place_of(wanted, failure.said):
        return _built_node(engine, recipe, wanted, failure.said)


def will_build(engine: Engine, reference: str, policy: str) -> bool:
    """Whether an image will be built in its place, as far as that is known without asking anew.

    By choice, or because this run has seen that it cannot be pulled. For announcements.
    """
    if policy == "build":
        return True
    if policy == "pull" or client.inspect(engine, reference) is not None:
        return False
    failure = pull.known_failure(engine, reference)
    return failure is not None and failure.kind in BUILT_AFTER


def node_image_names(k8s: str) -> Sequence[str]:
    """The image of each node of the version's kind config; a node that names none has the first
    one that is named."""
    path = paths.kind_config(k8s)
    if not path.is_file():
        raise UsageProblem(f"Kubernetes {k8s} is unknown: there is no {path}.")
    config: Mapping[str, Any] = yaml.safe_load(path.read_text()) or {}
    nodes = config.get("nodes", [])
    if paths.is_patch(k8s):
        return [f"kindest/node:v{k8s}" for _ in nodes]
    first = next((str(node["image"]) for node in nodes if "image" in node), "")
    if not first:
        raise EnvironmentProblem(f"{path} names no node image; write one to its first node.")
    return [str(node.get("image", first)) for node in nodes]


def minor_of(reference: str) -> str:
    """ "1.33" of "kindest/node:v1.33.12@sha256:…"."""
    found = re.search(r":v(\d+\.\d+)\.\d+", reference)
    if found is None:
        raise EnvironmentProblem(f"{reference} has no tag of the form v1.33.12; pin one.")
    return found[1]


def recipe_of(k8s: str, reference: str) -> str:
    """What a node is built by (node_recipe.parts): a patch as it was asked for, else by the minor
    of the image."""
    return k8s if paths.is_patch(k8s) else minor_of(reference)


def _built_node(engine: Engine, recipe: str, instead_of: str, why: str) -> Image:
    tag = node_image.build(engine, recipe)
    version = node_recipe.parts(recipe).version
    note = f"node image {version} built from packages in place of {instead_of} ({why})"
    return image_of(engine, tag, "built", note)


# -- the base of the fixtures -----------------------------------------------------------------


def ensure_base(engine: Engine, policy: str) -> Image:
    """The image that all fixtures stand on: ``debian:bookworm-slim``, or what was built for it."""
    if policy == "build":
        return _built_base(engine, "IMAGES=build")
    found = client.inspect(engine, BASE_IMAGE)
    if found is not None and not client.is_built(found):
        return Image(BASE_IMAGE, str(found["Id"]), "present")
    failure = pull.pull(engine, BASE_IMAGE)
    if failure is None:
        return image_of(engine, BASE_IMAGE, "pulled")
    must_be_buildable(BASE_IMAGE, failure, policy)
    with in_place_of(BASE_IMAGE, failure.said):
        return _built_base(engine, failure.said)


def base_recipe() -> debian.DebianBase:
    """What is built where the base cannot be pulled."""
    files = paths.FIXTURES / "base" / "rootfs"
    return debian.DebianBase(name="debian", suite="bookworm", files=files)


def _built_base(engine: Engine, why: str) -> Image:
    tag = debian.build(engine, base_recipe())
    named = client.inspect(engine, BASE_IMAGE)
    if named is None or client.is_built(named):
        docker(engine, "tag", tag, BASE_IMAGE, what=f"naming {tag} {BASE_IMAGE}")
    # Its own name, not the common one: under that the user may have a pulled image.
    return image_of(
        engine, tag, "built", f"{BASE_IMAGE} built from Debian packages in its place ({why})"
    )


# -- fixtures ---------------------------------------------------------------------------------


def ensure_fixture(engine: Engine, name: str, policy: str) -> FixtureImage:
    """The image of fixtures/<name>, built now when the folder or its base has changed.

    Its tag is the hash of both, so that an unchanged fixture costs two look-ups.
    """
    folder = paths.FIXTURES / name
    if not (folder / "Dockerfile").is_file():
        raise EnvironmentProblem(f"There is no {folder}/Dockerfile, so no image {name}.")
    dockerfile, parents = _resolve(engine, (folder / "Dockerfile").read_text(), policy)
    digest = cache.digest_of(cache.digest_of_files(folder), *(parent.digest for parent in parents))
    tag, name_there = f"{OWN_PREFIX}{name}:{digest}", f"{name}-{digest}"
    source: Source = "present"

    def make(work: Path) -> None:
        nonlocal source
        source = "built"
        _build_fixture(engine, name, tag, dockerfile, work)
        _archive_path(name_there).unlink(missing_ok=True)  # of a former image of this recipe

    prune.mark_used(tag)
    cache.image_once(engine, f"fixture-{name_there}", lambda: client.image_id(engine, tag), make)
    file = archive(engine, tag, name_there)
    note = "; ".join(dict.fromkeys(parent.note for parent in parents if parent.note))
    return FixtureImage(image_of(engine, tag, source, note), file)


def parent_images(dockerfile: str) -> list[str]:
    """The images that a Dockerfile starts from, without the stages that it names itself."""
    stages: set[str] = set()
    parents = []
    for _, image, rest in _FROM.findall(dockerfile):
        if image.lower() not in stages:
            parents.append(image)
        named = re.search(r"\bAS\s+(\S+)", rest, re.IGNORECASE)
        if named:
            stages.add(named[1].lower())
    return list(dict.fromkeys(parents))


def with_parents(dockerfile: str, names: Mapping[str, str]) -> str:
    """The Dockerfile with its FROM lines changed to the names under which the engine has them."""
    return _FROM.sub(lambda line: line[1] + names.get(line[2], line[2]) + line[3], dockerfile)


def _resolve(engine: Engine, dockerfile: str, policy: str) -> tuple[str, list[Image]]:
    found: dict[str, Image] = {}
    for reference in parent_images(dockerfile):
        if reference == BASE_IMAGE:
            found[reference] = ensure_base(engine, policy)
        elif reference.startswith(OWN_PREFIX):
            other = reference.removeprefix(OWN_PREFIX)
            found[reference] = ensure_fixture(engine, other, policy).image
        elif reference != "scratch":
            raise EnvironmentProblem(
                f"A fixture stands on {reference}; it must be {BASE_IMAGE}, {OWN_PREFIX}<fixture> "
                "or scratch, which every machine can have."
            )
    names = {reference: image.name for reference, image in found.items()}
    return with_parents(dockerfile, names), list(found.values())


def _build_fixture(engine: Engine, name: str, tag: str, dockerfile: str, work: Path) -> None:
    folder = paths.FIXTURES / name
    wanted = fetch.read_fetch_file(folder / fetch.FETCH_FILE)
    context = work / "context"
    ignore = shutil.ignore_patterns("__pycache__", fetch.FETCH_FILE)
    shutil.copytree(folder, context, symlinks=True, ignore=ignore)
    (context / "Dockerfile").write_text(dockerfile)
    fetch.fetch_into(context, wanted)
    with board.phase(f"Building the image {name}"):
        client.build(
            engine,
            context,
            tag,
            "--network=host",  # package mirrors may answer there and nowhere else
            *(f"--build-arg={name}={value}" for name, value in proxies(os.environ).items()),
            what=f"building the image {name}",
            log=cache.fresh_log(f"image-{name}"),
        )


def proxies(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The proxies of an environment, by their names in small letters."""
    found = {name: environment.get(name) or environment.get(name.upper()) for name in _PROXIES}
    return {name: value for name, value in found.items() if value}


def archive(engine: Engine, image: str, name: str) -> Path:
    """The engine's image in an archive for ``kind load image-archive``, saved now unless it was.

    name: of the archive; with a hash that tells this image from a former one.
    """
    path = _archive_path(name)
    prune.mark_used(path.name)
    return cache.once(
        path,
        f"archive-{name}",
        lambda file: _save(engine, image, file),
        folder=False,
    )


def _save(engine: Engine, image: str, file: Path) -> None:
    what = f"saving {image} to an archive"
    docker(engine, "save", "--output", file, image, what=what, timeout=600)


def _archive_path(name: str) -> Path:
    return paths.cache_dir() / "archives" / f"{name}.tar"


# -- common -----------------------------------------------------------------------------------


def must_be_buildable(name: str, failure: pull.PullFailure, policy: str) -> None:
    """Raise unless the failure is of a kind that leads to building, and the policy allows it."""
    said = failure.said
    if failure.kind in BUILT_AFTER:
        if policy == "auto":
            return
        raise Unobtainable(
            f"{name} could not be pulled: {said}; pull it by hand, or allow building it from "
            "packages (IMAGES=auto)."
        )
    raise refusal(name, failure, "build it (IMAGES=build)")


def refusal(name: str, failure: pull.PullFailure, instead: str) -> EnvironmentProblem:
    """What a registry refused, or failed at: nothing is built around it. instead: what else would
    do."""
    advice = (
        "log in to the registry, wait until its limit allows more, name a mirror (IMAGE_PREFIX, or "
        f"the engine's registry-mirrors), or {instead}"
        if failure.kind == "refused"
        else f"set right what it complains about, or {instead}"
    )
    return EnvironmentProblem(f"{name} could not be pulled: {failure.said}; {advice}.")


@contextmanager
def in_place_of(name: str, why: str) -> Iterator[None]:
    """Build an image that could not be pulled: a failure of the block names both reasons.

    why: what the failed pull said. Raises what the block raises, with the longer sentence.
    """
    try:
        yield
    except EnvironmentProblem as problem:
        raise type(problem)(f"{name} could not be pulled: {why}. {problem}") from problem


def image_of(engine: Engine, name: str, source: Source, note: str = "") -> Image:
    """An image that was just pulled or built, with its digest."""
    found = client.image_id(engine, name)
    if found is None:
        raise EnvironmentProblem(
            f"The engine has no image {name} although it was just made; what removes images here?"
        )
    return Image(name, found, source, note)

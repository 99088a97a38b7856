"""Images by their official names: present, pulled, or built here under the very same name.

Whoever uses one cannot tell the difference but by the label, and by what the report says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conformance.engine import client as image_docker
from conformance.engine.client import Engine
from conformance.images import cache as image_cache
from conformance.images import ensure as images
from conformance.images import prune as image_prune
from conformance.images.ensure import FixtureImage, Image
from conformance.images.pull import pull
from conformance.machine.paths import cache_dir
from conformance.machine.progress import board

RECIPE_LABEL = "io.sidecar-conformance.recipe"


def obtain(engine: Engine, reference: str, policy: str) -> Image | str:
    """The image as its makers publish it; or why one must be built in its place.

    policy: auto, pull or build. Raises Unobtainable or EnvironmentProblem as
    images.must_be_buildable does.
    """
    if policy == "build":
        return "IMAGES=build"
    have = image_docker.inspect(engine, reference)
    if have is not None and not image_docker.is_built(have):
        return images.image_of(engine, reference, "present")
    failure = pull(engine, reference)
    if failure is None:
        return images.image_of(engine, reference, "pulled")
    images.must_be_buildable(reference, failure, policy)
    return failure.said


def build(engine: Engine, reference: str, recipe: str, fill: Callable[[Path], None]) -> str:
    """The id of the image, built now unless the engine has it from this very recipe.

    recipe: the hash of all that it is made of. fill: puts the Dockerfile and what it wants into a
    folder that does not exist yet.
    """
    name = reference.rpartition("/")[2].replace(":", "-")
    with image_cache.locked(name):
        have = image_docker.inspect(engine, reference)
        if have is not None and image_docker.labels(have).get(RECIPE_LABEL) == recipe:
            return str(have["Id"])
        with (
            image_cache.scratch(name) as work,
            board.phase(f"Building the image {reference}"),
        ):
            fill(work / "context")
            labels = {
                image_docker.BUILT_LABEL: image_docker.BUILT_FROM_PACKAGES,
                RECIPE_LABEL: recipe,
            }
            image_docker.build(
                engine,
                work / "context",
                reference,
                "--network=host",  # package mirrors may answer there and nowhere else
                *(f"--label={key}={value}" for key, value in labels.items()),
                what=f"building the image {reference}",
                log=image_cache.fresh_log(name),
            )
        found = image_docker.image_id(engine, reference)
        assert found is not None
        return found


def archived(engine: Engine, image: Image, maker: str) -> FixtureImage:
    """The image with its archive for ``kind load image-archive``, which ``maker`` begins."""
    name = image.name.rpartition("/")[2].replace(":", "-")
    digest = image.digest.partition(":")[2][: image_cache.DIGITS]
    archive = cache_dir() / "archives" / f"{maker}-{name}-{digest}.tar"
    with image_cache.locked(f"archive-{archive.stem}"):
        if not archive.is_file():
            images.save(engine, image.name, archive)
    image_prune.mark_used(archive.name)
    return FixtureImage(image, archive)

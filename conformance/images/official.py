"""Images by their official names: present, pulled, or built here under the very same name.

Whoever uses one cannot tell the difference but by the label, and by what the report says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conformance.engine import client
from conformance.engine.client import Engine
from conformance.images import cache, ensure
from conformance.images.ensure import FixtureImage, Image
from conformance.images.pull import pull
from conformance.machine.progress import board

RECIPE_LABEL = "io.sidecar-conformance.recipe"


def obtain(engine: Engine, reference: str, policy: str) -> Image | str:
    """The image as its makers publish it; or why one must be built in its place.

    policy: auto, pull or build. Raises Unobtainable or EnvironmentProblem as
    ensure.must_be_buildable does.
    """
    if policy == "build":
        return "IMAGES=build"
    have = client.inspect(engine, reference)
    if have is not None and not client.is_built(have):
        return ensure.image_of(engine, reference, "present")
    failure = pull(engine, reference)
    if failure is None:
        return ensure.image_of(engine, reference, "pulled")
    ensure.must_be_buildable(reference, failure, policy)
    return failure.said


def build(engine: Engine, reference: str, recipe: str, fill: Callable[[Path], None]) -> str:
    """The id of the image, built now unless the engine has it from this very recipe.

    recipe: the hash of all that it is made of. fill: puts the Dockerfile and what it wants into a
    folder that does not exist yet.
    """
    name = reference.rpartition("/")[2].replace(":", "-")
    labels = {client.BUILT_LABEL: client.BUILT_FROM_PACKAGES, RECIPE_LABEL: recipe}

    def find() -> str | None:
        have = client.inspect(engine, reference)
        ours = have is not None and client.labels(have).get(RECIPE_LABEL) == recipe
        return str(have["Id"]) if have is not None and ours else None

    def make(folder: Path) -> None:
        with board.phase(f"Building the image {reference}"):
            fill(folder / "context")
            client.build(
                engine,
                folder / "context",
                reference,
                "--network=host",  # package mirrors may answer there and nowhere else
                *(f"--label={key}={value}" for key, value in labels.items()),
                what=f"building the image {reference}",
                log=cache.fresh_log(name),
            )

    return cache.image_once(engine, name, find, make)


def archived(engine: Engine, image: Image, maker: str) -> FixtureImage:
    """The image with its archive for ``kind load image-archive``, which ``maker`` begins."""
    name = image.name.rpartition("/")[2].replace(":", "-")
    digest = image.digest.partition(":")[2][: cache.DIGITS]
    return FixtureImage(image, ensure.archive(engine, image.name, f"{maker}-{name}-{digest}"))

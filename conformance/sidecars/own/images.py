"""The images that a file of the user's names: the engine has them, or pulls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.errors import EnvironmentProblem, Unobtainable

if TYPE_CHECKING:
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage


def obtain(engine: Engine, reference: str, sidecar: str) -> FixtureImage:
    """An image as an archive for the nodes. Raises Unobtainable when it cannot be had."""
    from conformance.engine import client
    from conformance.images import ensure
    from conformance.images import official as image_official

    if client.inspect(engine, reference) is not None:  # as the user has it, built by whomever
        return image_official.archived(engine, ensure.image_of(engine, reference, "present"), "own")
    try:
        found = image_official.obtain(engine, reference, "auto")
    except Unobtainable:
        raise
    except EnvironmentProblem as problem:
        raise EnvironmentProblem(f"The image of {sidecar} cannot be had: {problem}") from None
    if isinstance(found, str):
        raise Unobtainable(
            f"{reference}, which {sidecar} needs, is not in the engine and could not be pulled: "
            f"{found}; pull it by hand, or load it into the engine."
        )
    return image_official.archived(engine, found, "own")

"""The few things that images need of a Docker engine, through its client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from conformance.errors import EnvironmentProblem
from conformance.machine import process

BUILT_LABEL = "io.sidecar-conformance.built"
"""Carried by every image that this suite built from packages, in place of one it could not pull."""

BUILT_FROM_PACKAGES = "packages"


class Engine(Protocol):
    """A Docker engine that answers: its client, and the environment that leads there."""

    @property
    def docker(self) -> Path: ...

    @property
    def env(self) -> Mapping[str, str]: ...


def docker(
    engine: Engine,
    *arguments: str | Path,
    what: str,
    log: Path | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run the client and return what it prints ("" with a log); ``what`` as in process.run.

    env: on top of the engine's. timeout: seconds.
    """
    return process.run(
        [engine.docker, *arguments],
        what=what,
        log=log,
        env={**engine.env, **(env or {})},
        timeout=timeout,
    )


BUILD_ENV = {
    # The engine's own builder: another one does not see local images.
    "BUILDX_BUILDER": "default",
    # With an attestation beside it, an image is an index, which kind cannot load from an archive.
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
}


def build(engine: Engine, context: Path, tag: str, *options: str, what: str, log: Path) -> None:
    """Build a Dockerfile with whichever builder the engine's environment asks for."""
    docker(
        engine,
        "build",
        *options,
        "--tag",
        tag,
        context,
        what=what,
        log=log,
        timeout=1800,
        env=BUILD_ENV,
    )


def inspect(engine: Engine, reference: str) -> Mapping[str, Any] | None:
    """What the engine knows about a local image; None when it has none of that name."""
    try:
        said = docker(engine, "image", "inspect", reference, what=f"looking for {reference}")
    except EnvironmentProblem as problem:
        if "no such image" in str(problem).lower():
            return None
        raise
    found: Mapping[str, Any] = json.loads(said)[0]
    return found


def image_id(engine: Engine, reference: str) -> str | None:
    """The id (``sha256:…``) of a local image, None when there is none of that name."""
    found = inspect(engine, reference)
    return None if found is None else str(found["Id"])


def labels(image: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of an image as ``inspect`` returned it."""
    return dict((image.get("Config") or {}).get("Labels") or {})


def is_built(image: Mapping[str, Any]) -> bool:
    """Whether this suite built the image from packages."""
    return labels(image).get(BUILT_LABEL) == BUILT_FROM_PACKAGES

"""The Docker client: every question to an engine and every order goes through here."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from conformance.errors import EnvironmentProblem
from conformance.machine import process

BUILT_LABEL = "io.sidecar-conformance.built"
"""Carried by every image that this suite built from packages, in place of one it could not pull."""

BUILT_FROM_PACKAGES = "packages"

CLUSTER_LABEL = "io.x-k8s.kind.cluster"
"""On every node container that kind makes; its value is the cluster's name."""


class Engine(Protocol):
    """A Docker engine that answers: its client, and the environment that leads there."""

    @property
    def docker(self) -> Path: ...

    @property
    def env(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Client:
    """An engine by what leads there and no more (see Engine)."""

    docker: Path
    env: Mapping[str, str] = field(default_factory=dict)


def at(host: str = "") -> Client:
    """The client on PATH, for the engine that listens at ``host`` (DOCKER_HOST; default: that of
    the environment). Raises EnvironmentProblem when there is no client."""
    path = shutil.which("docker")
    if path is None:
        raise EnvironmentProblem(
            "The docker client is not on PATH; install it (Debian: docker.io or docker-cli)."
        )
    return Client(Path(path), {"DOCKER_HOST": host} if host else {})


def docker(
    engine: Engine,
    *arguments: str | Path,
    what: str = "",
    log: Path | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run the client and return what it prints ("" with a log).

    what: as in process.run (default: the command's first two words). env: on top of the engine's.
    timeout: seconds. Raises EnvironmentProblem.
    """
    return process.run(
        [engine.docker, *arguments],
        what=what or f"docker {' '.join(map(str, arguments[:2]))}",
        log=log,
        env={**engine.env, **(env or {})},
        timeout=timeout,
    )


def start(
    engine: Engine,
    *arguments: str | Path,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start the client as a child of this run (see process.start) and do not wait for its end."""
    return process.start([engine.docker, *arguments], env=engine.env, stdout=stdout, stderr=stderr)


def in_node(
    engine: Engine, node: str, *command: str | Path, what: str = "", timeout: float = 120
) -> str:
    """Run a command in a node's container; its output. Raises EnvironmentProblem.

    what: as in process.run (default: the command's first two words, and the node).
    """
    what = what or f"{' '.join(map(str, command[:2]))} in node {node}"
    return docker(engine, "exec", node, *command, what=what, timeout=timeout)


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

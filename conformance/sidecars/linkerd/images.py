"""Linkerd's images and its CLI, by their official names: present in the engine, or pulled.

Nothing is built in their place: a proxy in Rust with patched dependencies is not to be had as
packages. Which images there are is read from what the CLI of the release would install.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from conformance.engine import client as image_docker
from conformance.engine.client import Engine, docker
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import cache as image_cache
from conformance.images import ensure as images
from conformance.images import official as image_official
from conformance.images.ensure import FixtureImage
from conformance.images.pull import PullFailure, pull
from conformance.images.tools import released_on_path
from conformance.machine import process
from conformance.machine.paths import cache_dir
from conformance.sidecars.linkerd.release import VARIABLE, Release

HUB = "cr.l5d.io/linkerd"
MAKER = "linkerd"
# In the image of the CLI: "/out/linkerd-linux-amd64" to 2025, "/linkerd2-cli-<tag>-linux-amd64"
# since (linkerd2, cli/Dockerfile).
_CLI = re.compile(r"(?:\./)?(?:out/)?linkerd(?:2-cli-\S+)?-linux-(\w+)")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_IMAGE = re.compile(rf"\bimage: [\"']?({re.escape(HUB)}/[\w-]+:[\w.-]+)")


def ensure(engine: Engine, release: Release, policy: str) -> Mapping[str, FixtureImage]:
    """The images of the control plane and the sidecar, ready to be loaded, and the CLI.

    policy: auto, pull or build. Raises Unobtainable when the engine neither has nor gets them.
    """
    if policy == "build":
        raise Unobtainable(
            "Linkerd's images cannot be built from packages; leave IMAGES=build out, and let the "
            f"engine pull {HUB}/…:{release.tag}, or load them into it."
        )
    _fetch_cli(engine, release.tag)
    found = {}
    for reference in references(release):
        source: images.Source = "present"
        if image_docker.inspect(engine, reference) is None:
            failure = pull(engine, reference)
            if failure is not None:
                raise _unobtainable(reference, failure)
            source = "pulled"
        image = images.image_of(engine, reference, source)
        found[reference] = image_official.archived(engine, image, MAKER)
    return found


def references(release: Release) -> list[str]:
    """The images that the release's own CLI would have a cluster use. Raises EnvironmentProblem."""
    manifests = process.run(
        [cli(release.tag), "install", "--ignore-cluster"],
        what=f"asking linkerd {release.tag} what it would install",
        timeout=60,
    )
    found = read_references(manifests)
    lacking = [name for name in release.images if f"{HUB}/{name}" not in _names(found)]
    if lacking:
        raise EnvironmentProblem(
            f"What linkerd {release.tag} would install names no image {', '.join(lacking)} of "
            f"{HUB}: {', '.join(found) or 'none at all'}."
        )
    return found


def published(release: Release) -> list[str]:
    """The images that are known by the release's tag: without proxy-init, whose tag the CLI knows
    (see ``references``)."""
    names = [name for name in release.images if name != "proxy-init"]
    return [f"{HUB}/{name}:{release.tag}" for name in ("cli-bin", *names)]


def read_references(manifests: str) -> list[str]:
    """Linkerd's own images in the output of ``linkerd install``, without duplicates."""
    return list(dict.fromkeys(_IMAGE.findall(manifests)))


def cli(tag: str) -> Path:
    """The CLI of this very release, after ``ensure``."""
    return _cli_on_path(tag) or _kept_cli(tag)


def _names(found: list[str]) -> list[str]:
    return [reference.rpartition(":")[0] for reference in found]


def _unobtainable(reference: str, failure: PullFailure) -> Exception:
    if failure.kind in images.BUILT_AFTER:
        return Unobtainable(
            f"{reference} could not be pulled: {failure.said}; load it into the engine (docker "
            f"load), or choose another release ({VARIABLE})."
        )
    return images.refusal(reference, failure, "load the image into the engine (docker load)")


def _fetch_cli(engine: Engine, tag: str) -> None:
    """Have the CLI of the release: the user's own, or the one of its official image."""
    if _cli_on_path(tag) is not None or _kept_cli(tag).is_file():
        return
    if sys.platform != "linux":
        raise Unobtainable(
            f"There is no linkerd {tag} on PATH, and the one of its image runs on Linux only; put "
            f"the CLI of {tag} on PATH."
        )
    reference = f"{HUB}/cli-bin:{tag}"
    if image_docker.inspect(engine, reference) is None:
        failure = pull(engine, reference)
        if failure is not None:
            raise _unobtainable(reference, failure)
    name = f"linkerd-{tag}"
    with image_cache.locked(name), image_cache.scratch(name) as work:
        what = f"taking the CLI out of {reference}"
        # The image has no command, and one must be named; it is never run.
        container = docker(engine, "create", reference, "none", what=what).strip()
        try:
            docker(engine, "export", "--output", work / "image.tar", container, what=what)
        finally:
            docker(engine, "rm", "-f", container, what=what)
        _take_out(work / "image.tar", work / "linkerd", reference)
        place = _kept_cli(tag)
        place.parent.mkdir(parents=True, exist_ok=True)
        (work / "linkerd").replace(place)


def _take_out(archive: Path, target: Path, reference: str) -> None:
    """The CLI for this machine from an exported image. Raises EnvironmentProblem."""
    machine = _MACHINES.get(os.uname().machine, os.uname().machine)
    with tarfile.open(archive) as files:
        for member in files:
            found = _CLI.fullmatch(member.name)
            source = files.extractfile(member) if found and found[1] == machine else None
            if source is not None:
                with target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                target.chmod(0o755)
                return
    raise EnvironmentProblem(
        f"{reference} holds no CLI for linux-{machine}; put linkerd of that release on PATH."
    )


def _kept_cli(tag: str) -> Path:
    return cache_dir() / "tools" / f"linkerd-{tag}" / "linkerd"


def _cli_on_path(tag: str) -> Path | None:
    return released_on_path("linkerd", tag, ["version", "--client", "--short"])

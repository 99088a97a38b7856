"""The observer's file system: exported from its image once, mounted read-only on every node.

A kind node has neither Python nor tcpdump; with this mounted it needs neither.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from conformance.engine.client import Engine, docker
from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.machine.paths import cache_dir


def export(engine: Engine, image: str, digest: str) -> Path:
    """The folder that holds the image's file system, made if it is not in the cache yet.

    digest: names the image's content ("sha256:…"); the same digest is never exported twice.
    Several processes may call this at once. Raises EnvironmentProblem.
    """
    name = digest.removeprefix("sha256:")
    return cache.once(
        cache_dir() / "rootfs" / name, f"rootfs-{name}", lambda tree: _export(engine, image, tree)
    )


def _export(engine: Engine, image: str, tree: Path) -> None:
    what = f"exporting the file system of {image}"
    archive = tree.with_suffix(".tar")
    container = docker(engine, "create", image, "true", what=what).strip()
    try:
        docker(engine, "export", "-o", archive, container, what=what)
    finally:
        docker(engine, "rm", "-f", container, what=f"removing {container[:12]}")
    try:
        with tarfile.open(archive) as tar:
            tar.extraction_filter = lambda member, _: member  # they are ours
            tar.extractall(tree, members=_plain(tar))
    except (OSError, tarfile.TarError) as error:
        raise EnvironmentProblem(
            f"{what} failed: {error}; make room in {cache_dir()}, or remove it."
        ) from error


def _plain(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Files, folders and links, owned by whoever extracts them, with no rights to become root."""
    for member in tar:
        if member.name.startswith(("dev/", "proc/", "sys/")) or ".." in member.name.split("/"):
            continue
        if member.isfile() or member.isdir() or member.issym() or member.islnk():
            member.uid, member.gid = os.getuid(), os.getgid()
            member.uname = member.gname = ""
            member.mode = (member.mode & 0o755) | 0o444 | (0o700 if member.isdir() else 0)
            yield member

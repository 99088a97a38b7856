"""The observer's file system: exported from its image once, mounted read-only on every node.

A kind node has neither Python nor tcpdump; with this mounted it needs neither.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock

from conformance.errors import EnvironmentProblem
from conformance.machine import process
from conformance.machine.paths import cache_dir


def export(engine_docker: Path, engine_env: Mapping[str, str], image: str, digest: str) -> Path:
    """The folder that holds the image's file system, made if it is not in the cache yet.

    digest: names the image's content ("sha256:…"); the same digest is never exported twice.
    Several processes may call this at once. Raises EnvironmentProblem.
    """
    home = cache_dir() / "rootfs"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / digest.removeprefix("sha256:")
    with FileLock(home / f"{folder.name}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".making-", dir=home) as making:
                tree = Path(making) / "tree"
                _export(engine_docker, engine_env, image, tree)
                tree.rename(folder)
    return folder


def _export(docker: Path, env: Mapping[str, str], image: str, tree: Path) -> None:
    what = f"exporting the file system of {image}"
    archive = tree.with_suffix(".tar")
    container = process.run([docker, "create", image, "true"], what=what, env=env).strip()
    try:
        process.run([docker, "export", "-o", archive, container], what=what, env=env)
    finally:
        process.run([docker, "rm", "-f", container], what=f"removing {container[:12]}", env=env)
    try:
        with tarfile.open(archive) as tar:
            tar.extraction_filter = lambda member, _: member  # they are ours
            tar.extractall(tree, members=_plain(tar))
    except (OSError, tarfile.TarError) as error:
        shutil.rmtree(tree, ignore_errors=True)
        raise EnvironmentProblem(
            f"{what} failed: {error}; make room in {tree.parent.parent}, or remove it."
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

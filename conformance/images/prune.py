"""Gives the disk back that older recipes hold: images, archives, components nobody uses any more.

Whatever a run uses is marked with the time; what was not used for a while, and is not the newest of
its kind in use, goes when something new has just been built. Nothing recent is touched, so that
another checkout or a run beside this one keeps what it works with.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from conformance.engine.client import Engine, docker
from conformance.errors import EnvironmentProblem
from conformance.machine import paths

UNUSED_FOR = 3 * 24 * 3600.0
"""Seconds. Recipes change by the commit; a long week-end should not cost a compile."""

ARCHIVE_UNUSED_FOR = 6 * 3600.0
"""Seconds, longer than any run. An archive is a copy of an image, saved again within seconds."""

OWN_IMAGES = "sidecar-conformance/*"


def mark_used(what: str) -> None:
    """Note that an image, an archive or a component was used just now."""
    mark = _mark(what)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def prune(engine: Engine) -> None:
    """Remove what was not used for days (archives: hours). Failures are left to the next time."""
    cache = paths.cache_dir()
    for folder, limit in (("components", UNUSED_FOR), ("archives", ARCHIVE_UNUSED_FOR)):
        for path in _children(cache / folder):
            if not _recent(_made(path), limit) and not _recently_used(path.name, limit):
                _remove(path)
    # What killed runs left, and marks of what is long gone.
    for path in _children(cache / "scratch") + _children(cache / "uses"):
        if not _recent(_made(path)):
            _remove(path)
    with suppress(EnvironmentProblem):
        for image, made in _images(engine):
            if not _recent(made) and not _recently_used(image):
                with suppress(EnvironmentProblem):  # a container stands on it: so it is in use
                    docker(engine, "rmi", image, what=f"removing {image}")


def _images(engine: Engine) -> Iterator[tuple[str, float]]:
    """The suite's own images with the time (s since 1970) at which they were made."""
    form = "{{.Repository}}:{{.Tag}}\t{{.CreatedAt}}"
    listed = docker(
        engine,
        *("image", "ls", "--filter", f"reference={OWN_IMAGES}", "--format", form),
        what="listing the suite's images",
    )
    for line in listed.splitlines():
        image, _, created = line.partition("\t")
        yield image, parse_created(created)


def parse_created(text: str) -> float:
    """Seconds since 1970 of "2026-11-22 18:24:33 +0000 UTC"; now when it says something else."""
    found = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})", text)
    if found is None:
        return time.time()  # unknown: then it is not old
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S %z").timestamp()


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _recently_used(what: str, limit: float = UNUSED_FOR) -> bool:
    return _recent(_made(_mark(what)), limit)


def _recent(moment: float, limit: float = UNUSED_FOR) -> bool:
    return time.time() - moment < limit


def _made(path: Path) -> float:
    """When a file was written (s since 1970); 0 when it is not there, or no more."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _mark(what: str) -> Path:
    return paths.cache_dir() / "uses" / re.sub(r"[^\w.-]", "_", what)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()

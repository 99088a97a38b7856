"""Folders of one process's life, in the cache: gone with it, or with the next one after a SIGKILL.

A folder's owner holds the lock beside it, so that nobody has to guess who is alive.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.machine import locks
from conformance.machine.paths import cache_dir


@contextmanager
def folder(kind: str) -> Iterator[Path]:
    """An empty folder for as long as the block lasts: <cache>/<kind>/<pid>-….

    What processes that are dead left of that kind is removed first.
    """
    place = cache_dir() / kind
    for left in place.glob("*.lock"):
        _sweep(left)
    own = place / f"{os.getpid()}-{secrets.token_hex(4)}"
    with locks.exclusive(own.with_suffix(".lock")) as held:
        own.mkdir()
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
            held.path.unlink(missing_ok=True)


def _sweep(lock: Path) -> None:
    free = locks.try_exclusive(lock)
    if free is not None:
        with free:
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)

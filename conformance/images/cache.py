"""Things that cost minutes are made once: named by the hash of their recipe, kept in the cache.

A thing is built in a temporary folder beside its place, under a lock of its own, and renamed when
it is whole: two runs never build the same thing twice at once, and an interrupted build leaves
nothing that could be taken for a result.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from conformance.errors import EnvironmentProblem
from conformance.images import prune as image_prune
from conformance.machine import locks, paths, process
from conformance.machine.progress import board

LONGEST_BUILD = 3600.0
"""Seconds. A minor takes some 7 min on 2 cores, and several may wait for their turn."""

DIGITS = 12  # of a hash, in names: 48 bits tell a few hundred recipes apart


def digest_of(*parts: str | bytes) -> str:
    """A short hash of the parts and of where one ends and the next begins."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()[:DIGITS]


def digest_of_files(root: Path, *, skip: Iterable[str] = ()) -> str:
    """A short hash of a file, or of a folder: names, contents, what is executable, link targets.

    skip: top-level names in the folder that do not count.
    """
    if root.is_file():
        return digest_of(root.read_bytes())
    ignored = {"__pycache__", ".pytest_cache", *skip}
    parts: list[str | bytes] = []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if inside.parts[0] in ignored or "__pycache__" in inside.parts:
            continue
        if path.is_symlink():
            parts += [str(inside), "link", str(path.readlink())]
        elif path.is_file():
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            parts += [str(inside), mode, path.read_bytes()]
    return digest_of(*parts)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the machine-wide lock of one thing in the cache.

    Waits while another run makes the same thing; EnvironmentProblem when that takes over an hour,
    or when this run is stopped meanwhile.
    """
    path = paths.cache_dir() / "locks" / f"{name}.lock"
    held = locks.try_exclusive(path)
    if held is None:
        with board.phase(f"Waiting for somebody else's work on {name}"):
            held = _wait_for(path, name)
    with held:
        yield


@contextmanager
def locked_now(name: str) -> Iterator[bool]:
    """Hold the lock if nobody else does (True), or do not wait for it (False)."""
    held = locks.try_exclusive(paths.cache_dir() / "locks" / f"{name}.lock")
    if held is None:
        yield False
        return
    with held:
        yield True


def _wait_for(path: Path, name: str) -> locks.Lock:
    def pause(seconds: float) -> None:
        # A child, and not a sleep of this thread: it ends when the run is stopped.
        process.run(["sleep", str(seconds)], what=f"waiting for {name}")

    waiting = Retrying(
        retry=retry_if_result(lambda held: held is None),
        wait=wait_fixed(0.5),
        stop=stop_after_delay(LONGEST_BUILD),
        sleep=pause,
    )
    try:
        held = waiting(locks.try_exclusive, path)
    except RetryError as error:
        raise EnvironmentProblem(
            f"Another run has held {path} for over {LONGEST_BUILD / 60:.0f} min; see what it does, "
            "end it, and run again."
        ) from error
    assert held is not None
    return held


def log_path(name: str) -> Path:
    """Where the whole output of making a thing is kept."""
    return paths.cache_dir() / "logs" / f"{name}.log"


def fresh_log(name: str) -> Path:
    """An empty log for a new attempt at making a thing."""
    log = log_path(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    return log


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """An empty folder on the cache's own disk, gone afterwards. Call it under the thing's lock.

    Every call has a folder of its own: a child of a run that was killed may still write into the
    former one. That is removed here too; who holds the lock is the only one who makes the thing.
    """
    place = paths.cache_dir() / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(f"{name}~*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}~", dir=place))
    folder.chmod(0o755)  # containers with other users look in here
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kept(name: str, build: Callable[[Path], None]) -> Path:
    """The folder of a finished thing, built now when the cache does not have it.

    name: with the hash of the recipe. build: fills the (existing, empty) folder that it is given.
    """
    place = paths.cache_dir() / "components" / name
    image_prune.mark_used(name)
    if place.is_dir():
        return place
    with locked(name):
        if place.is_dir():
            return place
        with scratch(name) as folder:
            result = folder / "result"
            result.mkdir()
            build(result)
            place.parent.mkdir(parents=True, exist_ok=True)
            result.rename(place)
    return place


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file there without a second copy on disk, where the file system allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

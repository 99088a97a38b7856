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

from conformance.engine.client import Engine
from conformance.errors import EnvironmentProblem
from conformance.images import prune
from conformance.machine import locks, paths, process, waiting
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

    try:
        return waiting.until(
            name,
            lambda: locks.try_exclusive(path),
            seconds=LONGEST_BUILD,
            every=0.5,
            sleep=pause,
        )
    except waiting.NotInTime as error:
        raise EnvironmentProblem(
            f"Another run has held {path} for over {LONGEST_BUILD / 60:.0f} min; see what it does, "
            "end it, and run again."
        ) from error


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


def once(place: Path, name: str, make: Callable[[Path], None], *, folder: bool = True) -> Path:
    """A finished folder or file in the cache, made now when it is not there.

    place: where it stays, below the cache's own folder. name: of its lock and scratch. make: makes
    it at the path that it is given, beside which it may leave what it likes; a folder is there
    already, and empty.
    """
    if place.exists():
        return place
    with locked(name):
        if not place.exists():  # another run may have made it while this one waited
            with scratch(name) as beside:
                result = beside / "result"
                if folder:
                    result.mkdir()
                make(result)
                place.parent.mkdir(parents=True, exist_ok=True)
                result.rename(place)
    return place


def component(name: str, build: Callable[[Path], None]) -> Path:
    """The folder of a part of images, built now when the cache does not have it.

    name: with the hash of the recipe. build: fills the folder that it is given.
    """
    prune.mark_used(name)
    return once(paths.cache_dir() / "components" / name, name, build)


def image_once(
    engine: Engine, name: str, find: Callable[[], str | None], make: Callable[[Path], None]
) -> str:
    """What ``find`` finds on the engine, made now when it finds nothing.

    The engine is the cache: a second copy in a folder would only cost disk. name: of the lock and
    the scratch folder. make: makes the image; it is given an empty folder to work in. Everything
    old is pruned after something new was made.
    """
    found = find()
    if found is not None:
        return found
    with locked(name):
        found = find()
        if found is None:
            with scratch(name) as folder:
                make(folder)
            found = find()
            prune.prune(engine)
    if found is None:
        raise EnvironmentProblem(
            f"The engine has no {name} although it was just made; what removes images here?"
        )
    return found


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file there without a second copy on disk, where the file system allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

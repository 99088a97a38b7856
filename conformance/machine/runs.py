"""Runs: their names, their folders, and what a dead one left behind.

A run is alive while its controlling process holds the lock on its file; nothing else is trusted
(a pid may have been given to someone else). Beside the lock lies a record of what the run made,
so that the next run can remove it after a SIGKILL. A kept run's clusters are nobody's but the
user's: they are listed, and removed only when asked.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from conformance.errors import EnvironmentProblem, Problem
from conformance.machine import locks
from conformance.machine.interrupts import Interrupts, cleaning_up, interrupts, shielded
from conformance.machine.paths import cache_dir, expanded, results_dir
from conformance.machine.progress import board

__all__ = [
    "Interrupts",
    "Record",
    "Run",
    "alive",
    "cleaning_up",
    "interrupts",
    "kept",
    "shielded",
    "start",
    "sweep",
]


@dataclass(frozen=True)
class Record:
    """What is known about a run from outside it.

    host: the engine (DOCKER_HOST) that its clusters run on. clusters: names of kind clusters that
    may exist. results: its folder. keep: the user wants the clusters to stay.
    """

    id: str
    pid: int
    host: str
    results: str
    keep: bool = False
    clusters: tuple[str, ...] = ()

    @property
    def network(self) -> str:
        """The docker network of the run's clusters."""
        return f"sc-{short(self.id)}"


@dataclass(frozen=True)
class Run:
    """A live run. Its id sorts by time; ``short`` is what names of its clusters begin with."""

    id: str
    results: Path
    host: str
    keep: bool
    _clusters: list[str] = field(default_factory=list, repr=False, compare=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def short(self) -> str:
        """The part of the id that goes into names on the engine."""
        return short(self.id)

    @property
    def network(self) -> str:
        """The docker network of this run's clusters alone."""
        return self.record.network

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of clusters that may exist."""
        with self._guard:
            return tuple(self._clusters)

    @property
    def record(self) -> Record:
        """What another process may know."""
        return Record(self.id, os.getpid(), self.host, str(self.results), self.keep, self.clusters)

    def cluster_name(self, minor: str) -> str:
        """The kind cluster for a minor (``sc-174501-ab12-1-33``)."""
        return f"sc-{self.short}-{minor.replace('.', '-')}"

    def register(self, cluster: str) -> None:
        """Note that a cluster may exist from now on. Call it before the cluster is made."""
        with self._guard:
            if cluster not in self._clusters:
                self._clusters.append(cluster)
        _write(self.record)

    def unregister(self, cluster: str) -> None:
        """Note that a cluster is gone for certain."""
        with self._guard:
            if cluster in self._clusters:
                self._clusters.remove(cluster)
        _write(self.record)


@contextmanager
def start(
    results: Path | None = None,
    *,
    host: str = "",
    keep: bool = False,
    worth: Callable[[Path], bool] = lambda _: True,
) -> Iterator[Run]:
    """A new run, alive until the block ends.

    results: the folder that gets a folder for each run, and ``latest``. worth: whether ``latest``
    is to be this run, asked at its end with its folder. At the end the record goes, unless clusters
    are still registered: then they are kept, or swept by the next run.
    Raises EnvironmentProblem when the folders cannot be made.
    """
    root = expanded(results or results_dir()).resolve()
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    run = Run(run_id, root / run_id, host, keep)
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        # What is inside is written by many users in containers, so its own folders are open; nobody
        # else of this machine comes past this one. A node's root does, as the engine's.
        run.results.mkdir(mode=0o700)
        lock = locks.exclusive(_folder() / f"{run_id}.lock")
    except OSError as error:
        raise EnvironmentProblem(
            f"The run's folder could not be made: {error}; name another one with --results, or "
            "another cache with SIDECAR_CONFORMANCE_CACHE."
        ) from error
    with lock:
        _write(run.record)
        try:
            yield run
        finally:
            if worth(run.results):
                _point_latest(root, run_id)
            give_back(run.results, root / "latest", *([root] if made else []))
            if not run.clusters:
                _forget(run.id)


def kept() -> list[Record]:
    """Ended runs whose clusters were kept, oldest first."""
    return [record for record in _records() if record.keep and record.clusters and _ended(record)]


def alive() -> list[Record]:
    """Runs whose controlling process lives, oldest first."""
    return [record for record in _records() if not _ended(record)]


def sweep(delete: Callable[[Record], None], *, kept_too: bool = False) -> list[str]:
    """Remove what dead runs left: their clusters and networks, then their records.

    delete: removes everything on the engine that a record names (cluster/deletion: delete_all).
    kept_too: kept clusters as well. Returns the ids of the runs that were swept. A run whose
    remains could not be removed (its engine is down, say) keeps its record; a line says so.
    """
    swept = []
    for record in _records():
        if record.keep and record.clusters and not kept_too:
            continue
        lock = locks.try_exclusive(_folder() / f"{record.id}.lock")
        if lock is None:
            continue  # alive, or being swept by another run
        with lock, shielded():
            now = _read(_folder() / f"{record.id}.json")
            if now is None:
                _forget(record.id)  # another run was faster
                continue
            try:
                if now.clusters:
                    delete(now)
                    board.say(f"Removed what {_named(now)} left: {', '.join(now.clusters)}.")
            except Problem as problem:
                board.say(f"What {_named(now)} left could not be removed: {problem}")
                continue
            _forget(now.id)
            swept.append(now.id)
    return swept


def give_back(folder: Path, *others: Path) -> None:
    """Under sudo: hand the folder, everything in it, and the others back to who called sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not uid.isdigit() or not gid.isdigit():
        return
    for place in (folder, *folder.rglob("*"), *others):
        with suppress(FileNotFoundError):
            os.chown(place, int(uid), int(gid), follow_symlinks=False)


def short(run_id: str) -> str:
    """The id without its date: enough to tell runs apart on one engine."""
    return run_id.partition("-")[2]


def _named(record: Record) -> str:
    return f"run {record.id} ({'kept' if record.keep else 'killed'})"


def _point_latest(root: Path, run_id: str) -> None:
    """``latest`` → this run; replaced in one step, so that it always names one."""
    fresh = root / f".latest-{run_id}"
    try:
        fresh.symlink_to(run_id)
        fresh.replace(root / "latest")
    except OSError as error:
        board.say(f"{root / 'latest'} could not be set: {error}.")
        fresh.unlink(missing_ok=True)


def _folder() -> Path:
    return cache_dir() / "runs"


def _records() -> list[Record]:
    found = (_read(file) for file in sorted(_folder().glob("*.json")))
    return [record for record in found if record is not None]


def _read(file: Path) -> Record | None:
    try:
        data = json.loads(file.read_text())
        return replace(Record(**data), clusters=tuple(data["clusters"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(record: Record) -> None:
    file = _folder() / f"{record.id}.json"
    fresh = file.with_name(f".{file.name}.{threading.get_ident()}")
    fresh.write_text(json.dumps(asdict(record), indent=2))
    fresh.replace(file)


def _forget(run_id: str) -> None:
    """Remove a run's record and lock file; the caller holds the lock."""
    (_folder() / f"{run_id}.json").unlink(missing_ok=True)
    (_folder() / f"{run_id}.lock").unlink(missing_ok=True)


def _ended(record: Record) -> bool:
    lock = locks.try_exclusive(_folder() / f"{record.id}.lock")
    if lock is None:
        return False
    if not (_folder() / f"{record.id}.json").exists():
        lock.path.unlink(missing_ok=True)
    lock.release()
    return True

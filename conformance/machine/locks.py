"""Locks between processes: held by an open file, so that the kernel frees them with the process.

flock and not a pid in a file: after SIGKILL nothing has to be guessed. A shared lock counts users.
This is the suite's only lock: the filelock package has exclusive ones alone, and its file locks
need the same care with a file that its owner removes.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class Lock:
    """A held lock; a context manager that releases it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)  # the lock goes with its only descriptor
            self._fd = None

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def exclusive(path: Path) -> Lock:
    """Wait for the only lock on ``path`` (created when absent)."""
    return _acquire(path, fcntl.LOCK_EX)


def shared(path: Path) -> Lock:
    """Wait until nobody holds ``path`` exclusively, then hold it beside others."""
    return _acquire(path, fcntl.LOCK_SH)


def try_exclusive(path: Path) -> Lock | None:
    """The only lock on ``path``, or None when anybody holds it."""
    try:
        return _acquire(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _acquire(path: Path, how: int) -> Lock:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, how)
            if _is_still(path, fd):
                return Lock(path, fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its owner removed the file meanwhile; lock the one that is there now


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False

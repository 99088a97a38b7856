"""Child processes: started in one place, logged, and ended with the run.

Every child gets its own session, so that Ctrl-C reaches this process alone and the run ends its
children itself, in order. ``stop_all`` ends whatever still runs; nothing else is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from conformance.errors import EnvironmentProblem

_children: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopping = threading.Event()


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: IO[bytes] | int | None = subprocess.DEVNULL,
    stderr: IO[bytes] | int | None = subprocess.DEVNULL,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own and remember it. ``env`` adds to this process's.

    Raises EnvironmentProblem when the program is missing or the run is being stopped.
    """
    argv = [str(part) for part in command]
    try:
        with _lock:
            if _stopping.is_set():
                raise EnvironmentProblem(f"{argv[0]} was not started: the run is being stopped.")
            child = subprocess.Popen(
                argv,
                env={**os.environ, **env} if env else None,
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            _children.add(child)
    except FileNotFoundError as error:
        raise EnvironmentProblem(
            f"{argv[0]} could not be started: no such program; install it or put it on PATH."
        ) from error
    return child


def finish(child: subprocess.Popen[bytes], *, timeout: float | None = None) -> int:
    """Wait for a child from ``start``; its exit code. Raises subprocess.TimeoutExpired."""
    code = child.wait(timeout)
    with _lock:
        _children.discard(child)
    return code


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
) -> str:
    """Run a command to its end and return its standard output.

    what: completes the sentence "… failed" for the user, for example "building the node image".
    log: standard output and error are appended there as well (then nothing is returned but "").
    timeout: seconds.
    Raises EnvironmentProblem, with the last lines of what the command said.
    """
    argv = [str(part) for part in command]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            sink.write(f"$ {shlex.join(argv)}\n".encode())
            sink.flush()
            child = start(argv, env=env, cwd=cwd, stdin=stdin, stdout=sink, stderr=sink)
            out, err = b"", b""
            code = _wait(child, timeout)
    else:
        child = start(
            argv, env=env, cwd=cwd, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = child.communicate(timeout=timeout)
            code = finish(child)
        except subprocess.TimeoutExpired:
            stop(child)
            out, err = child.communicate()
            code = None
    if code == 0:
        return out.decode(errors="replace")
    seen = _tail(log) if log is not None else (err or out).decode(errors="replace")
    said = " / ".join(seen.strip().splitlines()[-4:]) or "nothing"
    how = f"exit code {code}" if code is not None else f"no end within {timeout:.0f} s"
    where = f"; the whole log is {log}" if log is not None else ""
    raise EnvironmentProblem(f"{what} failed: {Path(argv[0]).name} gave {how}: {said}{where}")


def stop(child: subprocess.Popen[bytes], *, sig: int = signal.SIGTERM, grace: float = 5) -> None:
    """End a child and its group: ``sig``, then SIGKILL after ``grace`` seconds."""
    for signum, patience in ((sig, grace), (signal.SIGKILL, grace)):
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience)
    with _lock:
        _children.discard(child)


def stop_all() -> None:
    """End every child that still runs, and start no more. Idempotent; any thread may call it."""
    _stopping.set()
    with _lock:
        left = list(_children)
    for child in left:
        stop(child)


def stopping() -> bool:
    """Whether the run is being stopped: no command starts, so waiting for one is in vain."""
    return _stopping.is_set()


def resume() -> None:
    """Allow children again, for the clean-up that follows ``stop_all``."""
    _stopping.clear()


def _wait(child: subprocess.Popen[bytes], timeout: float | None) -> int | None:
    try:
        return finish(child, timeout=timeout)
    except subprocess.TimeoutExpired:
        stop(child)
        return None


def _tail(log: Path, size: int = 2000) -> str:
    with log.open("rb") as source:
        source.seek(0, os.SEEK_END)
        source.seek(max(0, source.tell() - size))
        return source.read().decode(errors="replace")

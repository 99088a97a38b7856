"""Makes the suite's Python environment: ``python3 -m conformance.machine.venv``.

Run by the user's own Python, so it uses the standard library alone. The environment is complete
when its stamp holds a hash of pyproject.toml and the interpreter's version; else it is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
VENV = CHECKOUT / ".venv"
WORK = CHECKOUT / "build"
LOG = WORK / "venv.log"


class Unavailable(Exception):
    """One sentence: what failed, what was seen, what to do."""


def main() -> int:
    """The command. Returns the exit code (3: the environment could not be set up)."""
    try:
        ensure()
    except Unavailable as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def ensure() -> None:
    """Make or refresh the environment unless it is as pyproject.toml wants it.

    Raises Unavailable. Two of these at once wait for each other.
    """
    stamp = VENV / ".sidecar-conformance"
    wanted = _wanted()
    if _read(stamp) == wanted:
        return
    WORK.mkdir(exist_ok=True)
    with (WORK / "venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(stamp) == wanted:
            return
        LOG.write_text("")
        python = VENV / "bin" / "python"
        if not _works(python):
            if VENV.exists():
                shutil.rmtree(VENV)
            try:
                _run("making .venv", [sys.executable, "-m", "venv", str(VENV)])
            except Unavailable as problem:
                shutil.rmtree(VENV, ignore_errors=True)
                if "ensurepip" in LOG.read_text():
                    raise Unavailable(
                        "Python's venv module is not complete here; on Debian and Ubuntu: "
                        f"apt-get install python3-venv ({problem})"
                    ) from problem
                raise
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
        _run("installing Python packages into .venv", [*pip, "-e", f"{CHECKOUT}[dev]"])
        stamp.write_text(wanted)


def _wanted() -> str:
    recipe = (CHECKOUT / "pyproject.toml").read_bytes()
    return f"{hashlib.sha256(recipe).hexdigest()} {sys.version_info[0]}.{sys.version_info[1]}\n"


def _read(stamp: Path) -> str:
    try:
        return stamp.read_text()
    except OSError:
        return ""


def _works(python: Path) -> bool:
    """The environment's Python starts, has pip, and is of the version that runs this."""
    check = "import pip, sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", check], capture_output=True, text=True)
    except OSError:
        return False
    return done.stdout.split() == [str(part) for part in sys.version_info[:2]]


def _run(what: str, command: list[str]) -> None:
    """Run with a sign of life every 5 s, its words in the log. Raises Unavailable."""
    began = time.monotonic()
    print(f"{what} …", file=sys.stderr, flush=True)
    with LOG.open("ab") as sink:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            while True:
                try:
                    code = child.wait(5)
                    break
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - began
                    print(f"{what}: {elapsed:.0f} s", file=sys.stderr, flush=True)
        except BaseException:
            os.killpg(child.pid, 15)
            child.wait()
            raise
    if code != 0:
        words = " / ".join(LOG.read_text(errors="replace").strip().splitlines()[-2:])
        raise Unavailable(
            f"{what} failed with exit code {code}: {words}; the whole log is {LOG}; is there a "
            "network, or a package index that pip is set up for?"
        )
    print(f"{what}: done in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

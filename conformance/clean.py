"""Removes what runs left on purpose or by accident: ``python -m conformance.clean [--all]``.

Without --all: clusters of killed runs and kept ones, and the suite's own engine if nobody uses it.
With --all: the cache too (engine data, images, tools); refused while a run is alive.
Results are never removed: they are the user's evidence.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from conformance.cluster.deletion import delete_all
from conformance.engine.engine import own, retire
from conformance.engine.own import dockerd
from conformance.errors import EnvironmentProblem, Problem, UsageProblem
from conformance.machine import runs
from conformance.machine.paths import CHECKOUT, cache_dir
from conformance.machine.progress import board


def clean() -> None:
    """Remove the clusters of ended runs, kept ones too, and stop the suite's own engine."""
    runs.sweep(_delete, kept_too=True)
    alive = [record.id for record in runs.alive()]
    if alive:
        board.say(f"Left alone, because they are running: {', '.join(alive)}.")
    if not retire():
        board.say("The suite's own Docker engine stays up: a run is using it.")


def _homes() -> tuple[Path, ...]:
    """The user's home folder, where one is known."""
    try:
        return (Path.home(),)
    except RuntimeError:
        return ()


def clean_all() -> None:
    """``clean``, and then the whole cache.

    Raises EnvironmentProblem while a run is alive, or when something is still mounted below the
    cache; UsageProblem when the cache folder holds more than a cache.
    """
    cache = cache_dir()
    if any(place.is_relative_to(cache) for place in (*_homes(), CHECKOUT)):
        raise UsageProblem(
            f"{cache} is not removed: your home or the checkout lies in it; "
            "SIDECAR_CONFORMANCE_CACHE should name a folder of its own."
        )
    alive = [record.id for record in runs.alive()]
    if alive:
        raise EnvironmentProblem(
            f"The cache {cache} is not removed: these runs are using it: {', '.join(alive)}; stop "
            "them, or wait for their end."
        )
    clean()
    mounted = dockerd.mounts_below(cache)
    if mounted:
        raise EnvironmentProblem(
            f"The cache {cache} is not removed: {mounted[-1]} is still mounted; unmount it first."
        )
    if cache.exists():
        with board.phase(f"removing the cache {cache}"):
            shutil.rmtree(cache, onerror=_make_writable)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="conformance.clean", description=__doc__)
    parser.add_argument("--all", action="store_true", help="the cache too")
    try:
        with runs.interrupts():
            clean_all() if parser.parse_args(arguments).all else clean()
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _delete(record: runs.Record) -> None:
    """As a run would, but clusters on the suite's own engine need none when it is down: they do
    not run, and the engine removes them when it next stops."""
    if record.host == own().host and own().pid() is None:
        return
    delete_all(record)


def _make_writable(retry: Callable[[str], object], path: str, _: object) -> None:
    """Go's module cache has read-only folders."""
    Path(path).parent.chmod(0o755)
    if not Path(path).is_symlink() and Path(path).is_dir():
        os.chmod(path, 0o755)  # noqa: PTH101 - symmetrical with rmtree's own calls
    retry(path)


if __name__ == "__main__":
    sys.exit(main())

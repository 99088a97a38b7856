"""Makes the mutants, runs what is left of a sample of them, and tells the score."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path

import pytest
from mutmut.__main__ import create_mutants
from mutmut.mutation.data import SourceFileMutationData
from mutmut.utils.file_utils import (
    copy_also_copy_files,
    copy_src_dir,
    setup_source_paths,
    walk_mutatable_files,
)

from tests.mutation import switch
from tests.mutation.forks import Forks
from tests.mutation.results import Results

TESTS = ("tests/judges", "tests/evidence")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (400)")
    parser.add_argument("--seed", default="16", help="which of them: same seed, same sample (16)")
    parser.add_argument("--minutes", type=float, default=10, help="stop after so many (10)")
    parser.add_argument(
        "--seconds", type=float, default=90, help="what the tests of one mutant may take (90)"
    )
    parser.add_argument("--children", type=int, default=2, help="mutants at a time (2)")
    parser.add_argument(
        "--leave-out", nargs="*", default=(), help="files of tests that may kill nothing"
    )
    parser.add_argument("--again", action="store_true", help="run those that survived once more")
    parser.add_argument("--tell", action="store_true", help="run nothing, tell what is known")
    asked = parser.parse_args()
    until = time.monotonic() + asked.minutes * 60
    results = Results(Path("mutants/results.json").absolute())
    if asked.tell:
        print(results.told())
        return 0
    os.environ["MUTANT_UNDER_TEST"] = "mutant_generation"
    _make(asked.children)
    sample = drawn(_known(), asked.sample, asked.seed)
    results.keep(sample, again=asked.again)
    os.environ["MUTANT_UNDER_TEST"] = ""
    os.environ["PY_IGNORE_IMPORTMISMATCH"] = "1"
    _forget_own_modules()
    switch.install()
    os.chdir("mutants")
    forks = Forks(results, sample, until, asked.children, asked.seconds)
    # Their own traceback would parse the modules, which are a hundred times as long here.
    options = ["-q", "-p", "no:cacheprovider", "--rootdir=.", "-p", "no:xdist", "--tb=native"]
    left_out = [f"--ignore={one}" for one in asked.leave_out]
    code = int(pytest.main([*options, *left_out, *TESTS], plugins=[forks]))
    print(results.told())
    return code


def drawn(names: list[str], size: int, seed: str) -> list[str]:
    """A sample, in the order in which it was drawn. Names that come or go change little of it."""
    return sorted(names, key=lambda one: hashlib.sha256(f"{seed}:{one}".encode()).digest())[:size]


def _make(children: int) -> None:
    """The mutants, below mutants/: those of files that have not changed stay as they are."""
    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(children)


def _known() -> list[str]:
    """The names of all mutants."""
    found: list[str] = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        found += data.exit_code_by_key
    return found


def _forget_own_modules() -> None:
    """What is imported from now on is what was copied, and not what this program stands in."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("conformance", "tests"):
            del sys.modules[name]


if __name__ == "__main__":
    sys.exit(main())

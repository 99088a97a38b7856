"""Runs mutants in forks of one process that has everything imported, and every test collected."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.diff_apply import get_diff_for_mutant

from tests.mutation import switch
from tests.mutation.results import KILLED, SURVIVED, TIMEOUT, UNREACHED, Results

# A mutant that goes round in a circle is ended by its share of the processor, and of the memory.
_AT_LEAST_S = 20
_TIMES = 10
_MEMORY = 4 << 30
_NO_SUCH = 3
MUTATED = ("conformance.evidence", "conformance.judges")


class Forks:
    """A plugin of pytest in place of its loop over the tests.

    until: of time.monotonic(). seconds: for how long the tests of one mutant may take, of the
    processor; what they do not kill by then survives.
    """

    def __init__(
        self,
        results: Results,
        sample: Sequence[str],
        until: float,
        children: int,
        seconds: float,
    ) -> None:
        self._results, self._sample = results, sample
        self._until, self._children, self._seconds = until, children, seconds
        self._covering: dict[str, list[str]] = defaultdict(list)
        self._items: dict[str, pytest.Item] = {}
        self._sound: set[str] = set()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Which test reaches what, and then the mutants."""
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        switch.import_all(MUTATED)
        gc.collect()
        gc.freeze()  # what is here already is none of the forks' garbage
        self._items = {one.nodeid: one for one in session.items}
        self._reach()
        for name, (_, functions) in self._results.tests.items():
            for function in functions if name in self._items else ():
                self._covering[function].append(name)
        if all(name in self._results.tests for name in self._items):
            self._mutants()
        self._results.save()
        return True

    # --- which test reaches what

    def _reach(self) -> None:
        """Run each test that is not known yet, in as many forks as there may be."""
        unknown = [one for one in self._items if one not in self._results.tests]
        piece = 40
        pieces = [unknown[at : at + piece] for at in range(0, len(unknown), piece)]
        running: dict[int, tuple[list[str], Path]] = {}
        while pieces or running:
            while pieces and len(running) < self._children and time.monotonic() < self._until:
                names, out = pieces.pop(0), Path(tempfile.mkstemp()[1])
                running[self._fork(lambda n=names, o=out: self._observe(n, o), 0)] = names, out
            if not running:
                return
            pid, status = os.wait()
            names, out = running.pop(pid)
            if status:
                sys.exit(f"these tests cannot be run without any mutant: {names}")
            for line in out.read_text().splitlines():
                name, seconds, *functions = line.split("\t")
                self._results.tests[name] = float(seconds), functions
            out.unlink()
            self._results.save()

    def _observe(self, names: Sequence[str], out: Path) -> int:
        hits: set[str] = set()
        begin = switch.watch(hits)
        lines = []
        for name in names:
            begin()
            began = time.process_time()
            if self._fails(name):  # where it stands now: it says nothing of any mutant
                lines.append(f"{name}\t-1")
                continue
            lines.append("\t".join([name, f"{time.process_time() - began:.3f}", *sorted(hits)]))
        out.write_text("\n".join(lines))
        return 0

    # --- mutants

    def _mutants(self) -> None:
        left = [one for one in self._sample if one not in self._results.ends]
        running: dict[int, tuple[str, Path]] = {}
        while left or running:
            while left and len(running) < self._children and time.monotonic() < self._until:
                mutant = left.pop(0)
                tests = self._tests_of(mutant)
                if not tests:
                    self._end(mutant, UNREACHED, "")
                    continue
                out = Path(tempfile.mkstemp()[1])
                took = sum(self._results.tests[name][0] for name in tests)
                limit = int(_AT_LEAST_S + _TIMES * took)
                pid = self._fork(lambda m=mutant, t=tests, o=out: self._try(m, t, o), limit)
                running[pid] = mutant, out
            if not running:
                return
            pid, status = os.wait()
            mutant, out = running.pop(pid)
            if os.waitstatus_to_exitcode(status) == _NO_SUCH:
                sys.exit(f"{mutant} cannot be switched on")
            if status == 0:
                self._end(mutant, SURVIVED, "")
            elif os.WIFEXITED(status):
                by = out.read_text()
                self._require_sound(by)
                self._end(mutant, KILLED, by)
            else:
                self._end(mutant, TIMEOUT, "")
            out.unlink()

    def _require_sound(self, killer: str) -> None:
        """A test that fails by itself, when it is the first in its process, kills nothing."""
        if killer in self._sound:
            return
        _, status = os.waitpid(self._fork(lambda: int(self._fails(killer)), 0), 0)
        if not killer or status:
            sys.exit(f"this test fails without any mutant: {killer}")
        self._sound.add(killer)

    def _end(self, mutant: str, how: str, by: str) -> None:
        """Note what became of it, by which test, and what it changes."""
        os.chdir("..")  # mutmut looks for its mutants below mutants/
        self._results.ends[mutant] = [how, by, get_diff_for_mutant(mutant)]
        os.chdir("mutants")
        self._results.save()

    def _tests_of(self, mutant: str) -> list[str]:
        """Tests that reach what it changes: of its own module first, then its neighbours', each
        file in its turn, quick ones first."""
        function = mutant.rpartition("__mutmut_")[0]
        module = PurePosixPath(*function.split(".")[1:-1])
        own = f"tests/{module.parent}/test_{module.name}"

        def nearness(name: str) -> int:
            file = name.partition("::")[0]
            return 0 if file.startswith(own) else 1 if str(module.parent) in file else 2

        turn: Counter[str] = Counter()
        order = []
        for name in sorted(self._covering.get(function, ()), key=self._took):
            file = name.partition("::")[0]
            order.append((nearness(name), turn[file], name))
            turn[file] += 1
        chosen: list[str] = []
        seconds = 0.0
        for _, _, name in sorted(order):
            if chosen and seconds > self._seconds:
                break
            chosen.append(name)
            seconds += self._took(name)
        return chosen

    def _took(self, name: str) -> float:
        return self._results.tests[name][0]

    def _try(self, mutant: str, tests: Sequence[str], out: Path) -> int:
        try:
            switch.choose(mutant)
        except LookupError:
            return _NO_SUCH
        for name in tests:
            if self._fails(name):
                out.write_text(name)
                return 1
        return 0

    def _fails(self, name: str) -> bool:
        reports = runtestprotocol(self._items[name], log=False)
        return any(one.failed for one in reports)

    def _fork(self, act: Any, limit_s: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            if limit_s:
                resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
                resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            factory = next(iter(self._items.values())).config._tmp_path_factory  # type: ignore[attr-defined]
            factory._basetemp = Path(folder)
            code = act()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(code)

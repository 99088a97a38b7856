"""A narrow real run as a child process, and the moments in its life at which a fault is injected.

Moments are events: a line that the run says, or a step in the diary of a cell. What the run has on
the machine is noted while it lives, so that what is left of it can be told afterwards.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import client
from conformance.engine.client import docker
from conformance.machine import waiting
from conformance.machine.paths import CHECKOUT
from tests.faults import leftovers

K8S = "1.33"
# The cheapest selection that has verdicts, in both patterns: six of them.
NARROW = (f"--k8s={K8S}", "--sidecar=fixture", "--scenario=lifecycle")
VERDICTS = 6
# Seconds. For machines that others keep busy; on two quiet processors a run takes one minute.
PATIENCE = 600.0
LAST_LINES = 25
_SAYS_WHERE = re.compile(r"^results in (/.+)$", re.MULTILINE)
_SAYS_CODE = re.compile(r"^sidecar-conformance: exit code (\d+) \(", re.MULTILINE)
_BEGAN = time.monotonic()


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.monotonic() - _BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


def require_root() -> None:
    """Skip where this user may not mount or start an engine."""
    if os.geteuid() != 0:
        pytest.skip("only root may do this: it mounts, or starts an engine")


@dataclass
class Played:
    """A run that was started. log: all that it says. temporary: its TMPDIR, which marks its
    processes too. known: what it was seen to have on the machine."""

    child: subprocess.Popen[bytes]
    log: Path
    temporary: Path
    known: leftovers.Known = field(default_factory=leftovers.Known)

    # -- while it lives -------------------------------------------------------------------------

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def folder(self) -> Path:
        """Its folder below results."""
        found = _SAYS_WHERE.search(self.said)
        assert found, f"The run has not said where its results are: {self.last_lines}"
        return Path(found[1])

    @property
    def short(self) -> str:
        return self.folder.name.partition("-")[2]

    @property
    def node(self) -> str:
        return f"sc-{self.short}-{K8S.replace('.', '-')}-control-plane"

    @property
    def engine(self) -> client.Client:
        """Of its cluster, as the run itself has noted it."""
        state = json.loads((self.folder / "clusters" / K8S / "state.json").read_text())
        return client.at(state["cluster"]["host"])

    @property
    def last_lines(self) -> str:
        return " / ".join(self.said.strip().splitlines()[-LAST_LINES:])

    def await_said(self, words: str) -> None:
        """Until the run has said these words."""
        self._await(f"“{words}”", lambda: words in self.said)

    def await_step(self, step: str, cells: int = 1) -> Sequence[Path]:
        """Until so many cells have taken a step; their bundles. What the run has on the machine is
        noted then."""
        found: list[Path] = []

        def taken() -> bool:
            diaries = (self.folder / "evidence").glob("*/*/steps.jsonl")
            found[:] = [one.parent for one in diaries if f'"{step}"' in one.read_text()]
            return len(found) >= cells

        self.await_said("results in ")
        self._await(f"the step {step}", taken)
        self.note()
        return found

    def note(self) -> None:
        """Note what the run has on the machine now."""
        self.known.note(self.engine, self.node)

    def in_node(self, *command: str) -> str:
        return docker(self.engine, "exec", self.node, *command, timeout=120)

    def _await(self, what: str, look: Callable[[], object]) -> None:
        def settled() -> bool:
            return bool(look()) or self.child.poll() is not None

        waiting.until(what, settled, seconds=PATIENCE, every=0.1, seen=lambda: self.last_lines)
        if not look():
            pytest.fail(
                f"The run ended with {self.child.returncode} before {what} came; it said: "
                f"{self.last_lines}",
                pytrace=False,
            )

    # -- its end --------------------------------------------------------------------------------

    def signal_all(self, number: signal.Signals) -> None:
        """To the run and its workers, as a terminal sends Ctrl-C to the foreground group."""
        os.killpg(self.child.pid, number)

    def workers(self) -> Mapping[str, int]:
        """The process that observes each cell, by the cell's id, as the run's records tell."""
        lines = (self.folder / "timing.jsonl").read_text().splitlines()
        spans = [json.loads(line) for line in lines]
        return {one["cell"]: int(one["pid"]) for one in spans if one["name"] == "room"}

    def end(self) -> int:
        """Wait for it; the exit code, which its last words must name too."""
        try:
            code = self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(
                f"The run did not end within {PATIENCE:.0f} s; it said: {self.last_lines}",
                pytrace=False,
            )
        say(f"the run ended with {code}")
        return code

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found

    def must_have_ended(self, *codes: int) -> int:
        """With one of these exit codes, said in words, without a traceback. Returns the code."""
        code = self.end()
        told = _SAYS_CODE.findall(self.said)
        wrong = ""
        if code not in codes:
            wrong = f"ended with {code} and not with {' or '.join(map(str, codes))}"
        elif code and told[-1:] != [str(code)]:
            wrong = f"ended with {code} and does not say so"
        elif "Traceback (most recent call last)" in self.said:
            wrong = "shows a traceback"
        elif "INTERNALERROR" in self.said:
            wrong = "shows an error of pytest's own"
        if wrong:
            pytest.fail(f"The run {wrong}: {self.last_lines}", pytrace=False)
        return code

    def must_have_said(self, *words: str) -> None:
        for one in words:
            if one not in self.said:
                pytest.fail(f"The run does not say “{one}”: {self.last_lines}", pytrace=False)

    def must_be_honest(self, *reasons: str) -> None:
        """No verdict is a failure of what is judged, each inconclusive has its reason; with
        ``reasons``, a part of one of them."""
        for one in self.report()["cells"]:
            name = f"{one['behaviour']} ({one['pattern']})"
            if one["verdict"] in ("fail", "not-reproduced"):
                pytest.fail(
                    f"The fault was taken for a breach: {name} is {one['verdict']}: "
                    f"{one['reason']}",
                    pytrace=False,
                )
            if one["verdict"] == "inconclusive":
                say(f"{name}: inconclusive: {one['reason']}")
                if reasons and not any(word in one["reason"] for word in reasons):
                    pytest.fail(
                        f"{name} is inconclusive for another reason than the fault: "
                        f"{one['reason']}",
                        pytrace=False,
                    )

    def must_leave_nothing(self, *, seconds: float = 60) -> None:
        """Nothing of it is on the machine, but for its results."""

        def left() -> list[str]:
            return leftovers.left(self.known, self.folder, self.temporary, self.child.pid)

        waiting.within(seconds, lambda: not left(), every=1)
        if found := left():
            pytest.fail(f"Run {self.folder.name} has left: {'; '.join(found)}.", pytrace=False)

    def must_be_clean(self) -> None:
        """As if nothing had ever gone wrong: six verdicts as expected, each at the first attempt,
        and nothing left."""
        self.must_have_ended(0)
        report = self.report()
        good = {"pass", "reproduced", "measured"}
        bad = [one for one in report["cells"] if one["verdict"] not in good]
        if bad or len(report["cells"]) != VERDICTS:
            pytest.fail(
                f"The next run is not clean: {len(report['cells'])} verdicts, of which "
                f"{[(one['behaviour'], one['verdict'], one['reason']) for one in bad]}.",
                pytrace=False,
            )
        self.must_leave_nothing()


def start(
    folder: Path, *options: str, results: Path | None = None, env: Mapping[str, str] | None = None
) -> Played:
    """Start a run. folder: of the test's, for what it says; results: by default below it."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("run-*.log"))) + 1
    log, temporary = folder / f"run-{number}.log", folder / f"tmp-{number}"
    temporary.mkdir()
    command = [sys.executable, "-m", "conformance", "run", *NARROW, *options]
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [*command, f"--results={results or folder / 'results'}"],
            cwd=CHECKOUT,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
                **(env or {}),
                "TMPDIR": str(temporary),
            },
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    say(f"a run begins (process {child.pid}); its words are in {log}")
    return Played(child, log, temporary)

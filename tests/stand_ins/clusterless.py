"""A pytest plugin for tests of the plugin: no engine and no cluster, and findings as told.

SC_FINDINGS names a JSON file: {"<pattern> <behaviour>": [observed, hazard]}; what it leaves out is
as the table expects. SC_STATE is the state.json of the cluster, where there is to be one, and
SC_MISSING why no cell is observed. Every cell that is observed leaves a file named after it and
the process in SC_SEEN. SC_DIES names the cell over which its first worker dies, and SC_FILLS a file
that is to take all the room of its disk when a cell is observed.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from conformance.model import Cell, Finding
from conformance.plan.options import Options
from conformance.run import cells as run_cells
from conformance.run import preparation
from conformance.verdicts import expectations


class Preparation:
    def __init__(self, options: Options) -> None:
        results = options.results / "run"
        results.mkdir(parents=True)
        self.run = SimpleNamespace(results=results)
        self.ended = ""
        if "SC_STATE" in os.environ:
            state = results / "clusters" / "1.33" / "state.json"
            state.parent.mkdir(parents=True)
            state.write_text(os.environ["SC_STATE"])

    def __enter__(self) -> Preparation:
        return self

    def __exit__(self, *_: Any) -> None:
        Path(os.environ["SC_SEEN"], "taken-down").touch()

    def begin(self) -> None:
        pass

    def release(self, k8s: str) -> None:
        verdicts = list((self.run.results / "verdicts").rglob("*.json"))
        Path(os.environ["SC_SEEN"], f"released-{k8s}").write_text(str(len(verdicts)))


def fill(file: Path) -> None:
    """Write until there is no room for one byte more."""
    with file.open("ab", buffering=0) as sink:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while sink.write(bytes(size)):
                    pass


def observe(self: run_cells.Cells, cell: Cell, ids: Sequence[str]) -> run_cells.Observed:
    del self
    Path(os.environ["SC_SEEN"], f"{cell.id}.{os.getpid()}").touch()
    died = Path(os.environ["SC_SEEN"], "died")
    if os.environ.get("SC_DIES") == cell.id and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "SC_FILLS" in os.environ:
        fill(Path(os.environ["SC_FILLS"]))
    if "SC_MISSING" in os.environ:
        return run_cells.Observed({}, missing=os.environ["SC_MISSING"])
    told = json.loads(Path(os.environ["SC_FINDINGS"]).read_text())
    findings = {}
    for id_ in ids:
        expectation = expectations.expected(id_, cell)
        usual = [expectation.expect, (*expectation.hazards, "")[0]]
        observed, hazard = told.get(f"{cell.pattern} {id_}", usual)
        findings[id_] = Finding(id_, observed, "As told.", hazard)
    return run_cells.Observed(findings)


preparation.Preparation = Preparation  # type: ignore[assignment,misc]
run_cells.Cells._observe = observe  # type: ignore[method-assign,assignment]

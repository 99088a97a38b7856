"""What one process of a run knows, and the evidence of one cell as a suite sees it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.cluster.state import read_state, settled
from conformance.machine import room
from conformance.model import Cell, Verdict
from conformance.plan import cells as plan
from conformance.plan.cells import Item
from conformance.plan.options import Options
from conformance.report.decision import summary
from conformance.verdicts import store as verdicts

if TYPE_CHECKING:
    from conformance.run.cells import Cells
    from conformance.run.existing import ExistingPreparation
    from conformance.run.preparation import Preparation


class Session:
    """One process of a run: what it is to judge, and with what.

    items: every verdict to reach, in the plan's order. results: the run's folder. preparation:
    only in the controlling process.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.items = plan.items(options.selection)
        self.results: Path | None = None
        self.preparation: Preparation | ExistingPreparation | None = None
        self.cells: Cells | None = None
        self._to_come: Counter[str] | None = None

    def narrow(self, ids: Collection[str]) -> None:
        """Only these items (Item.id) are wanted; the options say no more than they need.

        What nobody asked for needs no cluster and no image.
        """
        self.items = [item for item in self.items if item.id in ids]
        selection = plan.narrowed(self.options.selection, self.items)
        self.options = replace(self.options, selection=selection)

    def behaviours_of(self, cell: Cell) -> Sequence[str]:
        return [item.behaviour for item in self.items if item.cell == cell]

    def fallen(self, k8s: str) -> None:
        """One verdict less to wait for: a cluster that has none left makes room for another."""
        if self._to_come is None:
            self._to_come = Counter(item.cell.k8s for item in self.items)
        self._to_come[k8s] -= 1
        if not self._to_come[k8s] and self.preparation:
            self.preparation.release(k8s)

    def settled(self, k8s: str, sidecar: str) -> bool:
        """Whether a cell of these would find its cluster, or that it has none, at once."""
        return self.results is not None and settled(self.results, k8s, sidecar) is not None

    def absent(self, k8s: str) -> bool:
        """Whether that version of Kubernetes has no cluster: it cannot be had, or did not come."""
        told = read_state(self.results, k8s) if self.results else None
        return told is not None and told["state"] in ("unobtainable", "failed")


class CellEvidence:
    """The evidence of one cell, asked about one behaviour."""

    def __init__(self, session: Session, item: Item, record: Callable[[str, object], None]) -> None:
        self._session = session
        self._item = item
        self._record = record

    def must_show(self) -> None:
        """Judge the behaviour and speak the verdict in pytest's terms.

        Raises HazardReproduced (the expected hazard), PromiseBroken, Inconclusive, or skips what
        this machine cannot verify.
        """
        verdict = self._verdict()
        self._record("verdict", verdict.outcome)
        self._record("reason", verdict.reason)
        match verdict.outcome:
            case "reproduced":
                raise verdicts.HazardReproduced(verdict.reason)
            case "fail":
                raise verdicts.PromiseBroken(verdict.reason)
            case "inconclusive":
                raise verdicts.Inconclusive(verdict.reason)
            case "not-verified":
                pytest.skip(f"not verified here: {verdict.reason}")
            case _:  # pass, measured; not-reproduced is xfail's strictness
                return

    def _verdict(self) -> Verdict:
        session, item = self._session, self._item
        assert session.cells is not None and session.results is not None
        observed = session.cells.observed(item.cell, session.behaviours_of(item.cell))
        verdict = verdicts.hold(
            item,
            observed.finding(item.behaviour),
            attempts=observed.attempts,
            strict_promises=session.options.strict_promises,
        )
        try:
            verdicts.keep(session.results, verdict, observed.bundle)
        except OSError as error:
            why = room.lacking(session.results) or f"The verdict could not be kept: {error}."
            raise verdicts.Inconclusive(why) from error
        if observed.bundle is not None:
            told = json.loads((observed.bundle / "cell.json").read_text())["versions"]
            self._record("versions", summary.versions(told))
        return verdict

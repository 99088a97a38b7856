"""How a run's tests are given to xdist's workers: cell by cell, first what can be observed now."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from conformance.plan.cells import Item


class CellScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """All tests of a cell go to one worker, so that one deployment serves all of its judges.

    A worker gets the first cell, in the plan's order, whose cluster has its sidecar by now; where
    no cell has, the first of all: it waits there. So no worker waits for a version that is still
    compiled while another version's cluster stands idle.

    xdist's own way, ``--dist loadgroup``, has no effect under pytest 9.2: it renames items by
    ``_nodeid``, which their ``nodeid`` no longer follows (seen with xdist 3.8).
    """

    def __init__(
        self,
        config: Any,
        log: Any,
        item_of: Callable[[str], Item],
        settled: Callable[[str, str], bool],
    ) -> None:
        super().__init__(config, log)
        self._item_of = item_of
        self._settled = settled

    def _split_scope(self, nodeid: str) -> str:
        return self._item_of(nodeid).cell.id

    def _assign_work_unit(self, node: Any) -> None:
        settled = cache(self._settled)  # a file is read for each question
        for scope, tests in self.workqueue.items():
            cell = self._item_of(next(iter(tests))).cell
            if settled(cell.k8s, cell.sidecar):
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)

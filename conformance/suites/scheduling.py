"""How a run's tests are given to xdist's workers: cell by cell, first what can be observed now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from conformance.plan.cells import Item, alone


class CellScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """All tests of a cell go to one worker, so that one deployment serves all of its judges.

    A worker gets the first cell, in the plan's order, whose cluster has its sidecar by now, and
    which need not wait for others there: a cell that wants its cluster for itself comes when no
    other worker has a cell of that cluster. Where there is none, it is the first whose cluster has
    its sidecar, and then the first of all: the worker waits there. So no worker waits for a version
    that is still compiled, or for a cluster to be left, while it could observe another cell.

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
        items = {scope: self._item(tests) for scope, tests in self.workqueue.items()}
        there = [scope for scope, its in items.items() if settled(its.cell.k8s, its.cell.sidecar)]
        others = self._observed_beside(node)
        at_once = (scope for scope in there if not _waits(items[scope], others))
        if scope := next(at_once, next(iter(there), "")):
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _item(self, tests: Mapping[str, bool]) -> Item:
        return self._item_of(next(iter(tests)))

    def _observed_beside(self, node: Any) -> list[Item]:
        """Of each cell that the other workers have, and of which a verdict has yet to fall, one."""
        return [
            self._item(tests)
            for other, scopes in self.assigned_work.items()
            for tests in scopes.values()
            if other is not node and not all(tests.values())
        ]


def _waits(item: Item, others: Sequence[Item]) -> bool:
    """Whether it would wait for its cluster's other cells, or for the end of one that is alone."""
    near = [other.cell for other in others if other.cell.k8s == item.cell.k8s]
    return any(alone(item.cell) or alone(other) for other in near)

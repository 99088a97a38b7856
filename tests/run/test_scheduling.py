"""Which cell a worker gets next: the first in the plan's order whose cluster is there."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from conformance.cluster import state
from conformance.machine import files
from conformance.model import Cell
from conformance.plan.cells import Item
from conformance.suites.scheduling import CellScheduling


class Worker:
    """Takes what it is given: the numbers of tests."""

    shutting_down = False

    def __init__(self) -> None:
        self.given: list[int] = []

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.given += numbers


CELLS = [
    Cell(k8s, sidecar, "native", "default", "lifecycle")
    for k8s, sidecar in [("1.33", "envoy"), ("1.33", "istio"), ("1.29", "envoy"), ("1.37", "envoy")]
]
TESTS = [f"{behaviour} of {cell.id}" for cell in CELLS for behaviour in ("a", "b")]


def given(ready: set[tuple[str, str]]) -> list[str]:
    """The cells in the order in which one worker gets them while these clusters have these."""
    items = {test: Item(CELLS[place // 2], "start.order") for place, test in enumerate(TESTS)}
    its: Any = object.__new__(CellScheduling)
    its._item_of = items.__getitem__
    its._settled = lambda k8s, sidecar: (k8s, sidecar) in ready
    its.assigned_work, worker = {}, Worker()
    its.registered_collections = {worker: TESTS}
    its.workqueue = OrderedDict()
    for test in TESTS:
        its.workqueue.setdefault(its._split_scope(test), {})[test] = False
    while its.workqueue:
        its._assign_work_unit(worker)
    assert worker.given[1::2] == [number + 1 for number in worker.given[::2]]
    return [TESTS[number].removeprefix("a of ") for number in worker.given[::2]]


@pytest.mark.parametrize(
    ("ready", "order"),
    [
        (set(), [0, 1, 2, 3]),
        ({("1.37", "envoy")}, [3, 0, 1, 2]),
        ({("1.33", "istio"), ("1.37", "envoy")}, [1, 3, 0, 2]),
        ({("1.33", "istio")}, [1, 0, 2, 3]),
    ],
)
def test_a_cell_whose_cluster_is_there_comes_first(
    ready: set[tuple[str, str]], order: list[int]
) -> None:
    assert given(ready) == [CELLS[place].id for place in order]


def test_a_cell_that_wants_its_cluster_for_itself_waits_for_nobody_while_others_can_begin() -> None:
    race, order, later = (
        Cell("1.33", "envoy", "native", "init-rules", "cni-race"),
        Cell("1.33", "envoy", "native", "init-rules", "lifecycle"),
        Cell("1.37", "envoy", "native", "init-rules", "lifecycle"),
    )
    tests = {"first": order, "race": race, "second race": race, "after it": later}
    its: Any = object.__new__(CellScheduling)
    its._item_of = lambda test: Item(tests[test], "start.order")
    its._settled = lambda *_: True
    workers = [Worker(), Worker()]
    its.assigned_work = {}
    its.registered_collections = {worker: list(tests) for worker in workers}
    its.workqueue = OrderedDict((test, {test: False}) for test in tests)
    for number in (0, 1):
        its._assign_work_unit(workers[number])
    assert workers[1].given == [3]  # not the race: the first worker's cell is in its cluster
    its.assigned_work[workers[0]]["first"]["first"] = True
    its._assign_work_unit(workers[1])
    assert workers[1].given == [3, 1]
    its._assign_work_unit(workers[0])  # nothing else is left
    assert workers[0].given == [0, 2]


@pytest.mark.parametrize(
    ("told", "is_settled"),
    [
        (None, False),
        ({"state": "creating", "sidecars": {}}, False),
        ({"state": "ready", "sidecars": {"istio": ""}}, False),
        ({"state": "ready", "sidecars": {"envoy": ""}}, True),
        ({"state": "ready", "sidecars": {"envoy": "cannot be had"}}, True),
        ({"state": "failed", "sidecars": {}}, True),
        ({"state": "unobtainable", "sidecars": {}}, True),
    ],
)
def test_what_a_cell_would_wait_for(
    tmp_path: Path, told: dict[str, Any] | None, is_settled: bool
) -> None:
    if told is not None:
        (tmp_path / "clusters" / "1.33").mkdir(parents=True)
        files.write_text(tmp_path / "clusters" / "1.33" / "state.json", json.dumps(told))
    assert (state.settled(tmp_path, "1.33", "envoy") is not None) is is_settled

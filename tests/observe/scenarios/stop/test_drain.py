"""A drain that comes to no end: the node takes pods again all the same."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.observe.scenarios.stop import departing, drain
from conformance.observe.stage import Stuck


class Stage:
    """What the scenario asks of a stage, on a cluster that is a list of words."""

    def __init__(self) -> None:
        self.handle = SimpleNamespace(node="node", kubeconfig=Path("kubeconfig"))
        self.namespace, self.client = "cell", None
        self.afterwards = contextlib.ExitStack()
        self.said: list[str] = []
        self.core = SimpleNamespace(patch_node=self._patched)
        self.watch = SimpleNamespace(newest=lambda *_: None)

    def _patched(self, node: str, change: dict[str, Any]) -> None:
        self.said.append(f"{node} {change}")

    def create(self, *_: str, **__: Any) -> None: ...

    def step(self, *_: str, **__: Any) -> None: ...

    def describe(self, pod: str) -> str:
        return pod

    def kubectl(self, *arguments: str, seconds: float = 60) -> str:
        assert seconds > drain.PATIENCE_SECONDS
        self.said.append(" ".join(arguments[:2]))
        return ""

    def wait(self, what: str, *_: Any, **__: Any) -> None:
        if "eviction" in what:
            raise Stuck(what)


def test_a_drain_that_is_stuck_leaves_no_cordon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("surround", "create", "await_ready"):
        monkeypatch.setattr(departing, name, lambda *_: None)
    stage: Any = Stage()
    with pytest.raises(Stuck), stage.afterwards:
        drain.observe(stage)
    assert stage.said == ["drain node", "node {'spec': {'unschedulable': None}}"]


def test_only_pods_of_the_cell_are_drained() -> None:
    stage: Any = Stage()
    assert "--pod-selector=drained=cell" in drain._drain(stage, "node")

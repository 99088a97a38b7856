"""Which plugins made a pod's network is the runtime's word, and a changed chain is seen at work."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.cluster import cni as conflists
from conformance.cluster.state import ClusterHandle
from conformance.observe.scenarios.start import chain
from conformance.observe.stage import Stuck

REDIRECT = conflists.REDIRECT.name


class Stage:
    """What a chain needs of a stage: pods get their network by what the node has read so far.

    late: how many pods are still made by the former chain.
    """

    def __init__(self, folder: Path, late: int = 0) -> None:
        self.bundle = folder / "bundle"
        self.handle = ClusterHandle("1.33", "c", folder / "kubeconfig", "node", folder)
        self.afterwards = contextlib.ExitStack()
        self.steps: list[dict[str, Any]] = []
        self._late = late
        self._made: dict[str, str] = {}
        conflists.folder_of(self.handle.kubeconfig).mkdir()
        conflists.write(conflists.folder_of(self.handle.kubeconfig))
        self._former = self.conflist()

    def conflist(self) -> str:
        (file,) = conflists.folder_of(self.handle.kubeconfig).glob("*.conflist")
        return file.read_text()

    def documents(self, name: str) -> list[dict[str, Any]]:
        return [{"metadata": {"name": name}}]

    def create_pod(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        folder = self.bundle / "capture" / name
        folder.mkdir(parents=True)
        (folder / "net.json").write_text(json.dumps({"sandbox": f"sandbox-{name}"}))
        self._made[f"sandbox-{name}"] = (
            self._former if len(self._made) < self._late else self.conflist()
        )

    def on_node(self, *command: str, what: str) -> str:
        assert what
        conflist = self._made[command[-1]].encode()
        return json.dumps({"kind": "cniCacheV1", "config": base64.b64encode(conflist).decode()})

    def wait(self, what: str, until: Callable[[], Any], **_: Any) -> Any:
        found = until()
        assert found, what
        return found

    def describe(self, pod: str) -> str:
        return pod

    def step(self, name: str, **more: Any) -> None:
        self.steps.append({"step": name, **more})


@pytest.mark.parametrize("late", [0, 1])
def test_a_chain_is_at_work_when_a_pod_is_made_with_it(tmp_path: Path, late: int) -> None:
    stage: Any = Stage(tmp_path, late)
    chain.put(stage, REDIRECT)
    assert [one["pod"] for one in stage.steps] == [f"herald-{n}" for n in range(late + 1)]
    assert [REDIRECT in one["plugins"] for one in stage.steps] == [False] * late + [True]
    assert stage.steps[-1]["plugins"][-2:] == [REDIRECT, conflists.CAPTURE.name]


@pytest.mark.parametrize("late", [0, 99])
def test_the_former_chain_is_back_however_it_ends(tmp_path: Path, late: int) -> None:
    stage: Any = Stage(tmp_path, late)
    before = stage.conflist()
    with stage.afterwards, contextlib.nullcontext() if not late else pytest.raises(Stuck):
        chain.put(stage, REDIRECT)
    assert stage.conflist() == before

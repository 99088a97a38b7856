"""What the workers are told of a cluster."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.cluster import state
from conformance.cluster.context import Context
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.machine import runs
from conformance.model import Cell
from conformance.run.cells import Cells
from tests.stand_ins.cluster import handle

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_handle_survives_its_file(tmp_path: Path) -> None:
    one = replace(handle(tmp_path), workers=("sc-x-1-33-worker",))
    assert one.nodes == ("sc-x-1-33-control-plane", "sc-x-1-33-worker")
    assert state.ClusterHandle.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_worker_waits_until_the_cluster_is_ready(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        one = handle(run.results)
        found: list[state.ClusterHandle] = []
        worker = threading.Thread(
            target=lambda: found.append(state.await_cluster(run.results, "1.33", "envoy", 10))
        )
        worker.start()
        state.publish_state(run, "1.33", "creating")
        state.publish(run, one, {"fixture": ""})
        worker.join(0.5)
        assert not found  # its sidecar is not installed yet
        state.publish(run, one, {"fixture": "", "envoy": ""})
        worker.join()
    assert found == [one]


def test_a_sidecar_that_cannot_be_had_fails_its_own_workers_alone(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        one = handle(run.results)
        state.publish(run, one, {"istio": "istioctl's words", "envoy": ""})
        with pytest.raises(EnvironmentProblem, match="istioctl's words"):
            state.await_cluster(run.results, "1.33", "istio", 10)
        assert state.await_cluster(run.results, "1.33", "envoy", 10) == one


def test_a_failure_reaches_the_worker_with_its_reason(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        state.publish_state(run, "1.33", "failed", reason="the kubelet's words")
        with pytest.raises(EnvironmentProblem, match="the kubelet's words"):
            state.await_cluster(run.results, "1.33", "envoy", 10)


def test_a_version_that_cannot_be_had_is_nobodys_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "read", lambda _: None)
    with runs.start(tmp_path) as run:
        state.publish_state(run, "1.30", "unobtainable", reason="no registry answers")
        with pytest.raises(Unobtainable, match="no registry answers"):
            state.await_cluster(run.results, "1.30", "envoy", 10)
        cell = Cell("1.30", "envoy", "native", "fallback", "lifecycle")
        observed = Cells(run.results).observed(cell, ["stop.order"])
    assert (observed.missing, observed.not_verified) == ("no registry answers", True)


def test_a_deadline_says_what_was_seen_last(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="nobody has begun"):
        state.await_cluster(tmp_path, "1.33", "envoy", 0.1)
    with runs.start(tmp_path) as run:
        state.publish_state(run, "1.33", "creating")
        with pytest.raises(EnvironmentProblem, match='its state is "creating"'):
            state.await_cluster(run.results, "1.33", "envoy", 0.1)


def test_the_state_is_never_half_written(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                state.publish_state(run, "1.33", "creating", reason="x" * 5000)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(300):
                told = state.read_state(run.results, "1.33")
                assert told is None or told["reason"] == "x" * 5000
        finally:
            stop.set()
            writer.join()

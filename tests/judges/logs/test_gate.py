"""logs.health-gate, logs.health-default: what a shipper's health endpoint waits for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import GATEWAY, POD, World, ns
from tests.worlds import logs
from tests.worlds.logs import deaf

GATE, DEFAULT = "logs.health-gate", "logs.health-default"
Break = Callable[[World], object]


def test_a_gate_that_waits_for_the_sink(tmp_path: Path) -> None:
    found = logs.gate().judged(GATE, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_gate_that_opens_without_a_sink(tmp_path: Path) -> None:
    world = logs.gate()
    world.lines("sink.sink", "sink.listening")[0]["ns"] = forge.ns(8.0)
    found = world.judged(GATE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "gate-open")
    assert found.measured["written_while_the_sink_was_down"] == 27


def as_one(world: World) -> None:
    world.lines("sink.sink", "sink.listening")[0]["ns"] = forge.ns(5.31)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (as_one, "began as the sink did"),
        (lambda world: world.drop(world.steps, "subject.bound"), "nobody waited"),
        (lambda world: world.drop(world.stamps["sink.sink"], "sink.listening"), "never listened"),
    ],
)
def test_gates_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = logs.gate()
    doubtful(world)
    found = world.judged(GATE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_an_endpoint_that_nobody_reaches(tmp_path: Path) -> None:
    found = deaf(logs.gate()).judged(DEFAULT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-answered")
    assert found.measured["failed_probes"] == 8


def its_shipper_crashed(world: World) -> None:
    for line in world.watch:
        for one in line["object"].get("status", {}).get("initContainerStatuses", ()):
            one["restartCount"] = 2


def its_app_started(world: World) -> None:
    world.stamp(12.0, "deaf.app", "app.started", rate=10)


def no_probe_failed(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "Event"]


def another_pods_probe_failed(world: World) -> None:
    for line in world.watch:
        if line["kind"] == "Event":
            line["object"]["involvedObject"]["uid"] = "uid-other"


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (its_shipper_crashed, "did not run all the time"),
        (its_app_started, "is not clear"),
        (no_probe_failed, "0 failed probes"),
        (another_pods_probe_failed, "0 failed probes"),
        (lambda world: world.stamps.pop("subject.app"), "twin"),
    ],
)
def test_unanswered_endpoints_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = deaf(logs.gate())
    doubtful(world)
    found = world.judged(DEFAULT, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_gate_of_a_shipper_that_is_slow_to_come_up(tmp_path: Path) -> None:
    """Its container runs, its program listens only at 4.6: nobody asked it anything before the
    sink was opened at 4.5. The gate is as weak as ever."""
    world = logs.gate()
    world.frames = [
        one for one in world.frames if not (ns(4.0) < one[0] < ns(4.3) and b"HTTP/1." in one[1])
    ]
    for at in (3.0, 4.1):
        world.frames += wire.refused(ns(at), (GATEWAY, world.next_port()), (POD, 15021), (POD,))
    found = world.judged("logs.health-gate", tmp_path)
    assert found.observed == "inconclusive" and "answered no probe" in found.reason, found.reason


def test_gate_that_the_app_did_not_wait_for(tmp_path: Path) -> None:
    """The app begins at 1.1 beside its shipper, whose probe passes at 5.0 only."""
    world = logs.logs("classic")
    world.index["cell"]["scenario"] = "logs-gate"
    world.drop(world.stamps["sink.sink"], "sink.listening")
    world.stamp(4.5, "sink.sink", "sink.listening", port=8080)
    found = world.judged("logs.health-gate", tmp_path)
    assert found.observed == "inconclusive" and "did not wait" in found.reason, found.reason

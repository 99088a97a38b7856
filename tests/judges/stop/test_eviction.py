"""stop.eviction: whoever asks for the end, by eviction, preemption or drain, the order is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import stop
from tests.worlds.stop import (
    exited,
    shown,
    sidecar_crashes,
    signalled,
    unannounced,
)

Break = Callable[[World], object]
EVICTION = "stop.eviction"


def test_evictions_in_order(tmp_path: Path) -> None:
    found = stop.eviction().judged(EVICTION, tmp_path)
    assert found.observed == "holds"
    assert found.measured["hurried_signal_after_seconds"] == pytest.approx(3)


def late_kubelet_signals_all(world: World) -> None:
    """Both signals come at once, and so late that the grace period seems to be over."""
    signalled(world, "hurried", "app", 13.3)
    exited(world, "hurried", "app", 16.3, 137)
    signalled(world, "hurried", "envoy", 13.31)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda world: signalled(world, "subject", "envoy", 10.06),
        lambda world: signalled(world, "preempted", "envoy", 10.06),
        lambda world: signalled(world, "hurried", "envoy", 10.06),
        late_kubelet_signals_all,
    ],
)
def test_evictions_out_of_order(tmp_path: Path, wrong: Break) -> None:
    world = stop.eviction()
    wrong(world)
    assert shown(world.judged(EVICTION, tmp_path)) == ("broken", "wrong-order")


def test_a_hurried_sidecar_that_crashed_was_not_told(tmp_path: Path) -> None:
    world = stop.eviction()
    sidecar_crashes(world, "hurried", 10.5)
    for at in (11.0, 12.0, 13.0):
        world.stamp(at, "hurried.app", "request.begin", token="x", kind="steady")
    found = world.judged(EVICTION, tmp_path)
    assert shown(found) == ("broken", "sidecar-gone"), found.reason


@pytest.mark.parametrize(("role", "pattern"), [("subject", "native"), ("preempted", "classic")])
def test_a_sidecar_that_crashed_was_not_evicted_out_of_its_order(
    tmp_path: Path, role: str, pattern: str
) -> None:
    world = stop.eviction(pattern)
    sidecar_crashes(world, role, 12.0)
    found = world.judged(EVICTION, tmp_path)
    assert shown(found) == ("broken", "sidecar-gone"), found.reason


def hurried_app_crashes(world: World) -> None:
    """At its signal, and the sidecar is told behind its end: as it should be."""
    exited(world, "hurried", "app", 10.3, 1)
    world.drop(world.stamps["hurried.app"], "app.last")
    signalled(world, "hurried", "envoy", 10.4)


@pytest.mark.parametrize(
    "doubtful",
    [
        hurried_app_crashes,
        lambda world: exited(world, "preempted", "app", 10.2),  # ordered by chance
        lambda world: world.stamp(13.0, "hurried.app", "app.last"),  # in no hurry
        lambda world: world.drop(world.steps, "delete.asked", pod="preempted"),
        lambda world: signalled(world, "subject", "envoy", 14.099),
        lambda world: unannounced(world, "hurried", "envoy"),
    ],
)
def test_evictions_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.eviction()
    doubtful(world)
    assert world.judged(EVICTION, tmp_path).observed == "inconclusive"


def test_a_drain_in_order(tmp_path: Path) -> None:
    found = stop.drain().judged(EVICTION, tmp_path)
    assert found.observed == "holds"
    assert found.measured["hurried_signal_after_seconds"] == pytest.approx(8)
    assert (found.measured["refused_by_the_budget"], found.measured["one_at_a_time"]) == (2, True)


def at_once(world: World) -> None:
    """Both pods are told to go at the same moment, whatever the budget says."""
    for line in world.watch:
        if "deletionTimestamp" in line["object"]["metadata"]:
            line["ns"] = ns(10)


def test_a_budget_that_is_not_kept_is_seen(tmp_path: Path) -> None:
    world = stop.drain()
    at_once(world)
    assert world.judged(EVICTION, tmp_path).measured["one_at_a_time"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        lambda world: signalled(world, "subject", "envoy", 10.06),
        lambda world: signalled(world, "hurried", "envoy", 20.06),
    ],
)
def test_a_drain_out_of_order(tmp_path: Path, wrong: Break) -> None:
    world = stop.drain()
    wrong(world)
    assert shown(world.judged(EVICTION, tmp_path)) == ("broken", "wrong-order")


def drain_said(world: World, **said: object) -> None:
    world.commands[0] |= said


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: drain_said(world, code=1),  # it gave up
        lambda world: drain_said(world, out="node/node cordoned\npod/subject evicted\n"),
        lambda world: drain_said(world, out="node/node cordoned\n"),  # others deleted the pods
        lambda world: drain_said(world, command="kubectl uncordon node"),
        lambda world: world.commands.clear(),
        lambda world: exited(world, "subject", "app", 10.2),  # ordered by chance
        lambda world: world.stamp(27.0, "hurried.app", "app.last"),  # in no hurry
        lambda world: world.drop(world.steps, "delete.asked", pod="hurried"),
        lambda world: signalled(world, "subject", "envoy", 14.099),
        lambda world: world.index["cell"].update(scenario="lifecycle"),
    ],
)
def test_a_drain_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.drain()
    doubtful(world)
    assert world.judged(EVICTION, tmp_path).observed == "inconclusive"

"""node.kubelet-restart, node.runtime-restart: pods live through the restart of a node's service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import stop
from tests.worlds.stop import (
    ident,
    move,
    shown,
    sidecar_crashes,
    signalled,
)

Break = Callable[[World], object]
RESTARTS = ["node.kubelet-restart", "node.runtime-restart"]
CRASH = "crash.terminating"


@pytest.mark.parametrize("behaviour", RESTARTS)
def test_pods_live_through_a_restart(tmp_path: Path, behaviour: str) -> None:
    found = stop.restart().judged(behaviour, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["main_back_after_seconds"] == pytest.approx(1.3)
    assert found.measured["drained_gone_seconds"] == pytest.approx(14.4)


@pytest.mark.parametrize("behaviour", [*RESTARTS, "stop.order"])
def test_a_thin_journal_carries_no_verdict(tmp_path: Path, behaviour: str) -> None:
    """Neither of those that know of gaps in the events, nor of any other."""
    world = stop.restart()
    lost = {"ns": ns(10), "until_ns": ns(14), "unit": "containerd.service", "lines": 47}
    world.extra["suppressed.jsonl"] = json.dumps(lost) + "\n"
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive"
    assert "dropped 47 lines of containerd.service within 4.0 s" in found.reason
    assert found.evidence[0].file == "suppressed.jsonl"


def events_were_lost(world: World) -> None:
    gap = {"ns": ns(10.9), "until_ns": ns(13), "what": "containerd's event stream"}
    world.extra["gaps.jsonl"] = json.dumps(gap) + "\n"


def test_a_gap_in_the_events_is_known(tmp_path: Path) -> None:
    world = stop.restart()
    events_were_lost(world)
    found = world.judged(RESTARTS[1], tmp_path / "known")
    assert found.observed == "holds", found.reason
    assert found.measured["events_unwatched_seconds"] == pytest.approx(2.1)
    other = stop.terminating()
    events_were_lost(other)
    found = other.judged(CRASH, tmp_path / "unknown")
    assert found.observed == "inconclusive"
    assert "was not watched" in found.reason


def main_stays_dead(world: World) -> None:
    world.stamps["subject.app"] = [one for one in world.stamps["subject.app"] if one["ns"] < ns(15)]
    world.index["pods"]["subject"]["containers"]["app"]["ids"].pop()
    world.step(75.0, "end")


def new_id(role: str, container: str) -> Break:
    def of(world: World) -> None:
        world.index["pods"][role]["containers"][container]["ids"].append("9" * 64)

    return of


@pytest.mark.parametrize(
    ("wrong", "hazard"),
    [
        (main_stays_dead, "not-restarted"),
        (lambda world: world.stamp(12.5, "subject.app", "app.started"), "restarted"),
        (lambda world: world.stamp(14.5, "subject.envoy", "sidecar.started"), "restarted"),
        (lambda world: world.stamp(12.5, "drained.envoy", "sidecar.started"), "restarted"),
        (new_id("drained", "app"), "restarted"),
        (new_id("subject", "envoy"), "restarted"),
        (lambda world: signalled(world, "drained", "envoy", 13.1), "wrong-order"),
        (lambda world: signalled(world, "subject", "envoy", 25.1), "wrong-order"),
    ],
)
def test_restarts_that_break_something(tmp_path: Path, wrong: Break, hazard: str) -> None:
    world = stop.restart()
    wrong(world)
    found = world.judged(RESTARTS[0], tmp_path)
    assert shown(found) == ("broken", hazard), found.reason


def test_a_sidecar_that_crashed_after_a_restart_is_another_hazard(tmp_path: Path) -> None:
    world = stop.restart()
    sidecar_crashes(world, "drained", 20.0)
    found = world.judged(RESTARTS[0], tmp_path)
    assert shown(found) == ("broken", "sidecar-gone"), found.reason


def main_is_hardly_awaited(world: World) -> None:
    main_stays_dead(world)
    world.steps = [one for one in world.steps if one["ns"] < ns(20)]


def exit_is_lost_in_the_gap(world: World) -> None:
    world.unexited(ident("drained", "app"))


def never_restarted(world: World) -> None:
    """The service was asked to restart, and went on as it was."""
    world.extra["kubelet.log"] = world.extra["kubelet.log"].replace("700", "600")
    del world.extra["gaps.jsonl"]


@pytest.mark.parametrize("behaviour", RESTARTS)
def test_a_service_that_was_never_restarted_shows_nothing(tmp_path: Path, behaviour: str) -> None:
    world = stop.restart()
    never_restarted(world)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "restarted" in found.reason


@pytest.mark.parametrize(("begin", "end"), [(5.0, 6.0), (17.0, 18.0)])
def test_a_gap_at_another_time_shows_no_restart(tmp_path: Path, begin: float, end: float) -> None:
    world = stop.restart()
    gap = {"ns": ns(begin), "until_ns": ns(end), "what": "containerd's event stream"}
    world.extra["gaps.jsonl"] = json.dumps(gap) + "\n"
    found = world.judged(RESTARTS[1], tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "nothing shows that the service was restarted" in found.reason


@pytest.mark.parametrize(
    "doubtful",
    [
        main_is_hardly_awaited,
        exit_is_lost_in_the_gap,
        lambda world: world.drop(world.steps, "restart.answers"),
        lambda world: world.drop(world.stamps["subject.app"], "app.crash"),
        lambda world: move(world, "subject", "app", "app.crash", 10.5),
        lambda world: move(world, "drained", "app", "app.last", 12.5),  # not in mid-drain
        lambda world: world.drop(world.steps, "delete.asked", pod="drained"),
    ],
)
def test_restarts_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.restart()
    doubtful(world)
    found = world.judged(RESTARTS[0], tmp_path)
    assert found.observed == "inconclusive", found.reason

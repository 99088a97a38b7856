"""stop.short-grace, stop.total-time: what a grace period is used up for, and when a pod is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import stop
from tests.worlds.stop import (
    exited,
    lose,
    move,
    shown,
    signalled,
    unannounced,
)

Break = Callable[[World], object]
SHORT, TOTAL = "stop.short-grace", "stop.total-time"


def test_a_grace_period_that_is_used_up(tmp_path: Path) -> None:
    found = stop.grace().judged(SHORT, tmp_path)
    assert found.observed == "holds"
    assert found.measured["short_lost"] == 4
    assert found.measured["healed_lost"] == 0
    assert found.measured["signalled_after_seconds"] == {
        "app": 6.0, "envoy": 6.01, "second": 6.02,
    }  # fmt: skip
    assert found.measured["exit_codes"] == {"app": 137, "envoy": 0, "second": 137}


def test_a_grace_period_of_a_plain_sidecar(tmp_path: Path) -> None:
    assert stop.without_mesh(stop.grace()).judged(SHORT, tmp_path).observed == "holds"


def all_sidecars_at_the_deletion(world: World) -> None:
    """As 1.28; the kubelet comes late, so that it looks like the end of the grace period."""
    for name in ("envoy", "second"):
        signalled(world, "subject", name, 16.07)
    move(world, "subject", "app", "hook.begin", 16.06)
    signalled(world, "subject", "app", 22.07)
    exited(world, "subject", "app", 24.1, 137)


def in_turn(world: World) -> None:
    signalled(world, "subject", "envoy", 18.2)
    exited(world, "subject", "envoy", 19.8)


def second_is_spared(world: World) -> None:
    exited(world, "subject", "second", 19.1)


def second_is_killed_late(world: World) -> None:
    exited(world, "subject", "second", 24.1, 137)


def second_is_killed_at_once(world: World) -> None:
    exited(world, "subject", "second", 16.2, 137)


def grace_that_is_not_given(world: World) -> None:
    """All are signalled at the deletion, and killed 2 s later."""
    for place, name in enumerate(("app", "envoy", "second")):
        signalled(world, "subject", name, 10.2 + place / 100)
    exited(world, "subject", "envoy", 11.8)
    exited(world, "subject", "app", 12.22, 137)
    exited(world, "subject", "second", 12.23, 137)
    its = world.stamps["subject.app"]
    world.stamps["subject.app"] = [one for one in its if one["ns"] < ns(12.2)]
    gone(world, "subject", 13.0)


def signals_that_come_late(world: World) -> None:
    """One 1.7 s behind the others, and before any of them had an effect."""
    exited(world, "subject", "envoy", 17.75)
    signalled(world, "subject", "second", 17.7)
    exited(world, "subject", "second", 19.75, 137)


def lost_all_the_same(world: World) -> None:
    lose(world, "healed", 22.0)


@pytest.mark.parametrize(
    ("wrong", "hazard"),
    [
        (all_sidecars_at_the_deletion, "wrong-order"),
        (in_turn, "one-after-another"),
        (second_is_spared, "not-killed"),
        (second_is_killed_late, "late"),
        (second_is_killed_at_once, "late"),
        (grace_that_is_not_given, "early"),
        (lost_all_the_same, "lost-request"),
    ],
)
def test_a_grace_period_that_ends_otherwise(tmp_path: Path, wrong: Break, hazard: str) -> None:
    world = stop.grace()
    wrong(world)
    found = world.judged(SHORT, tmp_path)
    assert shown(found) == ("broken", hazard), found.reason


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.stamp(15.9, "subject.app", "hook.end"),  # the app had time enough
        lambda world: exited(world, "subject", "second", 21.5, 137),  # killed 3.5 s late
        signals_that_come_late,
        lambda world: signalled(world, "healed", "second", 20.0),
        lambda world: signalled(world, "healed", "envoy", 25.0),
        lambda world: unannounced(world, "subject", "second"),
        lambda world: world.drop(world.stamps["healed.app"], "request.end"),
        lambda world: world.drop(world.steps, "delete.asked", pod="healed"),
    ],
)
def test_a_grace_period_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.grace()
    doubtful(world)
    assert world.judged(SHORT, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_deletions_in_time(tmp_path: Path, pattern: str) -> None:
    found = stop.grace(pattern).judged(TOTAL, tmp_path)
    assert found.observed == "holds"
    assert found.measured["subject_last_exit_seconds"] == pytest.approx(8.1)
    assert found.measured["prompt_gone_seconds"] == pytest.approx(1.2)


def grace_twice(world: World) -> None:
    exited(world, "subject", "second", 22.2, 137)


def waits_for_nobody(world: World) -> None:
    """A sidecar whose turn never comes: it is killed when the grace period is over."""
    exited(world, "prompt", "envoy", 42.0, 137)
    gone(world, "prompt", 42.5)


def gone(world: World, role: str, at: float) -> None:
    (line,) = (
        one for one in world.watch
        if one["type"] == "DELETED" and one["object"]["metadata"]["name"] == role
    )  # fmt: skip
    line["ns"] = ns(at)


def gone_unseen(world: World, role: str) -> None:
    world.watch = [one for one in world.watch if one["object"]["metadata"]["name"] != role]


def tries_again(world: World) -> None:
    """The kubelet failed, and said so."""
    gone(world, "subject", 30.0)
    kubelet_says(world, 18.3, '"Error syncing pod" podUID="uid-subject"')


def kubelet_says(world: World, at: float, error: str) -> None:
    line = {
        "__REALTIME_TIMESTAMP": str(ns(at) // 1000),
        "MESSAGE": f"E1122 21:12:42 626 x.go:1] {error}",
    }
    world.extra["kubelet.log"] = json.dumps(line) + "\n"


def housekeeping(world: World) -> None:
    """The machine is slow; and an error's line about the pod is none of its failures."""
    gone(world, "prompt", 19.5)
    said = '"RemoveStaleState: removing container" podUID="uid-prompt" containerName="app"'
    kubelet_says(world, 13.3, said)


def failed_before_it_had_ended(world: World) -> None:
    """What the kubelet failed at while containers ran does not keep it from removing the pod."""
    gone(world, "prompt", 19.5)
    kubelet_says(world, 10.1, '"Error syncing pod" podUID="uid-prompt"')


@pytest.mark.parametrize("wrong", [grace_twice, waits_for_nobody, tries_again])
def test_deletions_that_take_too_long(tmp_path: Path, wrong: Break) -> None:
    world = stop.grace()
    wrong(world)
    found = world.judged(TOTAL, tmp_path)
    assert shown(found) == ("broken", "late"), found.reason


def begun_late(world: World) -> None:
    """Everything comes ten seconds after the deletion."""
    for step in world.steps:
        if step["step"].startswith("delete"):
            step["ns"] -= 10_000_000_000


@pytest.mark.parametrize(
    "doubtful",
    [
        begun_late,
        lambda world: exited(world, "subject", "second", 21.5, 137),  # slow, or wrong
        lambda world: exited(world, "prompt", "envoy", 17.0),
        lambda world: gone(world, "subject", 30.0),  # the kubelet does not say why
        lambda world: gone_unseen(world, "healed"),
        housekeeping,
        failed_before_it_had_ended,
    ],
)
def test_deletions_that_are_only_slow(tmp_path: Path, doubtful: Break) -> None:
    world = stop.grace()
    doubtful(world)
    assert world.judged(TOTAL, tmp_path).observed == "inconclusive"

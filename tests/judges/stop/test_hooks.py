"""stop.prestop-*, stop.stale-prestop-*: hooks that overlap, that help, and that take the proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import stop
from tests.worlds.stop import (
    exited,
    ident,
    lose,
    move,
    shown,
    signalled,
)

Break = Callable[[World], object]
CONCURRENT, WORKAROUND = "stop.prestop-concurrent", "stop.prestop-workaround"
QUIT, SLEEP = "stop.stale-prestop-quit", "stop.stale-prestop-sleep"


def test_hooks_that_overlap(tmp_path: Path) -> None:
    found = stop.hooks().judged(CONCURRENT, tmp_path)
    assert found.observed == "holds"
    assert found.measured["apart_ms"] == pytest.approx(10, abs=0.1)


def at_its_own_turn(world: World) -> None:
    move(world, "subject", "envoy", "hook.begin", 15.2)
    move(world, "subject", "envoy", "hook.end", 20.05)


def test_a_hook_that_waits_for_its_turn(tmp_path: Path) -> None:
    world = stop.hooks()
    at_its_own_turn(world)
    assert shown(world.judged(CONCURRENT, tmp_path)) == ("broken", "one-after-another")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.drop(world.stamps["subject.envoy"], "hook.begin"),
        lambda world: world.drop(world.stamps["subject.app"], "hook.end"),
        lambda world: move(world, "subject", "envoy", "hook.begin", 13.0),  # after the app's hook
        lambda world: signalled(world, "subject", "envoy", 10.055),  # a signal before all hooks
        lambda world: world.drop(world.steps, "delete.asked", pod="subject"),
    ],
)
def test_hooks_that_nothing_can_be_said_of(tmp_path: Path, doubtful: Break) -> None:
    world = stop.hooks()
    doubtful(world)
    assert world.judged(CONCURRENT, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_the_workaround_works(tmp_path: Path, pattern: str) -> None:
    found = stop.hooks(pattern).judged(WORKAROUND, tmp_path)
    assert found.observed == "holds"
    assert found.measured["lost"] == 0


def test_the_workaround_of_a_plain_sidecar(tmp_path: Path) -> None:
    assert stop.without_mesh(stop.hooks()).judged(WORKAROUND, tmp_path).observed == "holds"


def test_a_request_lost_behind_the_workaround(tmp_path: Path) -> None:
    world = stop.hooks()
    lose(world, "subject", 14.0)
    assert shown(world.judged(WORKAROUND, tmp_path)) == ("broken", "lost-request")


def test_a_sidecar_signalled_in_spite_of_its_hook(tmp_path: Path) -> None:
    world = stop.without_mesh(stop.hooks())
    signalled(world, "subject", "envoy", 13.0)
    assert shown(world.judged(WORKAROUND, tmp_path)) == ("broken", "wrong-order")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: move(world, "subject", "envoy", "hook.end", 14.0),  # it saved nothing
        lambda world: world.drop(world.stamps["subject.envoy"], "hook.end"),  # it never ran
        lambda world: world.drop(world.stamps["subject.app"], "request.end"),
    ],
)
def test_a_workaround_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.hooks()
    doubtful(world)
    assert world.judged(WORKAROUND, tmp_path).observed == "inconclusive"


def quits(world: World, role: str) -> None:
    """The sidecar ends by its hook, unsignalled."""
    world.journal = [one for one in world.journal if ident(role, "envoy") not in one[1]]
    world.drop(world.stamps[f"{role}.envoy"], "sidecar.sigterm")
    exited(world, role, "envoy", 10.4)


@pytest.mark.parametrize(("behaviour", "role"), [(QUIT, "quit"), (SLEEP, "asleep")])
def test_the_articles_hooks_take_the_proxy(tmp_path: Path, behaviour: str, role: str) -> None:
    world = stop.hooks()
    quits(world, role)
    lose(world, role, 10.4)
    found = world.judged(behaviour, tmp_path)
    assert shown(found) == ("broken", "lost-request")
    assert found.measured["lost"] > 40


@pytest.mark.parametrize(("behaviour", "role"), [(QUIT, "quit"), (SLEEP, "asleep")])
def test_the_articles_hooks_take_a_plain_sidecar(tmp_path: Path, behaviour: str, role: str) -> None:
    world = stop.without_mesh(stop.hooks())
    quits(world, role)
    assert shown(world.judged(behaviour, tmp_path)) == ("broken", "sidecar-gone")


def test_a_signal_behind_the_hook_is_not_the_cause(tmp_path: Path) -> None:
    """Where there is no order, the kubelet signals as soon as the hook is over."""
    world = stop.hooks("classic")
    move(world, "quit", "envoy", "hook.quit", 10.3)
    signalled(world, "quit", "envoy", 10.32)
    exited(world, "quit", "envoy", 10.5)
    lose(world, "quit", 10.5)
    assert shown(world.judged(QUIT, tmp_path)) == ("broken", "lost-request")


def test_a_sidecar_that_was_signalled_is_no_doing_of_its_hook(tmp_path: Path) -> None:
    world = stop.hooks()
    signalled(world, "quit", "envoy", 10.2)
    exited(world, "quit", "envoy", 11.7)
    lose(world, "quit", 11.7)
    assert shown(world.judged(QUIT, tmp_path)) == ("broken", "wrong-order")


def crashes_beside_its_hook(world: World) -> None:
    quits(world, "quit")
    exited(world, "quit", "envoy", 10.4, 137)
    lose(world, "quit", 10.4)


def gone_before_its_hook(world: World) -> None:
    quits(world, "quit")
    move(world, "quit", "envoy", "hook.begin", 10.6)
    lose(world, "quit", 10.4)


@pytest.mark.parametrize(
    "doubtful",
    [
        crashes_beside_its_hook,
        gone_before_its_hook,
        lambda world: world.drop(world.stamps["quit.envoy"], "hook.begin"),  # it never ran
        lambda world: world.drop(world.stamps["quit.envoy"], "hook.quit"),  # and told nobody
        lambda world: move(world, "quit", "envoy", "hook.quit", 15.3),  # or too late
        lambda world: quits(world, "quit"),  # gone early, and nothing was lost
        lambda world: lose(world, "quit", 12.0),  # lost, and the sidecar was there
        lambda world: world.drop(world.stamps["quit.app"], "request.end"),
        lambda world: world.drop(world.steps, "delete.asked", pod="quit"),
    ],
)
def test_a_stale_hook_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.hooks()
    doubtful(world)
    assert world.judged(QUIT, tmp_path).observed == "inconclusive"

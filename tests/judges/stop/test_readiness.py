"""stop.ready-during-drain: unready before the end, and by the probe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import Json, World, ns
from tests.worlds import readiness
from tests.worlds.stop import move, shown

READY = "stop.ready-during-drain"


def of(world: World, role: str) -> list[Json]:
    """The versions of a pod."""
    return [one for one in world.watch if one["object"]["metadata"]["name"] == role]


def say(world: World, role: str, name: str, ready: bool, since: float = 10.0) -> None:
    """What each version from then on says of a container that runs."""
    for one in of(world, role):
        for group in one["object"]["status"].values():
            for its in group if isinstance(group, list) else ():
                if its.get("name") == name and "running" in its["state"] and one["ns"] > ns(since):
                    its["ready"] = ready


def frozen(world: World, *names: str) -> World:
    """As on 1.35: called ready to the end."""
    for name in names or ("app", "envoy"):
        say(world, "subject", name, True)
    return world


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_unready_while_it_drains(tmp_path: Path, pattern: str) -> None:
    found = readiness.readiness(pattern).judged(READY, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["unready_after_seconds"] == {"app": 0.79, "envoy": 1.09}
    assert found.measured["twin_unready_after_seconds"] == 1.09
    assert "the app went on for 20.0 s" in found.reason


@pytest.mark.parametrize("names", [("app", "envoy"), ("app",), ("envoy",)])
def test_ready_to_the_end(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = frozen(readiness.readiness(), *names).judged(READY, tmp_path)
    assert shown(found) == ("broken", "ready-frozen"), found.reason
    assert all(name in found.reason for name in names)
    assert len(found.evidence) >= 6


def test_unready_by_its_end_alone_is_frozen(tmp_path: Path) -> None:
    """The kubelet's own test waited past the end, and saw nothing of the fault."""
    world = frozen(readiness.readiness(), "app")
    readiness.seen(world, 33.0, "subject", ended=("app",))
    assert shown(world.judged(READY, tmp_path)) == ("broken", "ready-frozen")


def unprobed(world: World) -> None:
    for one in of(world, "subject"):
        for its in one["object"]["spec"]["containers"]:
            its["readinessProbe"] = {"httpGet": {"port": 8081}}


def short(world: World) -> None:
    """The app ended two seconds after its withdrawal, and the sidecar with it."""
    frozen(world)
    for name, program in (("app", "app"), ("envoy", "sidecar")):
        move(world, "subject", name, f"{program}.last", 12.0)
    move(world, "subject", "envoy", "sidecar.sigterm", 11.9)


def late_news(world: World) -> None:
    """The news came when the app may have ended."""
    frozen(world, "app")
    readiness.seen(world, 30.15, "subject")
    world.watch.sort(key=lambda one: one["ns"])


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (unprobed, "app of subject has no exec readiness probe"),
        (short, "only after it had withdrawn its readiness"),
        (late_news, "cannot be told"),
        (lambda world: say(world, "subject", "app", False, 5.0), "not ready when"),
        (lambda world: say(frozen(world), "twin", "app", True), "of the twin, too"),
        (lambda world: world.drop(world.stamps["subject.app"], "hook.end"), "never told"),
        (lambda world: world.drop(world.stamps["twin.envoy"], "hook.end"), "never told"),
        (lambda world: world.watch.pop(), "never told that subject was gone"),
        (lambda world: world.drop(world.steps, "delete.asked"), "no deletion"),
    ],
)
def test_what_shows_nothing(tmp_path: Path, doubtful: Callable[[World], object], said: str) -> None:
    world = readiness.readiness()
    doubtful(world)
    found = world.judged(READY, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

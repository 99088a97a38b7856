"""crash.startup-gate: a restarted sidecar is called started when it has passed its probe again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import Json, World, ns
from tests.worlds import crash

GATE = "crash.startup-gate"
READY = 17.0  # the new container's own word


def of_the_next(world: World) -> list[tuple[int, Json]]:
    """What each version of the pod says of the sidecar's next container."""
    return [
        (one["ns"], its)
        for one in world.watch
        if one["kind"] == "Pod"
        for group in one["object"]["status"].values()
        for its in group
        if str(its.get("containerID", "")).endswith(crash.SECOND)
    ]


def ahead(world: World, **said: bool) -> None:
    """As on 1.35: called started, or ready, by the first version that tells of it."""
    for _, its in of_the_next(world):
        its.update(said)


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_gate_that_is_shut_again(tmp_path: Path, pattern: str) -> None:
    found = crash.liveness(pattern).judged(GATE, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["started_after_readiness_seconds"] == 0.3
    assert found.measured["status_ahead_seconds"] is None


@pytest.mark.parametrize("said", [{"started": True}, {"ready": True}])
@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_status_that_is_inherited(tmp_path: Path, pattern: str, said: dict[str, bool]) -> None:
    world = crash.liveness(pattern)
    ahead(world, **said)
    found = world.judged(GATE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "gate-skipped"), found.reason
    assert found.measured["status_ahead_seconds"] == 3.5
    assert f"called {next(iter(said))} 3.50 s before it was ready" in found.reason


def without_closed(world: World) -> None:
    world.watch = [
        one for one in world.watch
        if one["kind"] != "Pod" or not ns(13) < one["ns"] < ns(READY)
    ]  # fmt: skip


def never_started(world: World) -> None:
    for _, its in of_the_next(world):
        its.update(started=False, ready=False)


def at_once(world: World) -> None:
    """The status came in the moment of the sidecar's own word."""
    for one in world.watch:
        if one["ns"] > ns(READY):
            one["ns"] = world.lines("subject.envoy", "sidecar.ready")[-1]["ns"]


def unprobed(world: World) -> None:
    for one in world.watch:
        for container in one["object"].get("spec", {}).get("initContainers", ()):
            container.pop("startupProbe", None)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (without_closed, "before it was ready"),
        (never_started, "was not called started in the 2.3 s"),
        (at_once, "came first cannot be told"),
        (unprobed, "no startup probe"),
        (lambda world: world.stamps["subject.envoy"].pop(), "never said that it was ready"),
        (lambda world: world.drop(world.steps, "crash.asked"), "no crash is in steps"),
    ],
)
def test_what_shows_nothing(tmp_path: Path, doubtful: Callable[[World], object], said: str) -> None:
    world = crash.liveness()
    doubtful(world)
    found = world.judged(GATE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

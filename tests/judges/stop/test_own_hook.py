"""stop.stale-prestop: what a native sidecar's own hook does to an app that goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import wire
from tests.forge.bundle import ENVOY, PEER, POD, World
from tests.worlds import lifecycle

BEHAVIOUR = "stop.stale-prestop"
Break = Callable[[World], object]


def test_the_proxy_stays(tmp_path: Path) -> None:
    found = lifecycle.lifecycle("native").judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("holds", ""), found.reason
    assert found.measured["hook_after_app_sigterm_ms"] == pytest.approx(50, abs=1)
    assert found.measured["requests_after"] >= 20
    assert found.measured["connections_per_request_before"]


@pytest.mark.parametrize(
    ("who", "kind"), [("subject.app", "drain"), ("peer.app", "quick"), ("peer.app", "stream")]
)
def test_a_request_lost_after_the_hook_is_a_hazard(tmp_path: Path, who: str, kind: str) -> None:
    """As on 1.28, where the proxy ends beside the app."""
    world = lifecycle.lifecycle("native")
    world.unexited(ENVOY)
    world.exited(12.0, ENVOY)
    world.attempt(12.0, who, kind, 999, "reset")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-request")
    assert found.evidence[0].file == "stamps/subject.envoy.jsonl"


def test_a_request_lost_with_the_proxy_there_is_another_hazard(tmp_path: Path) -> None:
    world = lifecycle.lifecycle("native")
    world.attempt(12.0, "subject.app", "drain", 999, "reset")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-while-the-sidecar-lived")


@pytest.mark.parametrize("at", [9.0, 14.9])
def test_what_is_lost_before_the_hook_or_at_the_apps_end_is_not_the_hooks(
    tmp_path: Path, at: float
) -> None:
    world = lifecycle.lifecycle("native")
    world.attempt(at, "peer.app", "quick", 999, "reset")
    assert world.judged(BEHAVIOUR, tmp_path).observed == "holds"


def test_a_side_that_was_never_answered_tells_nothing_of_the_hook(tmp_path: Path) -> None:
    world = lifecycle.lifecycle("native")
    for line in world.stamps["subject.app"]:
        if line["event"] == "request.end":
            line["outcome"] = "reset"
    for seq in range(20):
        world.attempt(11 + seq / 10, "peer.app", "quick", 500 + seq, "ok")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "holds", found.reason
    assert "reset" not in found.measured["requests_by_outcome"]


def test_a_side_that_was_answered_after_the_hook_alone_tells_nothing_of_it(tmp_path: Path) -> None:
    world = lifecycle.lifecycle("native")
    for line in world.stamps["subject.app"]:
        if line["event"] == "request.end" and ".steady." in line["token"]:
            line["outcome"] = "reset"
    world.attempt(12.0, "subject.app", "drain", 999, "reset")
    for seq in range(20):
        world.attempt(11 + seq / 10, "peer.app", "quick", 500 + seq, "ok")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "holds", found.reason
    assert "reset" not in found.measured["requests_by_outcome"]


def long_connection(until: float) -> Break:
    def of(world: World) -> None:
        says = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.sealed())]
        says += [(seq % 2, wire.sealed()) for seq in range(30)]
        step = round((until - 7.0) * 1000 / len(says)) * wire.MS
        world.talk(7.0, (PEER, world.next_port()), (POD, 8080), *says, step=step)

    return of


@pytest.mark.parametrize(("until", "ended"), [(12.0, 1), (16.0, 0)])
def test_connections_that_were_open_are_followed(tmp_path: Path, until: float, ended: int) -> None:
    before = lifecycle.lifecycle("native").judged(BEHAVIOUR, tmp_path / "before").measured
    world = lifecycle.lifecycle("native")
    long_connection(until)(world)
    found = world.judged(BEHAVIOUR, tmp_path).measured
    assert found["open_connections"] == before["open_connections"] + 1
    assert found["open_connections_ended"] == before["open_connections_ended"] + ended


def silence(world: World) -> None:
    for who in ("subject.app", "peer.app"):
        world.drop(world.stamps[who], "request.end", kind="drain")
        world.drop(world.stamps[who], "request.begin", kind="drain")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.drop(world.stamps["subject.envoy"], "sidecar.drain"),
        lambda world: world.drop(world.stamps["subject.app"], "app.sigterm"),
        lambda world: world.drop(world.steps, "delete.asked"),
        lambda world: world.index.update(app_drain_seconds=1),
        silence,
    ],
)
def test_what_cannot_carry_a_verdict(tmp_path: Path, doubtful: Break) -> None:
    world = lifecycle.lifecycle("native")
    doubtful(world)
    assert world.judged(BEHAVIOUR, tmp_path).observed == "inconclusive"

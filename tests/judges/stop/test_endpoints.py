"""stop.endpoints: a pod has left its Service before its sidecar ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import PEER, World, ns
from tests.worlds import stop
from tests.worlds.stop import (
    exited,
    ident,
    shown,
)

Break = Callable[[World], object]
ENDPOINTS = "stop.endpoints"


def test_a_pod_that_leaves_in_time(tmp_path: Path) -> None:
    found = stop.endpoints().judged(ENDPOINTS, tmp_path)
    assert found.observed == "holds"
    assert found.measured["left_after_seconds"]["late"] == pytest.approx(4.3, abs=0.2)


@pytest.mark.parametrize("kind", ["quick", "late"])
def test_a_new_request_that_is_lost(tmp_path: Path, kind: str) -> None:
    world = stop.endpoints()
    line = next(
        one for one in world.lines("peer.app", "request.end", kind=kind) if one["ns"] > ns(12)
    )
    line["outcome"] = "refused"
    exited(world, "subject", "envoy", 12.0)
    assert shown(world.judged(ENDPOINTS, tmp_path)) == ("broken", "lost-request")


@pytest.mark.parametrize("pattern", ["classic", "native"])
def test_a_new_request_that_is_lost_beside_a_living_proxy(tmp_path: Path, pattern: str) -> None:
    """Every proxy outlives its app: what was lost at 12 s was not lost by a proxy's end."""
    world = stop.endpoints(pattern)
    line = next(
        one for one in world.lines("peer.app", "request.end", kind="late") if one["ns"] > ns(12)
    )
    line["outcome"] = "reset"
    found = world.judged(ENDPOINTS, tmp_path)
    assert shown(found) == ("broken", "lost-while-the-sidecar-lived"), found.reason


def test_a_new_request_that_is_lost_while_the_proxy_still_drains(tmp_path: Path) -> None:
    """Another pod resets it, just after the deletion: the classic proxy drains to 11.6 s."""
    world = stop.endpoints("classic")
    exited(world, "subject", "envoy", 11.6)
    world.signalled(10.06, ident("subject", "envoy"))
    world.attempt(10.1, "peer.app", "quick", 903, "reset")
    found = world.judged(ENDPOINTS, tmp_path)
    assert shown(found) == ("broken", "lost-while-the-sidecar-lived"), found.reason


def test_a_request_that_came_when_the_app_had_ended(tmp_path: Path) -> None:
    """kube-proxy is late, and the way to the pod takes 0.7 s: the app accepts until 19 s."""
    world = stop.endpoints()
    for number, at in enumerate((16.0, 17.0, 18.0), 910):
        its = world.attempt(at, "peer.app", "late", number, "ok")
        world.served(at + 0.3, at + 0.31, "subject.app", its, "10.244.0.5")
    detail = "503 upstream connect error: connection refused"
    world.attempt(18.5, "peer.app", "late", 930, "wrong", took=0.75, detail=detail)
    found = world.judged(ENDPOINTS, tmp_path)
    assert found.observed == "inconclusive" and "too late" in found.reason


def fails_anyway(world: World) -> None:
    """A machine that is too slow loses requests before anybody is deleted, too."""
    lines = world.lines("peer.app", "request.end", kind="late")
    for line in lines:
        if ns(9.0) < line["ns"] < ns(9.3) or ns(12.0) < line["ns"] < ns(12.3):
            line["outcome"] = "timeout"


def times_out(world: World) -> None:
    world.attempt(12.0, "peer.app", "quick", 902, "timeout")
    world.attempt(12.0, "peer.app", "late", 902, "wrong", detail="503 connection timeout")


def times_out_in_a_crowd(world: World) -> None:
    times_out(world)
    for seq in range(12):
        world.attempt(11.0, "standby.app", "steady", 950 + seq, "ok", took=1.5)


def test_new_requests_that_hang_on_a_machine_that_has_time_are_lost(tmp_path: Path) -> None:
    world = stop.endpoints()
    times_out(world)
    assert shown(world.judged(ENDPOINTS, tmp_path)) == ("broken", "timed-out")


def never_an_endpoint(world: World) -> None:
    """All requests went to the other pod, before the deletion as well."""
    world.stamps["standby.app"] += world.lines("subject.app", "served")
    world.drop(world.stamps["subject.app"], "served")


def never_leaves(world: World) -> None:
    its = world.attempt(18.0, "peer.app", "late", 900, "ok")
    world.served(18.005, 18.006, "subject.app", its, PEER)


def answered_by_a_stranger(world: World) -> None:
    world.attempt(12.0, "peer.app", "quick", 901, "ok")


@pytest.mark.parametrize(
    "doubtful",
    [
        fails_anyway,
        times_out_in_a_crowd,
        never_an_endpoint,
        never_leaves,
        answered_by_a_stranger,
        lambda world: world.drop(world.stamps["subject.app"], "app.sigterm"),
        lambda world: world.stamps.pop("standby.app"),
    ],
)
def test_endpoints_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = stop.endpoints()
    doubtful(world)
    assert world.judged(ENDPOINTS, tmp_path).observed == "inconclusive"

"""A crowded machine makes requests time out that nobody lost; it closes no connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.verdicts import expectations
from tests.forge.bundle import World, ns
from tests.worlds import leaks, lifecycle, mesh, move, stop
from tests.worlds.stop import ident

# (a world, whose losses at what time its judge looks at)
WORLDS = {
    "stop.app-egress": (lifecycle.lifecycle, "subject.app", "drain", 12.0),
    "stop.stale-prestop": (lifecycle.lifecycle, "subject.app", "drain", 12.0),
    "stop.keepalive": (mesh.keepalive, "subject.app", "pool", 12.0),
    "plane.rotation": (mesh.keepalive, "peer.app", "touch", 7.5),
    "plane.outage": (mesh.outage, "running.app", "steady", 5.0),
    "move.rollout": (move.rollout, "subject.app", "steady", 7.0),
    "stop.prestop-workaround": (stop.hooks, "subject.app", "drain", 12.5),
    "stop.short-grace": (stop.grace, "healed.app", "drain", 20.0),
}


def crowd(world: World, who: str, kind: str, at: float, late: int) -> None:
    """Answers that come, but late."""
    for seq in range(late):
        world.attempt(at + seq / 100, who, kind, 7000 + seq, "ok", took=1.5)


def world_of(behaviour: str, outcome: str, late: int) -> World:
    made, who, kind, at = WORLDS[behaviour]
    world: World = made()
    world.attempt(at, who, kind, 8000, outcome, took=2.0)
    crowd(world, who, kind, at, late)
    return world


@pytest.mark.parametrize("behaviour", WORLDS)
class TestCrowd:
    def test_a_timeout_among_late_answers_is_nobodys(self, tmp_path: Path, behaviour: str) -> None:
        found = world_of(behaviour, "timeout", late=12).judged(behaviour, tmp_path)
        assert found.observed == "inconclusive", found.reason
        assert "too crowded" in found.reason

    @pytest.mark.parametrize("late", [0, 1])
    def test_a_timeout_on_a_machine_that_had_time_is_a_loss(
        self, tmp_path: Path, behaviour: str, late: int
    ) -> None:
        found = world_of(behaviour, "timeout", late).judged(behaviour, tmp_path)
        assert found.observed == "broken", found.reason

    @pytest.mark.parametrize("outcome", ["reset", "closed", "refused", "wrong"])
    def test_what_did_not_merely_time_out_is_a_loss(
        self, tmp_path: Path, behaviour: str, outcome: str
    ) -> None:
        found = world_of(behaviour, outcome, late=12).judged(behaviour, tmp_path)
        assert found.observed == "broken", found.reason


def stall(late: int, apart: float = 0.0) -> World:
    """One times out in the middle, beside some 20 that are answered at once and a few late ones;
    1,500 others are answered at once."""
    made = world_of("plane.outage", "timeout", late=0)
    for seq in range(1500):
        made.attempt(9 + seq / 200, "running.app", "steady", 5000 + seq, "ok", took=0.004)
    for seq in range(late):
        made.attempt(5.2 + apart + seq / 100, "running.app", "steady", 7000 + seq, "ok", took=1.5)
    return made


class TestStall:
    def test_a_timeout_in_a_stall_that_is_short_beside_the_window_is_nobodys(
        self, tmp_path: Path
    ) -> None:
        found = stall(late=26).judged("plane.outage", tmp_path)
        assert found.observed == "inconclusive", found.reason
        assert "while 26 were answered after more than a second" in found.reason

    @pytest.mark.parametrize("made", [stall(late=4), stall(late=14), stall(late=26, apart=2.5)])
    def test_a_timeout_is_a_loss_where_few_or_a_minority_or_others_after_it_came_late(
        self, tmp_path: Path, made: World
    ) -> None:
        found = made.judged("plane.outage", tmp_path)
        assert found.observed == "broken", found.reason


@pytest.mark.parametrize("behaviour", [one for one in WORLDS if one != "plane.outage"])
def test_a_loss_that_merely_timed_out_reproduces_no_other_hazard(
    tmp_path: Path, behaviour: str
) -> None:
    """A slow machine does it too, and so no control arm may be content with it."""
    found = world_of(behaviour, "timeout", 0).judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "timed-out"), found.reason


def test_no_control_arm_expects_a_mere_timeout() -> None:
    assert not [one for one in expectations.table() if "timed-out" in one.expectation.hazards]


@pytest.mark.parametrize("late", ["subject.app", "peer.app"])
@pytest.mark.parametrize("behaviour", ["stop.in-flight", "stop.app-egress"])
def test_both_pods_share_the_machine(tmp_path: Path, behaviour: str, late: str) -> None:
    """On one so crowded that most requests of one pod are lost, few of its own come late."""
    world = lifecycle.lifecycle()
    if behaviour == "stop.in-flight":
        for end in world.lines("peer.app", "request.end"):
            if end["ns"] > ns(10.1) and end["kind"] in ("inflight", "stream"):
                end["outcome"] = "timeout"
    else:
        world.attempt(12.0, "subject.app", "drain", 8000, "timeout", took=2.0)
    crowd(world, late, "steady" if late == "subject.app" else "quick", 8.0, 12)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "too crowded" in found.reason


def test_a_proxy_that_could_not_connect_in_its_time_was_late_too(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    said = "503 upstream connect error. reset reason: connection timeout"
    world.attempt(12.0, "subject.app", "drain", 8000, "wrong", took=1.9, detail=said)
    assert world.judged("stop.app-egress", tmp_path / "time").observed == "broken"
    crowd(world, "subject.app", "drain", 12.0, 12)
    assert world.judged("stop.app-egress", tmp_path / "crowd").observed == "inconclusive"


@pytest.mark.parametrize(
    ("outcome", "late", "observed"),
    [
        ("timeout", 12, "inconclusive"),
        ("timeout", 1, "broken"),
        ("refused", 12, "broken"),
    ],
)
def test_a_first_request_has_a_crowd_around_it_too(
    tmp_path: Path, outcome: str, late: int, observed: str
) -> None:
    world = lifecycle.lifecycle()
    (end,) = world.lines("subject.app", "request.end", kind="first")
    end["outcome"] = outcome
    crowd(world, "peer.app", "quick", 8.0, late)
    assert world.judged("start.first-request", tmp_path).observed == observed


def test_late_answers_alone_are_answers(tmp_path: Path) -> None:
    world = mesh.outage()
    crowd(world, "running.app", "steady", 5.0, 12)
    assert world.judged("plane.outage", tmp_path).observed == "holds"


def test_connections_that_timed_out_in_a_crowd_are_nobodys(tmp_path: Path) -> None:
    world = mesh.keepalive()
    for one in world.stamps["subject.app"]:
        if one["event"] == "kept.closed" and one["kind"] == "pool":
            one.update(how="timeout", ns=one["ns"] - 2_000_000_000)
    world.attempt(11.0, "subject.app", "pool", 8000, "timeout", took=2.0)
    crowd(world, "subject.app", "pool", 10.5, 12)
    assert world.judged("stop.keepalive", tmp_path).observed == "inconclusive"


def before_the_app() -> World:
    """An init container's only request."""
    world: World = lifecycle.init()
    world.attempt(5.04, "subject.init", "init", 800, "timeout", took=2.0)
    crowd(world, "peer.app", "quick", 6.6, 12)
    return world


def by_six() -> World:
    """A request among those by IPv6 and IPv4, twelve of which were answered after 1.5 s."""
    world: World = leaks.ipv6()
    world.attempt(8.0, "subject.app", "steady", 8000, "timeout", took=2.0)
    answered = world.lines("subject.app", "request.end", kind="steady", outcome="ok")
    for one in answered[30:42]:
        one["ns"] += 1_500_000_000
        one["mono_ns"] += 1_500_000_000
    return world


def the_first_behind_an_outage() -> World:
    world: World = mesh.outage()
    (end,) = world.lines("subject.app", "request.end", kind="first")
    end["outcome"] = "timeout"
    crowd(world, "running.app", "steady", 5.0, 12)
    return world


@pytest.mark.parametrize(
    ("behaviour", "made"),
    [
        ("start.init-traffic", before_the_app),
        ("leak.ipv6", by_six),
        ("plane.outage", the_first_behind_an_outage),
    ],
)
def test_a_timeout_of_other_requests_in_a_crowd(
    tmp_path: Path, behaviour: str, made: Callable[[], World]
) -> None:
    found = made().judged(behaviour, tmp_path)
    assert found.observed == "inconclusive" and "too crowded" in found.reason, found.reason


def test_a_timeout_beside_the_articles_hook_is_not_its_doing(tmp_path: Path) -> None:
    """The sidecar drained for almost as long as the app, and one request timed out before."""
    world = stop.hooks()
    its = ident("quit", "envoy")
    world.unexited(its)
    world.exited(15.0, its)
    world.drop(world.stamps["quit.envoy"], "sidecar.last")
    world.journal = [one for one in world.journal if its not in one[1]]
    world.drop(world.stamps["quit.envoy"], "sidecar.sigterm")
    world.attempt(11.0, "quit.app", "drain", 8000, "timeout", took=2.0)
    found = world.judged("stop.stale-prestop-quit", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "timed-out"), found.reason

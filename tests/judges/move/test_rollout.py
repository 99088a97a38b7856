"""move.rollout: two pods, one move, and who is to blame for what was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import Judged, World, ns, token
from tests.worlds import move

BEHAVIOUR = "move.rollout"
Break = Callable[[World], object]


def to_native(folder: Path, new: Break | None = None, old: Break | None = None) -> Judged:
    world = move.rollout("native", lossless=False)
    if new:
        new(world)
    if old:
        old(world.former)
    return world.judged(BEHAVIOUR, folder)


def all_answered(world: World) -> None:
    for line in world.stamps["former.app"]:
        if line["event"] == "request.end":
            line["outcome"] = "ok"


def test_what_the_classic_pod_loses_at_its_end_is_its_own(tmp_path: Path) -> None:
    found = to_native(tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-by-classic"), found.reason
    assert found.measured["lost_by_cause"] == {"of the former classic pod while it ended": 3}
    assert found.measured["lost_not_by_classic"] == 0
    assert found.measured["former_tls_bytes"] > 1000 < found.measured["subject_tls_bytes"]


def test_nothing_lost_holds_and_states_its_floor(tmp_path: Path) -> None:
    found = to_native(tmp_path, old=all_answered)
    assert found.observed == "holds", found.reason
    assert found.measured["requests"] > 50
    assert "95 %" in found.reason


def test_what_the_classic_pod_loses_at_its_start_is_its_own(tmp_path: Path) -> None:
    found = move.rollout("classic").judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-by-classic"), found.reason
    assert list(found.measured["lost_by_cause"]) == ["of the new classic pod while it started"]


def lost(who: str, kind: str, at: float) -> Break:
    return lambda world: world.attempt(at, who, kind, 999, "reset")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (lost("subject.app", "steady", 5.5), None),
        (lost("subject.app", "steady", 7.5), None),
        (lost("peer.app", "quick", 2.0), None),
        (lost("peer.app", "quick", 9.0), None),
        (None, lost("former.app", "steady", 2.0)),
    ],
)
def test_any_other_loss_is_the_moves_own(
    tmp_path: Path, new: Break | None, old: Break | None
) -> None:
    found = to_native(tmp_path, new, old)
    assert (found.observed, found.hazard) == ("broken", "lost-request"), found.reason
    assert found.measured["lost_not_by_classic"] == 1
    assert len(found.evidence) == 1


def test_a_native_pod_that_loses_at_its_end_is_no_classic_one(tmp_path: Path) -> None:
    world = move.rollout("classic")
    lost("former.app", "drain", 7.5)(world.former)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.hazard == "lost-by-native"
    assert len(found.evidence) == 1


def test_a_native_pod_that_loses_in_its_steady_life_is_the_moves_own(tmp_path: Path) -> None:
    world = move.rollout("classic")
    lost("former.app", "steady", 2.0)(world.former)
    lost("former.app", "drain", 7.5)(world.former)
    assert world.judged(BEHAVIOUR, tmp_path).hazard == "lost-request"


def test_what_the_peer_loses_while_the_classic_pod_ends_is_the_classic_pods(
    tmp_path: Path,
) -> None:
    found = to_native(tmp_path, lost("peer.app", "quick", 8.0), all_answered)
    assert found.hazard == "lost-by-classic"
    assert found.measured["lost_by_cause"] == {"of the peer while the former classic pod ended": 1}


def test_what_hangs_when_the_former_pod_goes_is_lost_however_late_it_ends(tmp_path: Path) -> None:
    """Its sender's patience outlasts the move."""
    world = move.rollout()
    world.attempt(8.2, "peer.app", "inflight", 900, "timeout", took=6.0)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "timed-out"), found.reason


def test_what_is_cut_when_the_new_pod_is_taken_away_is_no_loss_of_the_move(tmp_path: Path) -> None:
    world = move.rollout()
    world.attempt(8.2, "peer.app", "inflight", 900, "closed", took=6.0)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "holds", found.reason


def test_what_hangs_as_the_classic_pod_goes_does_not_hide_what_it_lost(tmp_path: Path) -> None:
    world = move.rollout("native", lossless=False)
    world.attempt(8.2, "peer.app", "inflight", 900, "timeout", took=6.0)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-by-classic"), found.reason


def test_what_a_classic_pod_loses_beside_its_living_proxy(tmp_path: Path) -> None:
    world = move.rollout("native", lossless=True)
    world.unexited(move.FORMER_ENVOY)
    world.exited(8.55, move.FORMER_ENVOY)
    world.former.attempt(7.1, "former.app", "drain", 999, "reset")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-request"), found.reason


def test_what_a_new_classic_pod_loses_behind_its_ready_proxy(tmp_path: Path) -> None:
    """The proxy's probe passed at 5.0 s, and the pod was ready at 6.5 s."""
    world = move.rollout("classic")
    for line in world.stamps["subject.app"]:
        if line["event"] == "request.end" and line["ns"] < ns(9):
            line["outcome"] = "ok"
    world.attempt(6.2, "subject.app", "steady", 999, "reset")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-request"), found.reason


@pytest.mark.parametrize("at", [-3.0, 3.0, 8.0])
def test_plaintext_of_the_former_pod_is_seen(tmp_path: Path, at: float) -> None:
    found = to_native(tmp_path, old=lambda world: world.leak(at, token("steady", 777)))
    assert (found.observed, found.hazard) == ("broken", "plaintext")
    assert found.evidence[0].file == "capture/former-1/eth0.pcap"


def test_plaintext_of_the_new_pod_is_seen(tmp_path: Path) -> None:
    found = to_native(tmp_path, lambda world: world.leak(7.0, token("steady", 777)))
    assert (found.observed, found.hazard) == ("broken", "plaintext")
    assert found.evidence[0].file == "capture/subject/eth0.pcap"


def drop_control(world: World) -> None:
    world.frames = [one for one in world.frames if b".control." not in one[1]]


@pytest.mark.parametrize(
    ("new", "old", "retry"),
    [
        (lambda world: world.drop_beacon(70), None, True),
        (None, lambda world: world.drop_beacon(70), True),
        (drop_control, None, False),
        (None, drop_control, False),
        (lambda world: world.drop(world.steps, "rollout.end"), None, False),
        (None, lambda world: world.watch.clear(), False),
        (None, lambda world: world.frames.clear(), False),
    ],
)
def test_what_was_not_watched_is_inconclusive(
    tmp_path: Path, new: Break | None, old: Break | None, retry: bool
) -> None:
    found = to_native(tmp_path, new, old)
    assert found.observed == "inconclusive", found.reason
    assert found.retry == retry


@pytest.mark.parametrize("who", ["peer.app", "former.app", "subject.app"])
def test_a_pod_that_asked_for_nothing_shows_no_loss(tmp_path: Path, who: str) -> None:
    world = move.rollout()
    all_answered(world.former)
    stamps = (world.former if who == "former.app" else world).stamps
    world.drop(stamps[who], "request.begin")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "are needed" in found.reason


def test_a_move_from_the_same_pattern_is_none(tmp_path: Path) -> None:
    world = move.rollout("native")
    world.former = move.rollout("classic").former
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "inconclusive"
    assert "native" in found.reason


class TestUpgrade:
    """move.upgrade: both pods of one pattern, of two control planes."""

    BEHAVIOUR = "move.upgrade"

    def test_native_pods_lose_nothing(self, tmp_path: Path) -> None:
        found = move.upgrade("native").judged(self.BEHAVIOUR, tmp_path)
        assert (found.behaviour, found.observed) == (self.BEHAVIOUR, "holds"), found.reason

    def test_classic_pods_lose_what_they_always_lose(self, tmp_path: Path) -> None:
        found = move.upgrade("classic").judged(self.BEHAVIOUR, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "lost-by-classic")

    @pytest.mark.parametrize(
        ("who", "kind", "at"), [("subject.app", "steady", 8.0), ("peer.app", "quick", 2.0)]
    )
    def test_a_loss_is_the_upgrades_own(
        self, tmp_path: Path, who: str, kind: str, at: float
    ) -> None:
        world = move.upgrade("native")
        lost(who, kind, at)(world)
        found = world.judged(self.BEHAVIOUR, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "lost-request")

    def test_a_native_pod_that_ends_is_told_by_its_name(self, tmp_path: Path) -> None:
        world = move.upgrade("native")
        lost("peer.app", "quick", 7.8)(world)
        found = world.judged(self.BEHAVIOUR, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "lost-by-native")

    def test_one_control_plane_is_no_upgrade(self, tmp_path: Path) -> None:
        world = move.upgrade("native")
        (step,) = [one for one in world.steps if one["step"] == "control-planes"]
        step["subject"] = "default"
        assert world.judged(self.BEHAVIOUR, tmp_path).observed == "inconclusive"

    def test_another_pattern_is_no_upgrade(self, tmp_path: Path) -> None:
        world = move.upgrade("native")
        world.former = move.upgrade("classic").former
        assert world.judged(self.BEHAVIOUR, tmp_path).observed == "inconclusive"

    def test_unknown_control_planes_are_inconclusive(self, tmp_path: Path) -> None:
        world = move.upgrade("native")
        world.drop(world.steps, "control-planes")
        assert world.judged(self.BEHAVIOUR, tmp_path).observed == "inconclusive"


def test_what_the_proxies_sent_again_is_counted(tmp_path: Path) -> None:
    none = move.upgrade().judged("move.upgrade", tmp_path / "none").measured
    assert none["retried_by_the_proxies"] is None
    world = move.upgrade()
    path = f"/echo/{token('steady', 1)}"
    for attempts in (1, 1, 2, 3):
        world.mesh(8.0, outbound=True, path=path, attempts=attempts)
    world.mesh(-3.0, outbound=True, path=path, attempts=2)  # before the move
    witness = f"/echo/{token('mesh-witness', 1)}"  # which never answers, and is always asked again
    world.mesh(8.0, outbound=True, path=witness, attempts=3)
    found = world.judged("move.upgrade", tmp_path / "some")
    assert found.measured["retried_by_the_proxies"] == 2, found.reason


@pytest.mark.parametrize(("begun", "counts"), [(9.2, False), (8.0, True)])
def test_a_request_that_the_end_of_the_cell_cuts_is_no_loss(
    tmp_path: Path, begun: float, counts: bool
) -> None:
    """One that was begun when the former pod had gone may be under way when the new one is taken
    away; one from before has had its sender's whole patience."""

    def cut(world: World) -> None:
        its = world.attempt(begun, "peer.app", "inflight", 999, "ok")
        world.drop(world.stamps["peer.app"], "request.end", token=its)

    found = to_native(tmp_path, cut, all_answered)
    assert (found.observed == "broken") == counts, found.reason

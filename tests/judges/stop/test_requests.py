"""stop.in-flight, stop.app-egress: what is lost, and whether the sidecar's end made it so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from conformance.plan.sidecars import REGISTRY
from conformance.verdicts import expectations
from tests.forge import bundle as forge
from tests.forge.bundle import APP, ENVOY, EPOCH, World, ns
from tests.worlds import lifecycle
from tests.worlds.doubts import inconclusive, never_deleted, not_injected

Break = Callable[[World], object]
FLIGHT, EGRESS = "stop.in-flight", "stop.app-egress"
BESIDE = "lost-while-the-sidecar-lived"


def test_in_flight_holds(tmp_path: Path) -> None:
    found = lifecycle.lifecycle().judged(FLIGHT, tmp_path)
    assert found.observed == "holds"
    assert found.measured["in_flight"] == found.measured["reached_the_app"] == 6
    assert found.measured["rate_bound_95"] == 0.5


def test_classic_loses_what_outlasts_the_proxys_drain(tmp_path: Path) -> None:
    found = lifecycle.lifecycle("classic").judged(FLIGHT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-request")
    assert found.measured["lost"] == len(found.evidence) > 0


@pytest.mark.parametrize(
    ("outcomes", "hazard"),
    [
        (["reset"], "reset"),
        (["refused"], "refused"),
        (["reset", "refused"], "lost-request"),
        (["timeout"], "timed-out"),
        (["timeout", "reset"], "lost-request"),
    ],
)
def test_how_requests_are_lost(tmp_path: Path, outcomes: list[str], hazard: str) -> None:
    world = lifecycle.lifecycle("classic")
    ends = [one for one in world.lines("peer.app", "request.end") if one["outcome"] == "wrong"]
    for end, outcome in zip(ends, cycle(outcomes), strict=False):
        end["outcome"] = outcome
    found = world.judged(FLIGHT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard)
    assert found.measured["lost"] == len(ends) == found.measured["lost_from_the_sidecars_end"] > 1


def test_a_native_loss_is_not_the_sidecars_end(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    next(one for one in world.lines("peer.app", "request.end") if one["ns"] > ns(10.1))[
        "outcome"
    ] = "reset"
    found = world.judged(FLIGHT, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", BESIDE, 1)


def dropped_by_the_app(world: World) -> None:
    """All that is lost is lost at the app's own SIGTERM, while its proxy still drains."""
    for end in world.lines("peer.app", "request.end"):
        if end["outcome"] != "ok":
            early = end["ns"] - ns(10.2)
            end["ns"] -= early
            end["mono_ns"] -= early


def never_gone(world: World) -> None:
    """The classic sidecar never ended at all: its signal was announced, and nothing came of it."""
    world.unexited(forge.ENVOY)


@pytest.mark.parametrize(
    ("wrong", "behaviour"),
    [(dropped_by_the_app, FLIGHT), (never_gone, FLIGHT), (never_gone, EGRESS)],
)
def test_a_loss_that_the_sidecars_end_did_not_make_reproduces_nothing(
    tmp_path: Path, wrong: Break, behaviour: str
) -> None:
    world = lifecycle.lifecycle("classic")
    wrong(world)
    found = world.judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE), found.reason
    assert "none of them from the sidecar's end" in found.reason
    rows = [one for one in expectations.table() if BESIDE in one.expectation.hazards]
    assert rows
    for row in rows:  # only where the app is out of the sidecar's reach, to prove that judges see
        (sidecar,) = row.conditions["sidecar"]
        assert set(row.conditions["mode"]) <= set(REGISTRY[sidecar].controls), row


@pytest.mark.parametrize("behaviour", [FLIGHT, EGRESS])
def test_a_proxy_that_is_reaped_late_ended_when_its_drain_was_over(
    tmp_path: Path, behaviour: str
) -> None:
    world = lifecycle.lifecycle("classic")
    never_gone(world)
    world.exited(14.9, forge.ENVOY)
    found = world.judged(behaviour, tmp_path)
    assert found.hazard in {"refused", "lost-request"}, found.reason


def test_a_request_without_an_end_is_lost(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    end = next(one for one in world.lines("peer.app", "request.end") if one["ns"] > ns(10.1))
    end["outcome"] = "reset"
    other = next(one for one in world.lines("peer.app", "request.end") if one["ns"] > end["ns"])
    world.stamps["peer.app"].remove(other)
    found = world.judged(FLIGHT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["requests_by_outcome"] == {"ok": 4, "reset": 1, "unended": 1}


def test_requests_whose_ends_were_never_written_prove_nothing(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.stamps["peer.app"] = [one for one in world.stamps["peer.app"] if one["ns"] < ns(10.2)]
    inconclusive(world, FLIGHT, tmp_path, "only after the app itself had ended")


def none_in_flight(world: World) -> None:
    world.stamps["peer.app"] = [
        one for one in world.stamps["peer.app"]
        if one.get("kind") not in ("inflight", "stream") or one["ns"] < ns(6)
    ]  # fmt: skip


def none_had_arrived(world: World) -> None:
    world.drop(world.stamps["subject.app"], "served", phase="begin")


def over_within_the_sidecars_drain(world: World) -> None:
    """A sidecar that was signalled at once would have answered them, too."""
    world.stamps["peer.app"] = [
        one for one in world.stamps["peer.app"]
        if one.get("kind") not in ("inflight", "stream") or one["ns"] < ns(8.0)
        or (one["event"] == "request.end" and one["ns"] < ns(11.4))
    ]  # fmt: skip


def app_ended_first(world: World) -> None:
    """The app left its requests alone: whoever is to blame, it is not the sidecar."""
    world.drop(world.stamps["subject.app"], "app.last")
    world.stamp(10.2, "subject.app", "app.last")
    for end in world.lines("peer.app", "request.end"):
        if end["ns"] > ns(10.3):
            end["outcome"] = "reset"


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (none_in_flight, "no request was being answered"),
        (none_had_arrived, "no request was being answered"),
        (app_ended_first, "cannot be blamed"),
        (over_within_the_sidecars_drain, "would have lived as long"),
        (never_deleted, "no deletion"),
        (not_injected, "never injected"),
        (lambda world: world.missing.add("stamps/peer.app.jsonl"), "peer.app.jsonl is missing"),
    ],
)
def test_what_cannot_carry_in_flight(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    inconclusive(world, FLIGHT, tmp_path, said)


def test_egress_holds(tmp_path: Path) -> None:
    found = lifecycle.lifecycle().judged(EGRESS, tmp_path)
    assert found.observed == "holds"
    assert found.measured["requests"] == 24
    assert found.measured["drain_seconds_watched"] > 4


def test_classic_egress_is_refused_once_the_proxy_is_gone(tmp_path: Path) -> None:
    found = lifecycle.lifecycle("classic").judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "refused")
    assert 0 < found.measured["lost"] < found.measured["requests"]


def test_one_lost_request_is_enough(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.lines("subject.app", "request.end", kind="drain")[5]["outcome"] = "closed"
    found = world.judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["lost"] == 1


def test_a_request_that_never_ended_is_lost(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    lines = world.stamps["subject.app"]
    lines.remove(world.lines("subject.app", "request.end", kind="drain")[5])
    found = world.judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)


def test_answered_past_the_sidecar(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    for begin in world.lines("subject.app", "request.begin", kind="drain"):
        begin["via"] = "proxy"
    for end in world.lines("subject.app", "request.end", kind="drain")[:-1]:
        end["via"] = "proxy"
    found = world.judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "bypassed")
    assert found.measured["past_the_sidecar"] == 1


def too_few(world: World) -> None:
    kept = {forge.token("drain", seq) for seq in (24, 25)}
    world.stamps["subject.app"] = [
        one for one in world.stamps["subject.app"]
        if one.get("kind") != "drain" or one["token"] in kept
    ]  # fmt: skip


def drained_no_longer_than_the_sidecar(world: World) -> None:
    """Signalled together, both would have lived as long: all is answered, and nothing shown."""
    lines = world.stamps["subject.app"]
    lines[:] = [one for one in lines if one.get("kind") != "drain" or one["ns"] < ns(11.4)]


def never_told(world: World) -> None:
    world.drop(world.stamps["subject.app"], "app.sigterm")


def killed(world: World) -> None:
    world.drop(world.stamps["subject.app"], "app.last")


def answered_by_nobody(world: World) -> None:
    world.drop(world.stamps["peer.app"], "served")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (too_few, "2 requests of the app after its SIGTERM"),
        (drained_no_longer_than_the_sidecar, "would have lived as long"),
        (never_told, "never said that it got SIGTERM"),
        (killed, "never came to its last"),
        (answered_by_nobody, "did not serve them then"),
        (not_injected, "never injected"),
    ],
)
def test_what_cannot_carry_egress(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    inconclusive(world, EGRESS, tmp_path, said)


def test_in_flight_lost_before_the_answer_to_the_deletion_was_read(tmp_path: Path) -> None:
    """The sidecar cuts what it carries at the deletion; the observer reads the API's answer 0.2 s
    later (seen: 0.37 s, the app's SIGTERM 0.17 s before it), when another request is under way."""
    world = lifecycle.lifecycle()
    for step in world.steps:
        if step["step"] == "delete.accepted":
            step["ns"] = ns(10.2)
    begun = {one["token"]: one["ns"] for one in world.lines("peer.app", "request.begin")}
    for one in world.lines("peer.app", "request.end"):
        if begun[one["token"]] < ns(10) < one["ns"]:
            one |= {"ns": ns(10.08), "mono_ns": ns(10.08) - EPOCH + 1_000_000, "outcome": "reset"}
    found = world.judged("stop.in-flight", tmp_path)
    assert found.observed == "broken", found.reason


def test_what_came_until_a_late_kubelet_acted_is_in_flight_too(tmp_path: Path) -> None:
    """All are signalled at once, 1.7 s after the deletion (seen in a measured run): what was in
    flight at the deletion ends before the sidecar does, and what came since is lost with it."""
    world = lifecycle.lifecycle()
    world.journal = [one for one in world.journal if APP not in one[1] and ENVOY not in one[1]]
    world.unexited(ENVOY)
    for who in ("subject.envoy", "subject.app"):
        for event in ("sidecar.sigterm", "sidecar.drained", "sidecar.last", "app.sigterm"):
            world.drop(world.stamps[who], event)
    for ident in (APP, ENVOY):
        world.signalled(11.7, ident)
    world.stamp(11.71, "subject.app", "app.sigterm")
    world.stamp(11.71, "subject.envoy", "sidecar.sigterm")
    world.exited(13.25, ENVOY)
    lost = {
        one["token"] for one in world.lines("peer.app", "request.begin") if one["ns"] > ns(10.05)
    }
    for one in world.lines("peer.app", "request.end"):
        if one["token"] in lost and one["ns"] > ns(13.2):
            one |= {"ns": ns(13.24), "mono_ns": ns(13.24) - EPOCH + 1_000_000, "outcome": "reset"}
    order = world.copy().judged("stop.order", tmp_path / "order")
    assert (order.observed, order.hazard) == ("broken", "wrong-order")  # it is that world
    found = world.judged("stop.in-flight", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "reset"), found.reason

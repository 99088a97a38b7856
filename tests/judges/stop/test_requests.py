"""stop.order, stop.in-flight, stop.app-egress: what must have been seen of the end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from conformance.verdicts import expectations
from tests.forge import bundle as forge
from tests.forge.bundle import APP, ENVOY, EPOCH, World, ns
from tests.worlds import lifecycle as worlds

ORDER, FLIGHT, EGRESS = "stop.order", "stop.in-flight", "stop.app-egress"
BESIDE = "lost-while-the-sidecar-lived"
Break = Callable[[World], object]


def inconclusive(world: World, behaviour: str, folder: Path, said: str) -> None:
    found = world.judged(behaviour, folder)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- order


def test_native_order_holds_with_its_gap(tmp_path: Path) -> None:
    found = worlds.lifecycle().judged(ORDER, tmp_path)
    assert found.observed == "holds"
    assert found.measured["smallest_ordered_gap_ms"] == pytest.approx(90, abs=0.1)
    assert {one.file for one in found.evidence} == {
        "stamps/subject.app.jsonl",
        "runtime.log",
        "containerd.log",
        "stamps/subject.envoy.jsonl",
    }


def test_classic_order_is_wrong(tmp_path: Path) -> None:
    found = worlds.lifecycle("classic").judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order")
    assert found.measured["smallest_ordered_gap_ms"] < -5000


def told_by_another(world: World) -> None:
    """A signal that containerd knows nothing of; its own comes in the right order."""
    world.stamp(12.0, "subject.envoy", "sidecar.sigterm")


def told_once_too_early(world: World) -> None:
    world.signalled(12.0, forge.ENVOY)
    world.drop(world.stamps["subject.envoy"], "sidecar.sigterm")
    world.stamp(12.01, "subject.envoy", "sidecar.sigterm")


def another_app_lives_on(world: World) -> None:
    """The app ended in time, but a second app container had not."""
    containers = world.index["pods"]["subject"]["containers"]
    containers["worker"] = {"id": "d" * 64, "ids": ["d" * 64], "image": "i", "image_id": "i"}
    world.created(5.4, "d" * 64)
    world.exited(16.0, "d" * 64)
    world.stamp(15.9, "subject.worker", "app.last")


def app_never_ended(world: World) -> None:
    """Killed with the sandbox: no exit was noticed, but the app wrote on."""
    world.unexited(forge.APP)
    world.stamp(15.9, "subject.app", "request.begin", token=forge.token("drain", 900), kind="drain")


def without_stamps_of_its_own(world: World) -> None:
    """As most real sidecars: the journal alone knows, and the exit comes after the app's."""
    del world.stamps["subject.envoy"]
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.signalled(10.046, forge.ENVOY)


@pytest.mark.parametrize(
    "wrong",
    [
        without_stamps_of_its_own,
        told_by_another,
        told_once_too_early,
        another_app_lives_on,
        app_never_ended,
    ],
)
def test_native_worlds_with_a_wrong_order(tmp_path: Path, wrong: Break) -> None:
    world = worlds.lifecycle()
    wrong(world)
    found = world.judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def test_a_sidecar_that_ends_by_itself_is_another_hazard(tmp_path: Path) -> None:
    world = worlds.lifecycle()
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.stamps["subject.envoy"] = world.stamps["subject.envoy"][:3]
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.ENVOY]
    world.created(1.0, forge.ENVOY)
    world.exited(12.0, forge.ENVOY, 1)
    found = world.judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "sidecar-gone")


def test_a_signal_from_before_the_deletion_is_another_story(tmp_path: Path) -> None:
    """A failing liveness probe had the sidecar restarted in the middle of the pod's life."""
    world = worlds.lifecycle()
    world.signalled(8.0, forge.ENVOY)
    world.stamp(8.01, "subject.envoy", "sidecar.sigterm")
    found = world.judged(ORDER, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_signal_that_was_felt_may_have_been_sent_long_before(tmp_path: Path) -> None:
    """Its announcement is lost: a sidecar that was too busy to feel it would look the same."""
    world = worlds.lifecycle()
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    inconclusive(world, ORDER, tmp_path, "cannot be told")


def test_order_holds_for_a_sidecar_without_stamps(tmp_path: Path) -> None:
    world = worlds.lifecycle()
    del world.stamps["subject.envoy"]
    assert world.judged(ORDER, tmp_path).observed == "holds"


def app_ended_before(world: World) -> None:
    """Nothing was left to be ordered."""
    for who in ("subject.app",):
        world.stamps[who] = [one for one in world.stamps[who] if one["ns"] < ns(8)]
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.APP]
    world.created(5.3, forge.APP)
    world.exited(8.0, forge.APP, 1)


def app_ended_at_once(world: World) -> None:
    """Two signals at once, and an app that does not drain: ordered by chance."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.APP]
    world.created(5.3, forge.APP)
    world.exited(10.06, forge.APP)
    world.stamps["subject.app"] = [
        one for one in world.stamps["subject.app"] if one["ns"] < ns(10.055)
    ]
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.signalled(10.07, forge.ENVOY)


def no_exit(world: World) -> None:
    world.unexited(forge.APP)


def nobody_told(world: World) -> None:
    world.journal = []
    world.drop(world.stamps["subject.envoy"], "sidecar.sigterm")
    world.unexited(forge.ENVOY)


def at_the_same_moment(world: World) -> None:
    """The signal between the app's last stamp and its exit."""
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.signalled(15.105, forge.ENVOY)


def only_the_stamp(world: World) -> None:
    """Felt after the exit, but nobody knows when it was sent: the stamp is its latest moment."""
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.stamps["subject.envoy"] = world.stamps["subject.envoy"][:3]


def never_deleted(world: World) -> None:
    world.drop(world.steps, "delete.asked")
    world.drop(world.steps, "delete.accepted")


def not_injected(world: World) -> None:
    world.index["admitted"]["pattern"] = "none"


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (app_ended_before, "nothing was left"),
        (app_ended_at_once, "by chance"),
        (no_exit, "its exit is not in runtime.log"),
        (nobody_told, "neither a signal"),
        (at_the_same_moment, "cannot be told"),
        (only_the_stamp, "cannot be told"),
        (never_deleted, "no deletion"),
        (not_injected, "never injected"),
        (lambda world: world.missing.add("runtime.log"), "runtime.log is missing"),
    ],
)
def test_what_cannot_carry_an_order(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds.lifecycle()
    doubtful(world)
    inconclusive(world, ORDER, tmp_path, said)


# --- in flight


def test_in_flight_holds(tmp_path: Path) -> None:
    found = worlds.lifecycle().judged(FLIGHT, tmp_path)
    assert found.observed == "holds"
    assert found.measured["in_flight"] == found.measured["reached_the_app"] == 6
    assert found.measured["rate_bound_95"] == 0.5


def test_classic_loses_what_outlasts_the_proxys_drain(tmp_path: Path) -> None:
    found = worlds.lifecycle("classic").judged(FLIGHT, tmp_path)
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
    world = worlds.lifecycle("classic")
    ends = [one for one in world.lines("peer.app", "request.end") if one["outcome"] == "wrong"]
    for end, outcome in zip(ends, cycle(outcomes), strict=False):
        end["outcome"] = outcome
    found = world.judged(FLIGHT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard)
    assert found.measured["lost"] == len(ends) == found.measured["lost_from_the_sidecars_end"] > 1


def test_a_native_loss_is_not_the_sidecars_end(tmp_path: Path) -> None:
    world = worlds.lifecycle()
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
    world = worlds.lifecycle("classic")
    wrong(world)
    found = world.judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE), found.reason
    assert "none of them from the sidecar's end" in found.reason
    rows = [one for one in expectations.table() if BESIDE in one.expectation.hazards]
    assert len(rows) == 1, "only where the app is out of the sidecar's reach"


@pytest.mark.parametrize("behaviour", [FLIGHT, EGRESS])
def test_a_proxy_that_is_reaped_late_ended_when_its_drain_was_over(
    tmp_path: Path, behaviour: str
) -> None:
    world = worlds.lifecycle("classic")
    never_gone(world)
    world.exited(14.9, forge.ENVOY)
    found = world.judged(behaviour, tmp_path)
    assert found.hazard in {"refused", "lost-request"}, found.reason


def test_a_request_without_an_end_is_lost(tmp_path: Path) -> None:
    world = worlds.lifecycle()
    end = next(one for one in world.lines("peer.app", "request.end") if one["ns"] > ns(10.1))
    end["outcome"] = "reset"
    other = next(one for one in world.lines("peer.app", "request.end") if one["ns"] > end["ns"])
    world.stamps["peer.app"].remove(other)
    found = world.judged(FLIGHT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["requests_by_outcome"] == {"ok": 4, "reset": 1, "unended": 1}


def test_requests_whose_ends_were_never_written_prove_nothing(tmp_path: Path) -> None:
    world = worlds.lifecycle()
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
    world = worlds.lifecycle()
    doubtful(world)
    inconclusive(world, FLIGHT, tmp_path, said)


# --- egress


def test_egress_holds(tmp_path: Path) -> None:
    found = worlds.lifecycle().judged(EGRESS, tmp_path)
    assert found.observed == "holds"
    assert found.measured["requests"] == 24
    assert found.measured["drain_seconds_watched"] > 4


def test_classic_egress_is_refused_once_the_proxy_is_gone(tmp_path: Path) -> None:
    found = worlds.lifecycle("classic").judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "refused")
    assert 0 < found.measured["lost"] < found.measured["requests"]


def test_one_lost_request_is_enough(tmp_path: Path) -> None:
    world = worlds.lifecycle()
    world.lines("subject.app", "request.end", kind="drain")[5]["outcome"] = "closed"
    found = world.judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["lost"] == 1


def test_a_request_that_never_ended_is_lost(tmp_path: Path) -> None:
    world = worlds.lifecycle()
    lines = world.stamps["subject.app"]
    lines.remove(world.lines("subject.app", "request.end", kind="drain")[5])
    found = world.judged(EGRESS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)


def test_answered_past_the_sidecar(tmp_path: Path) -> None:
    world = worlds.lifecycle()
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
        (too_few, "2 requests after its SIGTERM"),
        (drained_no_longer_than_the_sidecar, "would have lived as long"),
        (never_told, "never said that it got SIGTERM"),
        (killed, "never came to its last"),
        (answered_by_nobody, "never served them"),
        (not_injected, "never injected"),
    ],
)
def test_what_cannot_carry_egress(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds.lifecycle()
    doubtful(world)
    inconclusive(world, EGRESS, tmp_path, said)


def test_in_flight_lost_before_the_answer_to_the_deletion_was_read(tmp_path: Path) -> None:
    """The sidecar cuts what it carries at the deletion; the observer reads the API's answer 0.2 s
    later (seen: 0.37 s, the app's SIGTERM 0.17 s before it), when another request is under way."""
    world = worlds.lifecycle()
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
    world = worlds.lifecycle()
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

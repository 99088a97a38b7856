"""leak.ephemeral: what an ephemeral container sends after the end of app and proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.model import Cell, Finding
from conformance.verdicts import expectations
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import ENVOY, World, clear_request, ns, token
from tests.worlds import leaks, lifecycle

BEHAVIOUR = "leak.ephemeral"
LATE = 19.0  # app and proxy have ended
Break = Callable[[World], object]


def outcome(found: Finding, mode: str, pattern: str = "native") -> str:
    cell = Cell("1.33", "envoy", pattern, mode, "ephemeral")  # type: ignore[arg-type]
    return expectations.hold(cell, found, expectations.expected(BEHAVIOUR, cell)).outcome


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_refused_it_holds_and_tells_when_it_was_ended(tmp_path: Path, pattern: str) -> None:
    found = leaks.ephemeral(pattern).judged(BEHAVIOUR, tmp_path)
    assert found.observed == "holds", found.reason
    measured = found.measured
    assert measured["told_after_deletion_seconds"] == 0.05
    assert measured["ended_after_deletion_seconds"] == 11.4
    proxy = 16.75 if pattern == "native" else lifecycle.SIDECAR_GONE_CLASSIC
    assert measured["outlived_proxy_seconds"] == pytest.approx(21.4 - proxy, abs=0.02)
    assert measured["waited_for_by_the_proxy"] is False
    assert set(measured["visits_after_proxy_and_app"]) == {"refused"}
    assert set(measured["visits_before_deletion"]) == {"ok"}
    assert measured["requests_tried"] >= 40
    assert outcome(found, "init-rules", pattern) == "pass"
    assert outcome(found, "sidecar-rules", pattern) == "not-reproduced"


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_in_clear_it_is_broken(tmp_path: Path, pattern: str) -> None:
    found = leaks.ephemeral(pattern, clear=True).judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason
    assert set(found.measured["leaked_requests_by"]) == {"visitor"}
    assert ".visit.visitor." in found.reason
    assert outcome(found, "sidecar-rules", pattern) == "reproduced"
    assert outcome(found, "init-rules", pattern) == "fail"


def test_one_request_in_clear_is_a_leak(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    leaks.visit(world, LATE, 900, "reset", clear=True)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext")


def test_it_counts_behind_the_last_beacon_too(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    world.leak(leaks.NETNS_GONE + 0.1, token("visit", 900, "visitor"))
    assert world.judged(BEHAVIOUR, tmp_path).hazard == "plaintext"


def test_somebody_elses_leak_is_not_the_hazard_that_is_expected(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    world.leak(LATE, token("steady", 900))
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "unowned")
    assert outcome(found, "sidecar-rules") == outcome(found, "init-rules") == "fail"


def test_past_a_proxy_that_is_there_is_another_hazard(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    leaks.visit(world, 9.6, 900, "reset", clear=True)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "bypassed")
    assert outcome(found, "sidecar-rules") == "fail"


def test_what_the_draining_app_leaks_is_not_its(tmp_path: Path) -> None:
    world = leaks.ephemeral("classic")
    world.leak(13.0, token("drain", 900))
    assert world.judged(BEHAVIOUR, tmp_path).observed == "holds"


# What cannot carry a verdict.


def never_attached(world: World) -> None:
    for line in world.watch:
        line["object"]["spec"].pop("ephemeralContainers", None)


def ended_before_the_proxy(world: World) -> None:
    own = world.stamps["subject.visitor"]
    own[:] = [one for one in own if one["ns"] < ns(16.0)]


def silent_afterwards(world: World) -> None:
    own = world.stamps["subject.visitor"]
    own[:] = [one for one in own if one["ns"] < ns(17.0)]


def no_exit(world: World) -> None:
    world.unexited(leaks.VISITOR)


def proxy_never_ended(world: World) -> None:
    world.unexited(ENVOY)


def capture_ended_with_the_proxy(world: World) -> None:
    world.frames = [one for one in world.frames if one[0] < ns(17)]
    world.agent = [one for one in world.agent if one["ns"] < ns(17)]
    world.note(17.0, "ended", code=-9)


def blind_afterwards(world: World) -> None:
    world.drop_beacon(190)


def never_carried(world: World) -> None:
    for line in world.lines("subject.visitor", "request.end"):
        line["outcome"] = "refused"


def the_peer_never_served_it(world: World) -> None:
    own = world.stamps["peer.app"]
    own[:] = [one for one in own if ".visit." not in one.get("token", "")]


def no_control(world: World) -> None:
    world.frames = [one for one in world.frames if b".control." not in one[1]]


def answered_on_another_way(world: World) -> None:
    for line in world.lines("subject.visitor", "request.end"):
        line["outcome"] = "ok"


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (never_attached, "was ever in the pod"),
        (ended_before_the_proxy, "0 requests of the ephemeral container after"),
        (silent_afterwards, "are needed"),
        (no_exit, "no exit of visitor"),
        (proxy_never_ended, "no exit of envoy"),
        (capture_ended_with_the_proxy, "did not last"),
        (blind_afterwards, "capture blind"),
        (never_carried, "0 requests of the container were answered"),
        (the_peer_never_served_it, "0 requests of the container were answered"),
        (no_control, "judge blind"),
        (answered_on_another_way, "they went another way"),
    ],
)
def test_what_cannot_carry_a_verdict_is_inconclusive(
    tmp_path: Path, breaks: Break, why: str
) -> None:
    world = leaks.ephemeral()
    breaks(world)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert why in found.reason


def test_payload_that_cannot_be_judged_is_inconclusive(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    world.talk(LATE, (forge.POD, 33333), (forge.PEER, 8080), (0, wire.sealed()), syn=False)
    assert world.judged(BEHAVIOUR, tmp_path).observed == "inconclusive"


def test_the_witness_alone_saw_it(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    world.witnessed(LATE, 9000, clear_request(token("mesh-witness", 9, "visitor")))
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "broken"

"""start.init-traffic: what the app's own init containers send, and what it met on its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import token
from tests.worlds import lifecycle

BEHAVIOUR = "start.init-traffic"


def test_through_the_sidecar(tmp_path: Path) -> None:
    found = lifecycle.init("native").judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("holds", ""), found.reason
    assert found.measured["init_requests"] == 8
    assert found.measured["init_by_outcome"] == {"ok": 8}
    assert found.measured["tls_bytes"] > 1000


def test_in_clear(tmp_path: Path) -> None:
    found = lifecycle.init("classic").judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason
    assert found.measured["leaked_requests"] == 8
    assert token("init", 0) in found.evidence[0].text
    assert found.evidence[0].frame


def test_one_leak_among_good_requests_is_a_leak(tmp_path: Path) -> None:
    world = lifecycle.init("native")
    world.leak(5.1, token("init", 3))
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext")


def test_what_the_app_leaks_later_is_not_the_init_containers(tmp_path: Path) -> None:
    world = lifecycle.init("native")
    world.leak(8.0, token("steady", 900))
    assert world.judged(BEHAVIOUR, tmp_path).observed == "holds"


@pytest.mark.parametrize("outcome", ["refused", "reset", "timeout"])
def test_lost_and_not_in_clear(tmp_path: Path, outcome: str) -> None:
    world = lifecycle.init("native")
    for line in world.lines("subject.init", "request.end"):
        line["outcome"] = outcome
    found = world.judged(BEHAVIOUR, tmp_path)
    hazard = outcome if outcome != "timeout" else "lost-request"
    assert (found.observed, found.hazard) == ("broken", hazard)


def test_no_init_container_is_inconclusive(tmp_path: Path) -> None:
    found = lifecycle.lifecycle("native").judged(BEHAVIOUR, tmp_path)
    assert found.observed == "inconclusive"


def test_answers_that_the_peer_never_gave_are_inconclusive(tmp_path: Path) -> None:
    world = lifecycle.init("native")
    for seq in range(8):
        world.drop(world.stamps["peer.app"], "served", token=token("init", seq))
    assert world.judged(BEHAVIOUR, tmp_path).observed == "inconclusive"


def test_a_silent_init_container_is_inconclusive(tmp_path: Path) -> None:
    world = lifecycle.init("native")
    world.stamps["subject.init"] = world.stamps["subject.init"][:3]
    assert world.judged(BEHAVIOUR, tmp_path).observed == "inconclusive"


def test_a_blind_capture_is_inconclusive_and_tried_again(tmp_path: Path) -> None:
    world = lifecycle.init("native")
    world.drop_beacon(50)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "inconclusive" and found.retry


def test_a_control_plane_that_knows_of_no_refusal_is_fine(tmp_path: Path) -> None:
    world: forge.World = lifecycle.lifecycle()
    world.extra["mesh/nacks.jsonl"] = ""
    assert world.judged("start.order", tmp_path).observed == "holds"

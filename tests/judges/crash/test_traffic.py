"""crash.no-plaintext, crash.outcome: what becomes of traffic while the sidecar is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns, token
from tests.worlds import crash
from tests.worlds.crash import came_back_once_only, never_died

CLEAR, OUTCOME = "crash.no-plaintext", "crash.outcome"
Break = Callable[[World], object]
LEAKED = token("steady", 777)
BOTH = pytest.mark.parametrize("pattern", ["native", "classic"])


@BOTH
def test_nothing_in_clear_while_it_is_away(tmp_path: Path, pattern: str) -> None:
    found = crash.crash(pattern).judged(CLEAR, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["crash_requests_while_away"] == 24
    assert found.measured["proxy_crash_requests_while_away"] == 69
    assert found.measured["crash_window_seconds"] == 5.3


@pytest.mark.parametrize(
    ("at", "observed"),
    [(9.9, "holds"), (10.05, "broken"), (14.9, "broken"), (16.5, "holds"), (31.0, "broken"),
     (33.0, "holds")],
)  # fmt: skip
def test_a_leak_counts_in_the_windows_of_crashes_only(
    tmp_path: Path, at: float, observed: str
) -> None:
    world = crash.crash()
    world.leak(at, LEAKED)
    found = world.judged(CLEAR, tmp_path)
    assert found.observed == observed, found.reason
    if observed == "broken":
        assert found.hazard == "plaintext"
        assert LEAKED in found.evidence[0].text
        leaks = [found.measured[f"{name}_leaked_requests"] for name in ("crash", "proxy_crash")]
        assert leaks == ([1, 0] if at < 16 else [0, 1])


def test_plaintext_that_was_there_before_the_crash_is_another_hazard(tmp_path: Path) -> None:
    """A redirection that never worked needs no crash."""
    world = crash.crash()
    for seq in range(120):
        world.leak(7.0 + seq * 0.2, token("steady", 900 + seq))
    found = world.judged("crash.no-plaintext", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext-while-the-sidecar-lived")


def blind_in_the_window(world: World) -> None:
    world.drop_beacon(120)


def app_paused(world: World) -> None:
    """The app sent nothing just while the sidecar was away."""
    world.stamps["subject.app"] = [
        one for one in world.stamps["subject.app"] if not ns(10.15) < one["ns"] < ns(15.1)
    ]


def no_control(world: World) -> None:
    world.frames = [one for one in world.frames if b".control." not in one[1]]


@pytest.mark.parametrize(
    ("blind", "said"),
    [
        (blind_in_the_window, "capture blind in the crash window"),
        (app_paused, "tried nothing for"),
        (no_control, "judge blind"),
        (never_died, "was made to 2 times"),
        (came_back_once_only, "never came back after the proxy crash"),
    ],
)
def test_no_leak_was_seen_and_that_means_nothing(tmp_path: Path, blind: Break, said: str) -> None:
    world = crash.crash()
    blind(world)
    found = world.judged(CLEAR, tmp_path / "blind")
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason
    if blind is never_died:
        return
    world.leak(19.0, LEAKED)
    assert world.judged(CLEAR, tmp_path / "leak").observed == "broken"


@BOTH
def test_what_becomes_of_each_request_is_counted(tmp_path: Path, pattern: str) -> None:
    found = crash.crash(pattern).judged(OUTCOME, tmp_path)
    assert found.observed == "holds", found.reason
    measured = found.measured
    assert measured["crash_sent_while_away"] == {"refused": 24, "in clear": 0}
    assert measured["crash_received_while_away"]["wrong"] > 20
    assert measured["crash_under_way"] == {"wrong": 3}
    assert measured["proxy_crash_under_way"] == {"wrong": 3}
    assert set(measured["requests_after"]) == {"ok"}


def test_leaks_are_told_apart_from_refusals(tmp_path: Path) -> None:
    world = crash.crash()
    begun = world.lines("subject.app", "request.begin", kind="steady")
    its = next(one["token"] for one in begun if one["ns"] > ns(10.5))
    world.leak(10.52, its)
    found = world.judged(OUTCOME, tmp_path)
    assert found.observed == "holds"
    assert found.measured["crash_sent_while_away"]["in clear"] == 1


def lost_after(world: World) -> None:
    world.attempt(17.0, "subject.app", "steady", 900, "refused")


def lost_after_from_the_peer(world: World) -> None:
    world.attempt(34.5, "peer.app", "quick", 900, "wrong")


def turned_away_by_a_proxy(world: World) -> None:
    world.attempt(34.5, "peer.app", "quick", 900, "wrong", detail="503 no healthy upstream")


def answered_past_it(world: World) -> None:
    world.attempt(10.5, "subject.app", "steady", 900, "ok")


def test_what_was_waited_for_before_the_return_may_end_behind_it(tmp_path: Path) -> None:
    world = crash.crash()
    world.attempt(16.0, "peer.app", "quick", 900, "wrong")
    found = world.judged(OUTCOME, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["lost_just_after"] == 1


@pytest.mark.parametrize(
    ("broken", "hazard"),
    [
        (lost_after, "not-recovered"),
        (lost_after_from_the_peer, "not-recovered"),
        (turned_away_by_a_proxy, "not-recovered"),
        (answered_past_it, "bypassed"),
    ],
)
def test_a_crash_that_costs_more(tmp_path: Path, broken: Break, hazard: str) -> None:
    world = crash.crash()
    broken(world)
    found = world.judged(OUTCOME, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason


@pytest.mark.parametrize("number", [1, 30])
@pytest.mark.parametrize(
    "late", [("timeout", ""), ("wrong", "503 reset reason: connection timeout")]
)
@pytest.mark.parametrize(
    ("answered_late", "observed", "hazard"),
    [(0, "broken", "not-recovered"), (1, "broken", "not-recovered"), (12, "inconclusive", "")],
)
def test_a_request_that_hangs_is_the_machines_only_where_answers_are_late(
    tmp_path: Path,
    late: tuple[str, str],
    number: int,
    answered_late: int,
    observed: str,
    hazard: str,
) -> None:
    world = crash.crash()
    outcome, detail = late
    for seq in range(number):
        at = 34.5 + seq * 0.01
        world.attempt(at, "subject.app", "steady", 900 + seq, outcome, detail=detail)
    for seq in range(answered_late):
        world.attempt(33.9 + seq * 0.01, "peer.app", "quick", 950 + seq, "ok", took=1.5)
    found = world.judged(OUTCOME, tmp_path)
    assert (found.observed, found.hazard) == (observed, hazard), found.reason
    assert found.measured["late_after"] == number


def test_answers_that_a_crash_made_late_show_no_crowd(tmp_path: Path) -> None:
    world = crash.crash()
    world.attempt(34.5, "subject.app", "steady", 900, "timeout")
    for seq in range(30):
        world.attempt(30.8 + seq * 0.01, "peer.app", "quick", 950 + seq, "ok", took=1.5)
    found = world.judged(OUTCOME, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-recovered"), found.reason


def test_requests_that_hang_until_the_next_thing_comes(tmp_path: Path) -> None:
    """A stretch behind a return is not much longer than the 2 s that a sender waits for."""
    world = crash.crash()
    for seq in range(5):
        world.attempt(33.85 + seq * 0.03, "subject.app", "steady", 900 + seq, "timeout", took=2.0)
        world.attempt(16.85 + seq * 0.03, "peer.app", "quick", 900 + seq, "timeout", took=2.0)
    found = world.judged("crash.outcome", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-recovered"), found.reason


def test_a_request_that_was_under_way_at_the_next_crash_does_not_hang(tmp_path: Path) -> None:
    world = crash.crash()
    world.attempt(16.85, "peer.app", "quick", 900, "reset", took=2.0)
    world.attempt(17.8, "peer.app", "quick", 901, "timeout", took=2.0)
    assert world.judged("crash.outcome", tmp_path).observed == "holds"


def nothing_after(world: World) -> None:
    for who in ("subject.app", "peer.app"):
        world.stamps[who] = [
            one
            for one in world.stamps[who]
            if not (ns(15.3) < one["ns"] < ns(18) or one["ns"] > ns(32.3))
        ]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (nothing_after, "after the sidecar's return, and 6 are needed"),
        (never_died, "was made to 2 times"),
        (came_back_once_only, "never came back"),
        (lambda world: world.missing.add("stamps/peer.app.jsonl"), "peer.app.jsonl is missing"),
    ],
)
def test_outcomes_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = crash.crash()
    doubtful(world)
    found = world.judged(OUTCOME, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

"""crash.*: a sidecar that comes back alone, and what happens while it is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.evidence.crashes import crashes
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, ns, token
from tests.worlds import crash as worlds_crash
from tests.worlds.crash import SECOND, THIRD

WINDOW, CLEAR = "crash.window", "crash.no-plaintext"
OUTCOME, BYPASS = "crash.outcome", "crash.bypass"
Break = Callable[[World], object]
LEAKED = token("steady", 777)
BOTH = pytest.mark.parametrize("pattern", ["native", "classic"])


def without_exit(world: World, ident: str) -> None:
    world.unexited(ident)


def without(world: World, ident: str) -> None:
    """As if the container had never been."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != ident]
    ids = world.index["pods"]["subject"]["containers"]["envoy"]["ids"]
    if ident in ids:
        ids.remove(ident)


def later(world: World, over: float) -> None:
    """The scenario's end comes at another time."""
    world.drop(world.steps, "end")
    world.step(over, "end")
    for ident in (forge.APP, THIRD, forge.SANDBOX):
        without_exit(world, ident)
        world.exited(over + 0.2, ident, 137)


def came_back_once_only(world: World) -> None:
    without(world, THIRD)
    world.watch = [one for one in world.watch if one["ns"] < ns(20)]
    world.drop(world.steps, "sidecar.back", crash="proxy crash")


# --- crash.window


@BOTH
def test_it_is_restarted_alone_and_its_window_is_measured(tmp_path: Path, pattern: str) -> None:
    found = worlds_crash.crash(pattern).judged(WINDOW, tmp_path)
    assert found.observed == "holds", found.reason
    measured = found.measured
    assert measured["away_seconds"] == {"crash": 4.8, "proxy crash": 13.8}
    assert measured["restarted_after_seconds"] == {"crash": 0.998, "proxy crash": 10.098}
    assert measured["probe_passed_after_seconds"]["crash"] == pytest.approx(4.9, abs=0.1)
    assert measured["pod_unready_seconds"] == {"crash": 4.9, "proxy crash": 13.9}
    assert measured["startup_probe_anew"] == {"crash": True, "proxy crash": True}
    assert measured["waited_for"] == {"crash": "", "proxy crash": "CrashLoopBackOff"}
    assert measured["end_known_to_ms"] == {"crash": 200.0, "proxy crash": 200.0}


def app_started_anew(world: World) -> None:
    world.exited(10.3, forge.APP, 137)
    world.created(11.0, "a2" * 32)
    world.index["pods"]["subject"]["containers"]["app"]["ids"].append("a2" * 32)
    world.stamp(11.05, "subject.app", "app.started")


def app_started_anew_by_its_own_word(world: World) -> None:
    world.stamp(11.05, "subject.app", "app.started")


def app_restarted_by_its_status(world: World) -> None:
    for group in world.watch[-1]["object"]["status"].values():
        for one in group:
            if one.get("name") == "app":
                one["restartCount"] = 1


def test_a_container_that_was_tried_again_at_the_pods_start(tmp_path: Path) -> None:
    """Its restarts were counted before anything was made to crash."""
    world = worlds_crash.crash()
    for one in world.watch:
        status = one["object"].get("status", {})
        if "initContainerStatuses" in status:
            again = {"name": "rules", "restartCount": 1, "ready": True}
            status["initContainerStatuses"].insert(0, again)
    assert world.judged("crash.window", tmp_path).observed == "holds"


def app_ended(world: World) -> None:
    without_exit(world, forge.APP)
    world.exited(18.3, forge.APP, 0)


def sandbox_ended(world: World) -> None:
    without_exit(world, forge.SANDBOX)
    world.exited(18.3, forge.SANDBOX, 137)


@pytest.mark.parametrize(
    ("broken", "hazard"),
    [
        (app_started_anew, "app-restarted"),
        (app_started_anew_by_its_own_word, "app-restarted"),
        (app_restarted_by_its_status, "app-restarted"),
        (app_ended, "app-restarted"),
        (sandbox_ended, "app-restarted"),
        (lambda world: (came_back_once_only(world), later(world, 79)), "not-restarted"),
    ],
)
def test_another_end_than_the_sidecars_alone(tmp_path: Path, broken: Break, hazard: str) -> None:
    world = worlds_crash.crash()
    broken(world)
    found = world.judged(WINDOW, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason
    assert found.evidence


def never_died(world: World) -> None:
    without_exit(world, forge.ENVOY)


def died_before(world: World) -> None:
    without_exit(world, forge.ENVOY)
    world.exited(9.5, forge.ENVOY, 137)


def ended_by_itself(world: World) -> None:
    without_exit(world, forge.ENVOY)
    world.exited(10.2, forge.ENVOY, 0)


def crashed_once_more(world: World) -> None:
    world.exited(33.0, THIRD, 1)
    world.runtime.sort(key=lambda one: one[0])
    later(world, 35)
    without_exit(world, THIRD)
    world.exited(33.0, THIRD, 1)


def another_one_was_killed(world: World) -> None:
    world.steps[-4]["id"] = "0" * 64
    for step in world.steps:
        if step["step"] == "crash.asked":
            step["id"] = "0" * 64


def an_old_container_is_called_new(world: World) -> None:
    """The status says "ready" again, with the very container that had ended."""
    without(world, THIRD)
    for one in world.watch:
        for group in one["object"]["status"].values():
            for each in group:
                if each.get("containerID", "").endswith(THIRD):
                    each["containerID"] = f"containerd://{SECOND}"


def no_sign_of_life(world: World) -> None:
    world.stamps["subject.app"] = [one for one in world.stamps["subject.app"] if one["ns"] < ns(31)]


def ready_by_its_status_alone(world: World) -> None:
    world.drop(world.stamps["subject.envoy"], "sidecar.ready")
    world.frames = [one for one in world.frames if b"kube-probe" not in one[1]]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (never_died, "ended 1 times before the scenario's end, and was made to 2 times"),
        (died_before, "had ended before it was made to"),
        (ended_by_itself, "exited with 0, and not with 137"),
        (crashed_once_more, "ended 3 times"),
        (another_one_was_killed, "not the container that was made to end"),
        (an_old_container_is_called_new, "did not come back within"),
        (came_back_once_only, "did not come back within"),
        (no_sign_of_life, "no sign of life"),
        (ready_by_its_status_alone, "nothing but its status"),
        (lambda world: world.drop(world.steps, "crash.asked"), "no crash is in steps"),
        (lambda world: world.drop(world.steps, "end"), "scenario's end is not in"),
    ],
)
def test_crashes_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds_crash.crash()
    doubtful(world)
    found = world.judged(WINDOW, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_readiness_is_known_by_the_probe_where_the_sidecar_says_nothing(tmp_path: Path) -> None:
    world = worlds_crash.crash()
    world.drop(world.stamps["subject.envoy"], "sidecar.ready")
    found = world.judged(WINDOW, tmp_path)
    assert found.observed == "holds"
    assert found.measured["away_seconds"] == pytest.approx(
        {"crash": 4.9, "proxy crash": 13.9}, abs=0.05
    )


def test_a_status_that_is_ahead_of_the_sidecar_ends_nothing(tmp_path: Path) -> None:
    """Seen with a kubelet of 1.35: ready, while the startup probe was still refused."""
    world = worlds_crash.crash()
    _, _, asked, _, created, ready, back, *_ = worlds_crash.CRASHES[0]
    (early,) = [one for one in world.watch if one["ns"] == ns(back)]
    early["ns"] = ns(created + 0.4)
    found = world.judged(WINDOW, tmp_path)
    assert found.observed == "holds", found.reason
    ahead = pytest.approx(ready - created - 0.4, abs=0.01)
    assert found.measured["status_ahead_seconds"] == {"crash": ahead, "proxy crash": None}
    assert found.measured["away_seconds"] == {"crash": 4.8, "proxy crash": 13.8}
    its, _ = crashes(Bundle.open(tmp_path / "bundle"))
    assert its.window.seconds == pytest.approx(ready - asked, abs=0.01)


# --- crash.no-plaintext


@BOTH
def test_nothing_in_clear_while_it_is_away(tmp_path: Path, pattern: str) -> None:
    found = worlds_crash.crash(pattern).judged(CLEAR, tmp_path)
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
    world = worlds_crash.crash()
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
    world = worlds_crash.crash()
    for seq in range(120):
        world.leak(7.0 + seq * 0.2, token("steady", 900 + seq))
    found = world.judged("crash.no-plaintext", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext-while-the-sidecar-lived")


def test_strangers_that_were_answered_before_the_crash_are_another_hazard(tmp_path: Path) -> None:
    world = worlds_crash.crash()
    for seq in range(60):
        world.dial(7.0 + seq * 0.45, "dial", 900 + seq, "ok")
    found = world.judged("crash.bypass", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "answered-while-the-sidecar-lived")


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
        (app_paused, "0 requests without a sidecar (crash)"),
        (no_control, "judge blind"),
        (never_died, "was made to 2 times"),
        (came_back_once_only, "never came back after the proxy crash"),
    ],
)
def test_no_leak_was_seen_and_that_means_nothing(tmp_path: Path, blind: Break, said: str) -> None:
    world = worlds_crash.crash()
    blind(world)
    found = world.judged(CLEAR, tmp_path / "blind")
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason
    if blind is never_died:
        return
    world.leak(19.0, LEAKED)
    assert world.judged(CLEAR, tmp_path / "leak").observed == "broken"


# --- crash.outcome


@BOTH
def test_what_becomes_of_each_request_is_counted(tmp_path: Path, pattern: str) -> None:
    found = worlds_crash.crash(pattern).judged(OUTCOME, tmp_path)
    assert found.observed == "holds", found.reason
    measured = found.measured
    assert measured["crash_sent_while_away"] == {"refused": 24, "in clear": 0}
    assert measured["crash_received_while_away"]["wrong"] > 20
    assert measured["crash_under_way"] == {"wrong": 3}
    assert measured["proxy_crash_under_way"] == {"wrong": 3}
    assert set(measured["requests_after"]) == {"ok"}


def test_leaks_are_told_apart_from_refusals(tmp_path: Path) -> None:
    world = worlds_crash.crash()
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
    world = worlds_crash.crash()
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
    world = worlds_crash.crash()
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
    world = worlds_crash.crash()
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
    world = worlds_crash.crash()
    world.attempt(34.5, "subject.app", "steady", 900, "timeout")
    for seq in range(30):
        world.attempt(30.8 + seq * 0.01, "peer.app", "quick", 950 + seq, "ok", took=1.5)
    found = world.judged(OUTCOME, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-recovered"), found.reason


def test_requests_that_hang_until_the_next_thing_comes(tmp_path: Path) -> None:
    """A stretch behind a return is not much longer than the 2 s that a sender waits for."""
    world = worlds_crash.crash()
    for seq in range(5):
        world.attempt(33.85 + seq * 0.03, "subject.app", "steady", 900 + seq, "timeout", took=2.0)
        world.attempt(16.85 + seq * 0.03, "peer.app", "quick", 900 + seq, "timeout", took=2.0)
    found = world.judged("crash.outcome", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-recovered"), found.reason


def test_a_request_that_was_under_way_at_the_next_crash_does_not_hang(tmp_path: Path) -> None:
    world = worlds_crash.crash()
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
    world = worlds_crash.crash()
    doubtful(world)
    found = world.judged(OUTCOME, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- crash.bypass


@BOTH
def test_a_stranger_is_not_answered_while_it_is_away(tmp_path: Path, pattern: str) -> None:
    found = worlds_crash.crash(pattern).judged(BYPASS, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["crash_dials"] > 20
    assert found.measured["proxy_crash_syns_arrived"] > 50


@pytest.mark.parametrize(
    ("at", "where"), [(10.5, {"crash": 1}), (30.0, {"proxy crash": 1}), (8.0, None), (16.5, None)]
)
def test_an_answer_counts_in_the_windows_of_crashes_only(
    tmp_path: Path, at: float, where: dict[str, int] | None
) -> None:
    world = worlds_crash.crash()
    world.dial(at, "dial", 900, "ok")
    found = world.judged(BYPASS, tmp_path)
    assert found.observed == ("broken" if where else "holds"), found.reason
    if where:
        assert found.hazard == "answered"
        assert found.measured["answered_by_window"] == where


def nobody_dialled(world: World) -> None:
    world.stamps["dialer.dialer"] = [
        one
        for one in world.stamps["dialer.dialer"]
        if "dial-probe" in one["token"] or not ns(10.15) < one["ns"] < ns(15.1)
    ]


def nothing_arrived(world: World) -> None:
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]
    world.frames = [one for one in world.frames if dialer not in one[1][26:34]]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (nobody_dialled, "0 dials without a sidecar (crash), and 5 are needed"),
        (nothing_arrived, "did not arrive"),
        (never_died, "was made to 2 times"),
        (came_back_once_only, "never came back"),
    ],
)
def test_dials_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds_crash.crash()
    doubtful(world)
    found = world.judged(BYPASS, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

"""crash.window: a sidecar that comes back alone, and how long it is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.evidence.crashes import crashes
from tests.forge import bundle as forge
from tests.forge.bundle import World, ns
from tests.worlds import crash
from tests.worlds.crash import SECOND, THIRD, came_back_once_only, never_died, without

WINDOW = "crash.window"
Break = Callable[[World], object]
BOTH = pytest.mark.parametrize("pattern", ["native", "classic"])


def later(world: World, over: float) -> None:
    """The scenario's end comes at another time."""
    world.drop(world.steps, "end")
    world.step(over, "end")
    for ident in (forge.APP, THIRD, forge.SANDBOX):
        world.unexited(ident)
        world.exited(over + 0.2, ident, 137)


@BOTH
def test_it_is_restarted_alone_and_its_window_is_measured(tmp_path: Path, pattern: str) -> None:
    found = crash.crash(pattern).judged(WINDOW, tmp_path)
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
    world = crash.crash()
    for one in world.watch:
        status = one["object"].get("status", {})
        if "initContainerStatuses" in status:
            again = {"name": "rules", "restartCount": 1, "ready": True}
            status["initContainerStatuses"].insert(0, again)
    assert world.judged("crash.window", tmp_path).observed == "holds"


def app_ended(world: World) -> None:
    world.unexited(forge.APP)
    world.exited(18.3, forge.APP, 0)


def sandbox_ended(world: World) -> None:
    world.unexited(forge.SANDBOX)
    world.exited(18.3, forge.SANDBOX, 137)


def never_came_back(world: World) -> None:
    came_back_once_only(world)
    later(world, 79)


@pytest.mark.parametrize(
    ("broken", "hazard"),
    [
        (app_started_anew, "app-restarted"),
        (app_started_anew_by_its_own_word, "app-restarted"),
        (app_restarted_by_its_status, "app-restarted"),
        (app_ended, "app-restarted"),
        (sandbox_ended, "app-restarted"),
        (never_came_back, "not-restarted"),
    ],
)
def test_another_end_than_the_sidecars_alone(tmp_path: Path, broken: Break, hazard: str) -> None:
    world = crash.crash()
    broken(world)
    found = world.judged(WINDOW, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason
    assert found.evidence


def died_before(world: World) -> None:
    world.unexited(forge.ENVOY)
    world.exited(9.5, forge.ENVOY, 137)


def ended_by_itself(world: World) -> None:
    world.unexited(forge.ENVOY)
    world.exited(10.2, forge.ENVOY, 0)


def crashed_once_more(world: World) -> None:
    world.exited(33.0, THIRD, 1)
    world.runtime.sort(key=lambda one: one[0])
    later(world, 35)
    world.unexited(THIRD)
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
    world = crash.crash()
    doubtful(world)
    found = world.judged(WINDOW, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_readiness_is_known_by_the_probe_where_the_sidecar_says_nothing(tmp_path: Path) -> None:
    world = crash.crash()
    world.drop(world.stamps["subject.envoy"], "sidecar.ready")
    found = world.judged(WINDOW, tmp_path)
    assert found.observed == "holds"
    assert found.measured["away_seconds"] == pytest.approx(
        {"crash": 4.9, "proxy crash": 13.9}, abs=0.05
    )


def test_a_status_that_is_ahead_of_the_sidecar_ends_nothing(tmp_path: Path) -> None:
    """Seen with a kubelet of 1.35: ready, while the startup probe was still refused."""
    world = crash.crash()
    _, _, asked, _, created, ready, back, *_ = crash.CRASHES[0]
    (early,) = [one for one in world.watch if one["ns"] == ns(back)]
    early["ns"] = ns(created + 0.4)
    found = world.judged(WINDOW, tmp_path)
    assert found.observed == "holds", found.reason
    ahead = pytest.approx(ready - created - 0.4, abs=0.01)
    assert found.measured["status_ahead_seconds"] == {"crash": ahead, "proxy crash": None}
    assert found.measured["away_seconds"] == {"crash": 4.8, "proxy crash": 13.8}
    its, _ = crashes(Bundle.open(tmp_path / "bundle"))
    assert its.window.seconds == pytest.approx(ready - asked, abs=0.01)

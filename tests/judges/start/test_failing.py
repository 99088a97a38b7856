"""Sidecars that do not come up as they should, one way each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import lifecycle, start
from tests.worlds.start import SIDECAR, ident

CRASHING, BARE = "start.crashing-sidecar", "start.no-probe"
PERIOD, EARLY, COST = "start.probe-period", "start.delete-during-init", "start.cost"
Break = Callable[[World], object]


def test_every_policy_is_told(tmp_path: Path) -> None:
    found = start.failing().judged(CRASHING, tmp_path)
    assert found.observed == "holds", found.reason
    assert set(found.measured) == {"Never", "OnFailure", "Always"}
    never = found.measured["Never"]
    assert isinstance(never, dict)
    assert (never["crashes"], never["told"]) == (2, "Error, exit code 3")
    assert never["shown"] == "Init:CrashLoopBackOff"


def test_a_classic_app_runs_beside_a_crashing_sidecar(tmp_path: Path) -> None:
    found = start.failing("classic").judged(CRASHING, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "app-ran"), found.reason
    assert all(one in found.reason for one in ("Never", "OnFailure", "Always"))


def app_of(world: World, role: str) -> None:
    """Take an app away."""
    world.stamps.pop(f"{role}.app")
    its = ident(role, "app")
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != its]


def test_an_app_that_never_comes_is_stuck(tmp_path: Path) -> None:
    world = start.failing()
    app_of(world, "subject")
    found = world.judged(CRASHING, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "stuck"), found.reason
    assert "Never" in found.reason and "Always" not in found.reason


def test_an_app_that_ran_too_early_under_one_policy_is_enough(tmp_path: Path) -> None:
    world = start.failing()
    its = ident("crash-always", "app")
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != its]
    world.created(3.0, its)
    world.lines("crash-always.app", "app.started")[0]["ns"] = ns(3.05)
    found = world.judged(CRASHING, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "app-ran"), found.reason


def test_one_hazard_does_not_hide_another(tmp_path: Path) -> None:
    """Where an app is expected to be stuck under Never, one that ran too early is none of that."""
    world = start.failing()
    app_of(world, "subject")
    its = ident("crash-always", "app")
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != its]
    world.created(3.0, its)
    world.lines("crash-always.app", "app.started")[0]["ns"] = ns(3.05)
    found = world.judged(CRASHING, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "app-ran and stuck"), found.reason


def test_an_app_that_is_stuck_under_another_policy_is_another_hazard(tmp_path: Path) -> None:
    world = start.failing()
    app_of(world, "crash-always")
    found = world.judged(CRASHING, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "stuck-under-Always"), found.reason


def waited_for_too_short_a_time(world: World) -> None:
    app_of(world, "subject")
    world.steps[-1]["ns"] = ns(20.0)


def never_crashed(world: World) -> None:
    world.drop(world.stamps[f"subject.{SIDECAR}"], "sidecar.last")


def crashed_once(world: World) -> None:
    world.stamps[f"crash-always.{SIDECAR}"].remove(
        world.lines(f"crash-always.{SIDECAR}", "sidecar.last")[1]
    )


def ended_well(world: World) -> None:
    """Ends with 0 are no crashes."""
    for line in world.lines(f"subject.{SIDECAR}", "sidecar.last"):
        line["code"] = 0


def status_says_nothing(world: World) -> None:
    for line in world.watch:
        line["object"]["status"] = {}


def ready_before_it_was_healed(world: World) -> None:
    world.lines(f"subject.{SIDECAR}", "sidecar.ready")[0]["ns"] = ns(7.0)


def never_recovered(world: World) -> None:
    app_of(world, "subject")
    world.drop(world.stamps[f"subject.{SIDECAR}"], "sidecar.ready")


def another_policy(world: World) -> None:
    for line in world.watch:
        line["object"]["spec"]["restartPolicy"] = "Always"


def other_is_missing(world: World) -> None:
    for line in world.watch:
        line["object"]["spec"].get("initContainers", [])[:1] = []


def nothing_was_healed(world: World) -> None:
    world.drop(world.steps, "healed")


@pytest.mark.parametrize(
    "doubtful",
    [
        waited_for_too_short_a_time, never_crashed, crashed_once, ended_well, status_says_nothing,
        ready_before_it_was_healed, never_recovered, another_policy, other_is_missing,
        nothing_was_healed,
    ],
)  # fmt: skip
def test_crashes_without_proof_are_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.failing()
    doubtful(world)
    assert world.judged(CRASHING, tmp_path).observed == "inconclusive"


def rebegin(world: World, role: str, seconds: float) -> None:
    its = ident(role, "app")
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != its]
    world.created(seconds, its)
    world.lines(f"{role}.app", "app.started")[0]["ns"] = ns(seconds + 0.05)


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_without_a_probe_the_race_is_back(pattern: str, tmp_path: Path) -> None:
    world = start.failing(pattern)
    rebegin(world, "bare", 1.5)
    found = world.judged(BARE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason
    assert found.measured["app_ahead_ms"] == pytest.approx(2450)


def has_a_probe(world: World) -> None:
    for line in world.watch:
        if line["object"]["metadata"]["name"] == "bare":
            line["object"]["spec"]["initContainers"][0]["startupProbe"] = {"periodSeconds": 1}


def bare_never_ready(world: World) -> None:
    world.drop(world.stamps[f"bare.{SIDECAR}"], "sidecar.ready")


def bare_at_once(world: World) -> None:
    """Created before the readiness, first stamp after it."""
    rebegin(world, "bare", 3.98)


def no_bare_pod(world: World) -> None:
    del world.index["pods"]["bare"]


@pytest.mark.parametrize("doubtful", [has_a_probe, bare_never_ready, bare_at_once, no_bare_pod])
def test_a_race_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.failing()
    doubtful(world)
    assert world.judged(BARE, tmp_path).observed == "inconclusive"


def test_a_default_period_makes_the_app_late(tmp_path: Path) -> None:
    world = start.failing()
    rebegin(world, "unhurried", 11.0)
    found = world.judged(PERIOD, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "late"), found.reason
    assert found.measured["app_after_readiness_seconds"] == pytest.approx(7.05)
    assert found.measured["period_seconds"] == 10


def slow_sidecar(world: World) -> None:
    """Ready shortly before the next turn of the probe: a soon app says nothing."""
    world.lines(f"unhurried.{SIDECAR}", "sidecar.ready")[0]["ns"] = ns(9.0)
    rebegin(world, "unhurried", 9.5)


def did_not_wait(world: World) -> None:
    rebegin(world, "unhurried", 2.0)


def slow_to_run(world: World) -> None:
    """Created soon, and only its first instruction came late: the machine's doing."""
    rebegin(world, "unhurried", 6.5)
    world.lines("unhurried.app", "app.started")[0]["ns"] = ns(8.0)


def names_a_period(world: World) -> None:
    """Late all the same: not for want of a period."""
    for line in world.watch:
        if line["object"]["metadata"]["name"] == "unhurried":
            line["object"]["spec"]["initContainers"][0]["startupProbe"] = {"periodSeconds": 1}
    rebegin(world, "unhurried", 11.0)


@pytest.mark.parametrize("doubtful", [slow_sidecar, did_not_wait, slow_to_run, names_a_period])
def test_a_soon_app_that_says_nothing_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.failing()
    doubtful(world)
    assert world.judged(PERIOD, tmp_path).observed == "inconclusive"


def signal_lost(world: World) -> None:
    """Killed at the end of the grace period."""
    _early_ends(world, 33.1, 137)
    del world.stamps[f"early.{SIDECAR}"][1:]


def late(world: World) -> None:
    """Signalled, and gone, but the pod stayed on."""
    gone(world, 33.2)


def killed_although_told(world: World) -> None:
    _early_ends(world, 3.3, 137)


def gone(world: World, seconds: float) -> None:
    next(one for one in world.steps if one["step"] == "subject.gone")["ns"] = ns(seconds)


def _early_ends(world: World, seconds: float, code: int) -> None:
    its = ident("early", SIDECAR)
    world.runtime = [
        one for one in world.runtime
        if one[2]["container_id"] != its or one[1] != "/tasks/exit"
    ]  # fmt: skip
    world.exited(seconds, its, code)
    if seconds > 4:
        gone(world, seconds + 0.2)


@pytest.mark.parametrize(
    ("broken", "hazard"),
    [(signal_lost, "signal-lost"), (late, "late"), (killed_although_told, "late")],
)
def test_a_starting_sidecar_that_is_not_let_go(broken: Break, hazard: str, tmp_path: Path) -> None:
    world = start.failing()
    broken(world)
    found = world.judged(EARLY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason


def already_ready(world: World) -> None:
    start.ready(world, 2.5, "early", SIDECAR)


def other_ran(world: World) -> None:
    world.index["pods"]["early"]["containers"]["other"]["ids"] = ["f" * 64]


def not_started(world: World) -> None:
    its = ident("early", SIDECAR)
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != its]


def never_gone(world: World) -> None:
    world.drop(world.steps, "subject.gone")


@pytest.mark.parametrize("doubtful", [already_ready, other_ran, not_started, never_gone])
def test_a_deletion_at_another_time_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.failing()
    doubtful(world)
    assert world.judged(EARLY, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize(("pattern", "least"), [("native", 6.8), ("classic", 6.8)])
def test_the_cost_is_measured(pattern: str, least: float, tmp_path: Path) -> None:
    found = lifecycle.lifecycle(pattern).judged(COST, tmp_path)
    assert found.observed == "measured", found.reason
    assert float(str(found.measured["scheduled_to_app_ready_seconds"])) >= least
    assert found.measured["sidecar_start_seconds"] == pytest.approx(3.9)


def test_a_pod_that_was_never_ready_has_no_cost(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    for line in world.watch:
        line["object"]["status"] = {}
    assert world.judged(COST, tmp_path).observed == "inconclusive"


def test_an_app_that_another_thing_held_up(tmp_path: Path) -> None:
    """The probe passes 0.6 s after readiness, by the status; the machine makes the app's container
    4 s later."""
    world = start.failing()
    world.runtime = [
        one for one in world.runtime if one[2]["container_id"] != start.ident("unhurried", "app")
    ]
    del world.stamps["unhurried.app"]
    start.begin(world, 8.5, "unhurried", "app")
    sidecar = {"name": "sidecar", "started": True, "state": {"running": {}}}
    start.status(world, 4.6, "unhurried", initContainerStatuses=[sidecar])
    found = world.judged("start.probe-period", tmp_path)
    assert found.observed == "inconclusive" and "passed soon" in found.reason, found.reason

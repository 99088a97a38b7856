"""job.completes: soon is proven by the watch, never is proven by its cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import World
from tests.worlds import lifecycle

COMPLETES = "job.completes"
Break = Callable[[World], object]


def test_native_completes(tmp_path: Path) -> None:
    found = lifecycle.job().judged(COMPLETES, tmp_path)
    assert found.observed == "holds"
    assert found.measured["complete_after_seconds"] == pytest.approx(3.49)
    assert found.measured["told_to_quit"] is False
    assert {one.file for one in found.evidence} == {"runtime.log", "watch.jsonl"}


def test_classic_never_completes_and_the_cause_is_proven(tmp_path: Path) -> None:
    found = lifecycle.job("classic").judged(COMPLETES, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-completes")
    assert found.measured["told_to_quit"] is True


def completed(world: World, at: float) -> None:
    world.watch = [one for one in world.watch if one["object"]["status"].get("active") != 0]
    world.watch = [one for one in world.watch if "conditions" not in one["object"]["status"]]
    conditions = [{"type": "Complete", "status": "True"}]
    world.seen(at, "Job", "subject", "uid-job", {}, {"conditions": conditions})


def test_late_is_not_soon(tmp_path: Path) -> None:
    world = lifecycle.job()
    completed(world, 24.0)
    found = world.judged(COMPLETES, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "late")


def exits_of(world: World, ident: str, at: float | None, status: int = 0) -> None:
    world.unexited(ident)
    if at is not None:
        world.exited(at, ident, status)


def sidecar_had_gone(world: World) -> None:
    """It had crashed before the main ended: the Job had nothing left to wait for."""
    exits_of(world, forge.ENVOY, 4.0, 1)


def sidecar_left_with_the_main(world: World) -> None:
    """By itself, and not because the kubelet ended it: a classic Job would be Complete as well."""
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]


def sidecar_never_ran(world: World) -> None:
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.ENVOY]


def main_failed(world: World) -> None:
    exits_of(world, forge.APP, 7.51, 3)


def main_never_ended(world: World) -> None:
    exits_of(world, forge.APP, None)


def not_injected(world: World) -> None:
    world.index["admitted"]["pattern"] = "none"


def clock_set_back(world: World) -> None:
    """By 20 s between the main's exit and the Job's end: what was late seems soon."""
    world.extra["clock.jsonl"] = "".join(
        json.dumps({"ns": forge.ns(at), "mono_ns": 1, "offset_ns": offset, "uncertainty_ns": 100})
        + "\n"
        for at, offset in ((0.0, forge.EPOCH), (8.0, forge.EPOCH - 20_000_000_000))
    )


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (sidecar_had_gone, "nothing left to wait for"),
        (sidecar_left_with_the_main, "ended by itself"),
        (sidecar_never_ran, "did not run beside"),
        (main_failed, "failed with 3"),
        (main_never_ended, "no exit of the Job's main"),
        (not_injected, "never injected"),
        (clock_set_back, "moved by 20000.0 ms"),
        (lambda world: world.missing.add("watch.jsonl"), "watch.jsonl is missing"),
    ],
)
def test_native_worlds_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.job()
    doubtful(world)
    found = world.judged(COMPLETES, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def stayed_after_quitting(world: World) -> None:
    world.watch = [one for one in world.watch if "conditions" not in one["object"]["status"]]


def sidecar_never_quit(world: World) -> None:
    exits_of(world, forge.ENVOY, None)


def sidecar_quit_by_itself(world: World) -> None:
    exits_of(world, forge.ENVOY, 17.0)


def only_slow(world: World) -> None:
    """The kubelet had told the sidecar to stop: the Job would have completed by itself."""
    world.signalled(17.0, forge.ENVOY)


def not_active_at_the_bound(world: World) -> None:
    world.seen(16.0, "Job", "subject", "uid-job", {}, {})


def bound_too_early(world: World) -> None:
    for step in world.steps:
        if step["step"] in ("job.bound", "sidecar.quit-asked"):
            step["ns"] -= 5_000_000_000


def scenario_broke_off(world: World) -> None:
    world.drop(world.steps, "job.bound")
    world.drop(world.steps, "sidecar.quit-asked")
    stayed_after_quitting(world)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (stayed_after_quitting, "the cause is not proven"),
        (sidecar_never_quit, "the cause is not proven"),
        (sidecar_quit_by_itself, "ended by itself"),
        (only_slow, "slow, not blocked"),
        (not_active_at_the_bound, "does not show the Job active"),
        (bound_too_early, "too early"),
        (scenario_broke_off, "did not come to its end"),
    ],
)
def test_classic_worlds_whose_cause_is_not_proven(
    tmp_path: Path, doubtful: Break, said: str
) -> None:
    world = lifecycle.job("classic")
    doubtful(world)
    found = world.judged(COMPLETES, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

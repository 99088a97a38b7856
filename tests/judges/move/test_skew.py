"""move.kubelet-skew: a refusal by the very reason, on a node that is well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import lifecycle, skew

SKEW = "move.kubelet-skew"


def subject(world: World) -> dict[str, object]:
    """The last version of the subject."""
    return next(
        one["object"]
        for one in reversed(world.watch)
        if one["object"]["metadata"]["name"] == "subject"
    )


def test_a_refusal_by_its_reason_holds(tmp_path: Path) -> None:
    found = skew.skew().judged(SKEW, tmp_path)
    assert found.observed == "holds"
    assert found.measured["refused_after_seconds"] == pytest.approx(0.3)
    assert (found.measured["storm_pods"], found.measured["storm_seconds"]) == (4, 10.0)
    assert "left 4 such pods" in found.reason


def test_no_storm_was_asked_for(tmp_path: Path) -> None:
    world = skew.skew()
    world.drop(world.steps, "storm.end")
    found = world.judged(SKEW, tmp_path)
    assert found.observed == "holds" and "storm_pods" not in found.measured


def runs(world: World, *containers: str) -> None:
    """The kubelet admits the pod and starts some of its containers."""
    subject(world)["status"] = {"phase": "Pending"}
    skew.pod(world, "subject", *containers)
    if "envoy" in containers:
        world.stamp(12.0, "subject.envoy", "sidecar.ready")


def runs_out_of_order(world: World) -> None:
    runs(world, "app", "envoy")
    world.stamp(9.0, "subject.app", "app.started")


def runs_without_its_sidecar(world: World) -> None:
    runs(world, "app")
    world.stamp(9.0, "subject.app", "app.started")


def runs_and_fails(world: World) -> None:
    """It is refused in the end: after the app has run."""
    runs_out_of_order(world)
    subject(world)["status"] = skew.refusal()


def hangs(world: World) -> None:
    runs(world, "envoy")
    world.step(38.0, "bound", why="Pending")


@pytest.mark.parametrize(
    ("wrong", "hazard"),
    [
        (runs_out_of_order, "wrong-order"),
        (runs_without_its_sidecar, "wrong-order"),
        (runs_and_fails, "wrong-order"),
        (hangs, "stuck"),
    ],
)
def test_something_else_of_it_is_broken(
    tmp_path: Path, wrong: Callable[[World], None], hazard: str
) -> None:
    world = skew.skew()
    wrong(world)
    found = world.judged(SKEW, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard)


def another_reason(world: World) -> None:
    subject(world)["status"] = {"phase": "Failed", "reason": "OutOfcpu", "message": "full"}


def field_dropped(world: World) -> None:
    """By the API server: this is move.old-cluster."""
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "subject":
            del one["object"]["spec"]["initContainers"][1]["restartPolicy"]


def no_skew(world: World) -> None:
    world.steps[0]["kubelets"][skew.OLD] = "v1.29.14"


def old_everywhere(world: World) -> None:
    world.steps[0]["kubelets"][skew.NEW] = "v1.28.15"


def on_an_unknown_node(world: World) -> None:
    del world.steps[0]["kubelets"][skew.OLD]


def never_ready(role: str) -> Callable[[World], None]:
    def doubt(world: World) -> None:
        for one in world.watch:
            if one["object"]["metadata"]["name"] == role:
                one["object"]["status"] = {"phase": "Pending"}

    return doubt


def elsewhere(role: str, node: str) -> Callable[[World], None]:
    """A control on the other node says nothing."""

    def doubt(world: World) -> None:
        for one in world.watch:
            if one["object"]["metadata"]["name"] == role:
                one["object"]["spec"]["nodeName"] = node

    return doubt


def control_of_the_other_pattern(world: World) -> None:
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "classic":
            one["object"]["spec"] = lifecycle.spec("native") | {"nodeName": skew.OLD}


def in_order(world: World) -> None:
    """The old kubelet's gate is on."""
    runs(world, "app", "envoy")
    world.stamp(12.5, "subject.app", "app.started")


def not_held_long_enough(world: World) -> None:
    runs(world, "envoy")
    world.step(15.0, "bound", why="Pending")


def sidecar_never_ready(world: World) -> None:
    hangs(world)
    world.stamps["subject.envoy"].clear()


def never_bound(world: World) -> None:
    """It ran nothing, was not refused, and nobody waited: perhaps it was never scheduled."""
    subject(world)["status"] = {"phase": "Pending"}


def not_seen_by_the_command(world: World) -> None:
    world.commands[0]["out"] = ""


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (another_reason, "OutOfcpu"),
        (field_dropped, "never injected"),
        (no_skew, "no skew"),
        (old_everywhere, "not as new"),
        (on_an_unknown_node, "nothing is known"),
        (never_ready("classic"), "never was ready"),
        (never_ready("current"), "never was ready"),
        (elsewhere("classic", skew.NEW), "says nothing"),
        (elsewhere("current", skew.OLD), "says nothing"),
        (control_of_the_other_pattern, "never injected as classic"),
        (in_order, "runs native sidecars"),
        (not_held_long_enough, "cannot be told"),
        (sidecar_never_ready, "cannot be told"),
        (never_bound, "cannot be told"),
        (not_seen_by_the_command, "printed"),
    ],
)
def test_what_proves_nothing_is_inconclusive(
    tmp_path: Path, doubtful: Callable[[World], None], said: str
) -> None:
    world = skew.skew()
    doubtful(world)
    found = world.judged(SKEW, tmp_path)
    assert found.observed == "inconclusive"
    assert said in found.reason


def test_a_classic_pod_says_nothing(tmp_path: Path) -> None:
    assert skew.skew("classic").judged(SKEW, tmp_path).observed == "inconclusive"

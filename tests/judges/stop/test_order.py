"""stop.order: what must have been seen of the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import World, ns
from tests.worlds import lifecycle
from tests.worlds.doubts import inconclusive, never_deleted, not_injected

Break = Callable[[World], object]
ORDER = "stop.order"


def test_native_order_holds_with_its_gap(tmp_path: Path) -> None:
    found = lifecycle.lifecycle().judged(ORDER, tmp_path)
    assert found.observed == "holds"
    assert found.measured["smallest_ordered_gap_ms"] == pytest.approx(90, abs=0.1)
    assert {one.file for one in found.evidence} == {
        "stamps/subject.app.jsonl",
        "runtime.log",
        "containerd.log",
        "stamps/subject.envoy.jsonl",
    }


def test_classic_order_is_wrong(tmp_path: Path) -> None:
    found = lifecycle.lifecycle("classic").judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order")
    assert found.measured["smallest_ordered_gap_ms"] < -5000


def told_by_another(world: World) -> None:
    """A signal that containerd knows nothing of; its own comes in the right order."""
    world.stamp(12.0, "subject.envoy", "sidecar.sigterm")


def told_by_another_alone(world: World) -> None:
    """It drains until its last connection ends, and ends as the app does: nobody tells it again."""
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.stamps["subject.envoy"] = world.stamps["subject.envoy"][:3]
    told_by_another(world)
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.ENVOY]
    world.created(1.0, forge.ENVOY)
    world.exited(15.105, forge.ENVOY)


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
        told_by_another_alone,
        told_once_too_early,
        another_app_lives_on,
        app_never_ended,
    ],
)
def test_native_worlds_with_a_wrong_order(tmp_path: Path, wrong: Break) -> None:
    world = lifecycle.lifecycle()
    wrong(world)
    found = world.judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def test_a_sidecar_that_ends_by_itself_is_another_hazard(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    world.stamps["subject.envoy"] = world.stamps["subject.envoy"][:3]
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.ENVOY]
    world.created(1.0, forge.ENVOY)
    world.exited(12.0, forge.ENVOY, 1)
    found = world.judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "sidecar-gone")


def test_a_signal_from_before_the_deletion_is_another_story(tmp_path: Path) -> None:
    """A failing liveness probe had the sidecar restarted in the middle of the pod's life."""
    world = lifecycle.lifecycle()
    world.signalled(8.0, forge.ENVOY)
    world.stamp(8.01, "subject.envoy", "sidecar.sigterm")
    found = world.judged(ORDER, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_signal_that_was_felt_may_have_been_sent_long_before(tmp_path: Path) -> None:
    """Its announcement is lost: a sidecar that was too busy to feel it would look the same."""
    world = lifecycle.lifecycle()
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    inconclusive(world, ORDER, tmp_path, "cannot be told")


def test_order_holds_for_a_sidecar_without_stamps(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
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
    world = lifecycle.lifecycle()
    doubtful(world)
    inconclusive(world, ORDER, tmp_path, said)

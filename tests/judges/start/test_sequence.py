"""Pods with several sidecars: each in its place, by proof and not by chance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import start
from tests.worlds.start import SECOND, SIDECAR, ident

START, STOP, MIXED = "start.sequence", "stop.reverse-order", "mixed.order"
Break = Callable[[World], object]


def test_a_chain_that_holds_tells_its_nearest_pair(tmp_path: Path) -> None:
    found = start.sequence().judged(START, tmp_path)
    assert found.observed == "holds", found.reason
    assert "6 containers" in found.reason
    gaps = found.measured["gaps_ms"]
    assert isinstance(gaps, dict) and len(gaps) == 5


@pytest.mark.parametrize("behaviour", [START, STOP])
def test_the_classic_pattern_has_no_such_order(tmp_path: Path, behaviour: str) -> None:
    found = start.sequence("classic").judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def at(world: World, who: str, event: str, seconds: float) -> None:
    """Move a stamp."""
    world.lines(who, event)[0]["ns"] = ns(seconds)


def recreate(world: World, name: str, seconds: float, role: str = "subject") -> None:
    """Move a container's creation, and its first stamp."""
    its = ident(role, name)
    world.runtime = [
        one for one in world.runtime
        if one[2]["container_id"] != its or one[1] == "/tasks/exit"
    ]  # fmt: skip
    world.created(seconds, its)
    event = "sidecar.started" if name in (SIDECAR, SECOND) else "app.started"
    at(world, f"{role}.{name}", event, seconds + 0.05)


def between_did_not_wait(world: World) -> None:
    """It began when the first sidecar's process ran: before its readiness."""
    recreate(world, "between", 2.0)


def second_beside_between(world: World) -> None:
    recreate(world, SECOND, 5.05)


def app_before_the_last_init_container_ended(world: World) -> None:
    recreate(world, "app", 8.55)


@pytest.mark.parametrize(
    "wrong",
    [between_did_not_wait, second_beside_between, app_before_the_last_init_container_ended],
)
def test_one_link_that_does_not_hold_breaks_the_chain(wrong: Break, tmp_path: Path) -> None:
    world = start.sequence()
    wrong(world)
    found = world.judged(START, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def ready_but_not_yet_probed(world: World) -> None:
    """The next one began after the readiness and before the probe's 200: it was no gate."""
    recreate(world, "between", 3.6)


def second_was_probed_by_nobody(world: World) -> None:
    world.frames = [one for one in world.frames if b"\x3a\xae" not in one[1][34:38]]


def second_says_nothing(world: World) -> None:
    world.drop(world.stamps[f"subject.{SECOND}"], "sidecar.ready")


def second_is_an_init_container(world: World) -> None:
    del world.watch[0]["object"]["spec"]["initContainers"][3]["restartPolicy"]


def no_order_is_meant(world: World) -> None:
    world.drop(world.steps, "order")


def between_is_unknown_to_the_runtime(world: World) -> None:
    world.runtime = [
        one for one in world.runtime if one[2]["container_id"] != ident("subject", "between")
    ]


@pytest.mark.parametrize(
    "doubtful",
    [
        ready_but_not_yet_probed, second_was_probed_by_nobody, second_says_nothing,
        second_is_an_init_container, no_order_is_meant, between_is_unknown_to_the_runtime,
    ],
)  # fmt: skip
def test_a_chain_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.sequence()
    doubtful(world)
    assert world.judged(START, tmp_path).observed == "inconclusive"


def test_the_reverse_order_counts_its_pairs(tmp_path: Path) -> None:
    found = start.sequence().judged(STOP, tmp_path)
    assert found.observed == "holds", found.reason
    gaps = found.measured["gaps_ms"]
    assert isinstance(gaps, dict) and len(gaps) == 2


def all_sidecars_when_the_app_is_gone(world: World) -> None:
    """Behind the app, but side by side."""
    _resignal(world, SIDECAR, 14.2)


def first_sidecar_with_the_app(world: World) -> None:
    _resignal(world, SIDECAR, 12.1)


def _resignal(world: World, name: str, seconds: float, role: str = "subject") -> None:
    its = ident(role, name)
    world.journal = [one for one in world.journal if its not in one[1]]
    world.signalled(seconds, its)
    at(world, f"{role}.{name}", "sidecar.sigterm", seconds + 0.005)


@pytest.mark.parametrize("wrong", [all_sidecars_when_the_app_is_gone, first_sidecar_with_the_app])
def test_sidecars_that_are_not_in_reverse_order(wrong: Break, tmp_path: Path) -> None:
    world = start.sequence()
    wrong(world)
    found = world.judged(STOP, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def second_ended_at_once(world: World) -> None:
    """Signalled together they would look the same."""
    _resignal(world, SECOND, 15.7)


def second_ended_unsignalled(world: World) -> None:
    its = ident("subject", SECOND)
    world.journal = [one for one in world.journal if its not in one[1]]
    world.drop(world.stamps[f"subject.{SECOND}"], "sidecar.sigterm")


def never_deleted(world: World) -> None:
    world.drop(world.steps, "delete.asked")


@pytest.mark.parametrize(
    "doubtful", [second_ended_at_once, second_ended_unsignalled, never_deleted]
)
def test_an_end_without_meaning_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.sequence()
    doubtful(world)
    assert world.judged(STOP, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_sidecar_that_crashed_was_not_signalled_out_of_its_order(
    tmp_path: Path, pattern: str
) -> None:
    world = start.sequence(pattern)
    for name in (SIDECAR, SECOND):
        its = ident("subject", name)
        world.journal = [one for one in world.journal if its not in one[1]]
        world.drop(world.stamps[f"subject.{name}"], "sidecar.sigterm")
        world.drop(world.stamps[f"subject.{name}"], "sidecar.last")
        world.runtime = [
            one for one in world.runtime
            if one[1] != "/tasks/exit" or one[2]["container_id"] != its
        ]  # fmt: skip
        world.exited(13.0 if name == SECOND else 12.5, its, 1)
    found = world.judged(STOP, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "sidecar-gone"), found.reason


def test_a_mixed_pod_tells_what_the_classic_sidecar_lacks(tmp_path: Path) -> None:
    found = start.sequence().judged(MIXED, tmp_path)
    assert found.observed == "holds", found.reason
    assert "after the app began" in found.reason


def native_did_not_wait_for_the_classic_one(world: World) -> None:
    """The app ended first; the native sidecar was signalled while the classic one still drained."""
    its = ident("mixed", SECOND)
    world.runtime = [
        one for one in world.runtime
        if one[2]["container_id"] != its or one[1] != "/tasks/exit"
    ]  # fmt: skip
    at(world, f"mixed.{SECOND}", "sidecar.last", 15.0)
    world.exited(15.01, its)


def native_came_with_the_app(world: World) -> None:
    at(world, f"mixed.{SIDECAR}", "sidecar.ready", 6.0)


def native_was_signalled_with_the_app(world: World) -> None:
    _resignal(world, SIDECAR, 12.1, "mixed")


@pytest.mark.parametrize(
    "wrong",
    [
        native_did_not_wait_for_the_classic_one, native_came_with_the_app,
        native_was_signalled_with_the_app,
    ],
)  # fmt: skip
def test_a_native_sidecar_that_lost_its_place(wrong: Break, tmp_path: Path) -> None:
    world = start.sequence()
    wrong(world)
    found = world.judged(MIXED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def test_a_classic_sidecar_that_has_a_place_contradicts_the_promise(tmp_path: Path) -> None:
    world = start.sequence()
    at(world, f"mixed.{SECOND}", "sidecar.ready", 4.3)
    found = world.judged(MIXED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "ordered"), found.reason


def test_a_pod_that_is_not_mixed_is_inconclusive(tmp_path: Path) -> None:
    world = start.sequence()
    for line in world.watch:
        if line["object"]["metadata"]["name"] == "mixed":
            del line["object"]["spec"]["initContainers"][0]["restartPolicy"]
    assert world.judged(MIXED, tmp_path).observed == "inconclusive"


def test_a_mixed_pod_whose_app_ended_at_once_is_inconclusive(tmp_path: Path) -> None:
    world = start.sequence()
    its = ident("mixed", "app")
    world.journal = [one for one in world.journal if its not in one[1]]
    world.signalled(14.0, its)
    assert world.judged(MIXED, tmp_path).observed == "inconclusive"

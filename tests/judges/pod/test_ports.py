"""A sidecar's ports: by their name in a Service, and by their place on the node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forge.bundle import Json, World
from tests.worlds import alike
from tests.worlds.alike import PORT, TAKEN

NAMED, HOST = "ports.named", "ports.host"
PATTERNS = ("native", "classic")
Break = Callable[[World], object]


@pytest.mark.parametrize("behaviour", [NAMED, HOST])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_ports_that_count(behaviour: str, pattern: str, tmp_path: Path) -> None:
    found = alike.ports(pattern).held(behaviour, tmp_path)
    assert found.observed == "holds", found.reason


def nameless(numbers: tuple[int, ...] = (), tries: int = 6, heard: str = "") -> World:
    """The slice lists the pod and other ports than the sidecar's, and nobody answers by name."""
    world = alike.ports()
    world.watch = [one for one in world.watch if one["kind"] != "EndpointSlice"]
    alike.slices(world, 5.5, numbers)
    world.commands = [one for one in world.commands if not of(one, "named")]
    for seconds in range(tries):
        alike.ask(world, 6.3 + 0.25 * seconds, "named", heard or "ConnectionRefusedError")
    return world


def of(line: Json, service: str) -> bool:
    return bool(line["command"].endswith(f" {service}"))


@pytest.mark.parametrize(("numbers", "hazard"), [((), "no-port"), ((8080,), "wrong-port")])
def test_a_port_that_nobody_finds_by_its_name(
    numbers: tuple[int, ...], hazard: str, tmp_path: Path
) -> None:
    found = nameless(numbers).held(NAMED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason
    assert "by its number, 15021, the port was answered before and after" in found.reason


def dead_before(world: World) -> None:
    """By its number it was not answered either, until later."""
    next(one for one in world.commands if of(one, "numbered"))["out"] = "TimeoutError\n"


def dead_after(world: World) -> None:
    [one for one in world.commands if of(one, "numbered")][-1]["out"] = "TimeoutError\n"


def never_asked_by_number(world: World) -> None:
    world.commands = [one for one in world.commands if not of(one, "numbered")]


def never_asked_by_name(world: World) -> None:
    world.commands = [one for one in world.commands if not of(one, "named")]


def pod_is_not_ready(world: World) -> None:
    alike.slices(world, 6.5, (), ready=False)


def port_came_late(world: World) -> None:
    alike.slices(world, 7.0)


def no_slice(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "EndpointSlice"]


def two_slices(world: World) -> None:
    """Each may have what the other lacks."""
    alike.slices(world, 6.4, ())
    world.watch[-1]["object"]["metadata"]["name"] = "named-y"


def sidecar_has_two_ports(world: World) -> None:
    for one in world.watch:
        for its in one["object"].get("spec", {}).get("initContainers", ()):
            its["ports"].append({"name": "other", "containerPort": 1})


def asking_failed(world: World) -> None:
    for one in world.commands:
        if of(one, "named"):
            one |= {"code": 1, "out": "", "err": "unable to upgrade connection"}


def service_asks_for_another_name(world: World) -> None:
    targets(world, "named")[0]["targetPort"] = "helth"


def sidecar_does_not_name_it(world: World) -> None:
    for one in world.watch:
        for its in one["object"].get("spec", {}).get("initContainers", ()):
            its["ports"][0]["name"] = "other"


def targets(world: World, service: str) -> list[Json]:
    found: list[Json] = next(
        one["object"]["spec"]["ports"]
        for one in world.watch
        if one["kind"] == "Service" and one["object"]["metadata"]["name"] == service
    )
    return found


DOUBTS = [
    dead_before, dead_after, never_asked_by_number, never_asked_by_name, pod_is_not_ready,
    port_came_late, no_slice, two_slices, sidecar_has_two_ports, asking_failed,
    service_asks_for_another_name, sidecar_does_not_name_it,
]  # fmt: skip


@pytest.mark.parametrize("doubtful", DOUBTS)
def test_a_name_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = nameless()
    doubtful(world)
    assert world.judged(NAMED, tmp_path).observed == "inconclusive"


def test_a_slow_node_is_no_broken_promise(tmp_path: Path) -> None:
    """The slice is as it should be, and nobody answers."""
    assert nameless((PORT,)).judged(NAMED, tmp_path).observed == "inconclusive"


def test_three_tries_are_enough(tmp_path: Path) -> None:
    assert nameless(tries=3).judged(NAMED, tmp_path).hazard == "no-port"


def test_two_tries_are_too_few(tmp_path: Path) -> None:
    assert nameless(tries=2).judged(NAMED, tmp_path).observed == "inconclusive"


def test_an_answer_that_the_slice_does_not_explain(tmp_path: Path) -> None:
    world = alike.ports()
    alike.slices(world, 6.5, ())
    assert world.judged(NAMED, tmp_path).observed == "inconclusive"


def test_an_answer_after_some_tries_is_one(tmp_path: Path) -> None:
    """A node hears of a slice a little after the API server has it."""
    world = alike.ports()
    alike.ask(world, 6.5, "named", "ConnectionRefusedError")
    assert world.held(NAMED, tmp_path).observed == "holds"


def bind(world: World, **where: Any) -> None:
    """The scheduler puts the twin on a node, as if no port of it were taken."""
    world.watch = [one for one in world.watch if not _waits(one)]
    alike.bound(world, 9.1, "twin", **where)


def _waits(line: Json) -> bool:
    its = line["object"]
    return bool(its["metadata"]["name"] == "twin" and its.get("status", {}).get("conditions"))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_two_pods_with_one_port_of_a_node(pattern: str, tmp_path: Path) -> None:
    world = alike.ports(pattern)
    bind(world)
    found = world.held(HOST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "both-bound"), found.reason


def test_a_pod_that_was_left_waiting_and_bound_all_the_same(tmp_path: Path) -> None:
    world = alike.ports()
    alike.bound(world, 9.15, "twin")
    assert world.judged(HOST, tmp_path).hazard == "both-bound"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pod_that_is_bound_once_the_port_is_free(pattern: str, tmp_path: Path) -> None:
    """Seen on 1.33: the scenario is over, the first pod is taken away, and the second is next."""
    world = alike.ports(pattern)
    alike.bound(world, 9.3, "twin")
    assert world.held(HOST, tmp_path).observed == "holds"


def on_another_node(world: World) -> None:
    bind(world, node="other")


def waits_for_cpu(world: World) -> None:
    for one in world.watch:
        for condition in one["object"].get("status", {}).get("conditions", ()):
            condition["message"] = TAKEN.replace("didn't have free ports", "lack cpu")


def first_is_not_on_a_node(world: World) -> None:
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "subject":
            one["object"].get("spec", {}).pop("nodeName", None)


def first_has_ended(world: World) -> None:
    alike.bound(world, 8.9, "subject", phase="Succeeded")


def first_is_being_deleted(world: World) -> None:
    alike.bound(world, 8.9, "subject", phase="Running")
    world.watch[-1]["object"]["metadata"]["deletionTimestamp"] = "2026-11-22T17:45:01Z"


def second_was_never_looked_at(world: World) -> None:
    world.watch = [one for one in world.watch if not _waits(one)]


def _port_of_twin(world: World) -> Json:
    spec = next(
        one["object"]["spec"] for one in world.watch if one["object"]["metadata"]["name"] == "twin"
    )
    found: Json = spec["initContainers"][0]["ports"][0]
    return found


def second_wants_another_port(world: World) -> None:
    _port_of_twin(world)["hostPort"] = 20000


def second_wants_it_at_another_address(world: World) -> None:
    _port_of_twin(world)["hostIP"] = "127.0.0.1"


def nobody_wants_a_port_of_the_node(world: World) -> None:
    for one in world.watch:
        for its in one["object"].get("spec", {}).get("initContainers", ()):
            its["ports"][0].pop("hostPort", None)


def second_has_no_sidecar(world: World) -> None:
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "twin":
            one["object"]["spec"]["initContainers"][0].pop("restartPolicy", None)


def scenario_did_not_come_to_it(world: World) -> None:
    world.drop(world.steps, "scheduled")


PLACES = [
    on_another_node, waits_for_cpu, first_is_not_on_a_node, first_has_ended,
    first_is_being_deleted, second_was_never_looked_at, second_wants_another_port,
    second_wants_it_at_another_address, nobody_wants_a_port_of_the_node, second_has_no_sidecar,
    scenario_did_not_come_to_it,
]  # fmt: skip


@pytest.mark.parametrize("doubtful", PLACES)
def test_a_place_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = alike.ports()
    doubtful(world)
    found = world.judged(HOST, tmp_path)
    assert found.observed == "inconclusive", found.reason

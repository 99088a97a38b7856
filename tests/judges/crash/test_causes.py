"""crash.liveness, crash.backoff, crash.oom: the cause is proven, and the app left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.model import NS
from tests.forge import bundle as forge
from tests.forge.bundle import World, ns
from tests.worlds import crash

LIVENESS, BACKOFF, OOM = "crash.liveness", "crash.backoff", "crash.oom"
Break = Callable[[World], object]
MADE = {
    LIVENESS: crash.liveness, BACKOFF: crash.backoff, OOM: crash.oom,
}  # fmt: skip


@pytest.mark.parametrize("pattern", ["native", "classic"])
@pytest.mark.parametrize("behaviour", MADE)
def test_the_sidecar_alone_is_restarted(tmp_path: Path, behaviour: str, pattern: str) -> None:
    found = MADE[behaviour](pattern).judged(behaviour, tmp_path)
    assert found.observed == "holds", found.reason
    if behaviour == LIVENESS:
        assert found.measured["signalled_after_seconds"] == 1.4
        assert found.measured["away_seconds"] == {"liveness": 4.5}
    elif behaviour == BACKOFF:
        gaps = found.measured["restarted_after_seconds"]
        assert gaps == pytest.approx(
            {"first crash": 1.1, "second crash": 10.8, "third crash": 20.8}, abs=0.01
        )
    else:
        assert found.measured["reason"] == "OOMKilled"
        assert found.measured["runtime_told"] is True


def test_a_status_that_is_ahead_of_the_sidecar_is_told(tmp_path: Path) -> None:
    world = crash.liveness()
    ready = world.lines("subject.envoy", "sidecar.ready")[-1]["ns"]
    (back,) = [one for one in world.watch if one["ns"] > ready and one["kind"] == "Pod"]
    back["ns"] = ready - 2 * NS
    found = world.judged(LIVENESS, tmp_path)
    assert found.observed == "holds", found.reason
    assert "ready 2.00 s too early" in found.reason
    assert "early" not in crash.liveness().judged(LIVENESS, tmp_path / "punctual").reason


@pytest.mark.parametrize("behaviour", MADE)
def test_an_app_that_ends_with_it_is_told(tmp_path: Path, behaviour: str) -> None:
    world = MADE[behaviour]()
    its = [one for one in world.runtime if one[1] == "/tasks/exit"]
    world.runtime = [one for one in world.runtime if one not in its]
    world.runtime += [one for one in its if one[2]["container_id"] != forge.APP]
    world.exited(11.9, forge.APP, 137)
    world.created(12.5, "a2" * 32)
    world.index["pods"]["subject"]["containers"]["app"]["ids"].append("a2" * 32)
    world.stamp(12.6, "subject.app", "app.started")
    found = world.judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "app-restarted"), found.reason


def without_events(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "Event"]


def events_of_another(world: World) -> None:
    for one in world.watch:
        if one["kind"] == "Event":
            about = one["object"]["involvedObject"]
            about["fieldPath"] = about["fieldPath"].replace("envoy", "app")


def ended_by_itself(world: World) -> None:
    """The sidecar crashed while it was ill, and the kubelet had not stopped it."""
    world.journal.clear()


def exit_of_the_sidecar(world: World, at: float, status: int) -> None:
    world.unexited(forge.ENVOY)
    world.exited(at, forge.ENVOY, status)


def restarts_at(world: World, ident: str, at: float) -> None:
    world.runtime = [
        one for one in world.runtime
        if not (one[1] == "/tasks/create" and one[2]["container_id"] == ident)
    ]  # fmt: skip
    world.created(at, ident)


def stopped_by_the_kubelet(world: World) -> None:
    world.signalled(10.3, forge.ENVOY)


def took_nothing(world: World) -> None:
    world.drop(world.stamps["subject.envoy"], "sidecar.allocate")


def no_reason(world: World) -> None:
    for one in world.watch:
        for group in one["object"].get("status", {}).values():
            for each in group:
                if "state" in each:
                    each["state"].pop("terminated", None)


@pytest.mark.parametrize(
    ("behaviour", "doubtful", "said"),
    [
        (LIVENESS, without_events, "told of no failed liveness probe"),
        (LIVENESS, events_of_another, "told of no failed liveness probe"),
        (LIVENESS, ended_by_itself, "cannot be blamed"),
        (LIVENESS, lambda world: world.drop(world.steps, "crash.asked"), "no crash is in steps"),
        (BACKOFF, without_events, "may have been late, and not waiting"),
        (BACKOFF, events_of_another, "may have been late, and not waiting"),
        (BACKOFF, lambda world: restarts_at(world, crash.IDS[3], 35.0), "not each time"),
        (BACKOFF, lambda world: exit_of_the_sidecar(world, 10.1, 1), "exited with 1"),
        (OOM, took_nothing, "before it took any memory"),
        (OOM, stopped_by_the_kubelet, "not the kernel"),
        (OOM, lambda world: exit_of_the_sidecar(world, 10.6, 1), "not the kernel"),
        (OOM, no_reason, "says why"),
        (OOM, lambda world: world.missing.add("runtime.log"), "runtime.log is missing"),
    ],
)
def test_ends_that_show_nothing(tmp_path: Path, behaviour: str, doubtful: Break, said: str) -> None:
    world = MADE[behaviour]()
    doubtful(world)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_restarts_that_come_as_soon_as_ever(tmp_path: Path) -> None:
    world = crash.backoff()
    restarts_at(world, crash.THIRD, 14.2)
    restarts_at(world, crash.IDS[3], 27.3)
    found = world.judged(BACKOFF, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "no-back-off"), found.reason


def test_a_status_that_does_not_name_it(tmp_path: Path) -> None:
    world = crash.oom()
    for one in world.watch:
        for group in one["object"].get("status", {}).values():
            for each in group:
                each.get("state", {}).get("terminated", {}).update(reason="Error")
    found = world.judged(OOM, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "unnamed"), found.reason


def test_a_node_without_limits_verifies_nothing(tmp_path: Path) -> None:
    world = crash.oom()
    world.stamp(10.4, "subject.envoy", "sidecar.allocated", mebibytes=256)
    world.runtime = [one for one in world.runtime if one[0] < ns(10.5)]
    found = world.judged(OOM, tmp_path)
    assert found.observed == "not-verified"
    assert "holds 256 MiB under a limit of 64 MiB" in found.reason


def test_a_runtime_that_learns_of_it_behind_the_exit(tmp_path: Path) -> None:
    """The first status says Error, and the later ones OOMKilled (containerd's issue 8180)."""
    world = crash.oom()
    its = {"exitCode": 137, "containerID": f"containerd://{forge.ENVOY}"}
    for one in world.watch:
        for group in one["object"].get("status", {}).values():
            for each in group:
                if each.get("state", {}).get("terminated"):
                    each["state"]["terminated"]["reason"] = "Error"
                elif each.get("name") == "envoy" and one["ns"] > ns(11):
                    each["lastState"] = {"terminated": {**its, "reason": "OOMKilled"}}
    found = world.judged("crash.oom", tmp_path)
    assert found.observed == "holds", found.reason


def test_a_first_restart_that_is_late_hides_no_back_off(tmp_path: Path) -> None:
    """22 s, 10.8 s and 20.8 s: the first was the machine's doing, the others are the kubelet's."""
    world = crash.backoff()
    cut, by = ns(11.1), 21 * NS
    for lines in (world.steps, world.watch, world.agent, *world.stamps.values()):
        for one in lines:
            if one["ns"] > cut:
                one["ns"] += by
                if "mono_ns" in one:
                    one["mono_ns"] += by
    moved = []
    for at, topic, body in world.runtime:
        if at > cut and "exited_at" in body:
            body["exited_at"]["seconds"] += 21
        moved.append((at + by if at > cut else at, topic, body))
    world.runtime = moved
    found = world.judged("crash.backoff", tmp_path)
    assert found.observed == "inconclusive", found.reason

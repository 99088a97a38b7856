"""start.unready-sidecar: what was kept from starting is seen to start when the cause is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import GATEWAY, NONCE, World, ns
from tests.worlds import start

UNREADY = "start.unready-sidecar"
Break = Callable[[World], object]


def test_an_app_that_waits_is_held_with_its_refusals(tmp_path: Path) -> None:
    found = start.unready().judged(UNREADY, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["refused_probes"] == 4
    assert found.measured["shown"] == "Init:0/1"
    assert found.measured["corrected_in_place"] is False


def test_a_plain_sidecar_leaves_the_app_unprotected(tmp_path: Path) -> None:
    found = start.unready("classic").judged(UNREADY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "unprotected"), found.reason
    assert "20 reset" in found.reason


def meshed(world: World) -> None:
    world.index["identities"] = {"subject": "spiffe://a", "peer": "spiffe://b"}


def test_a_mesh_that_is_not_there_lets_plaintext_out(tmp_path: Path) -> None:
    world = start.unready("classic")
    meshed(world)
    found = world.judged(UNREADY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason
    assert NONCE in found.reason


def test_a_mesh_that_refuses_is_unprotected_but_leaks_nothing(tmp_path: Path) -> None:
    world = start.unready("classic")
    meshed(world)
    world.frames = [one for one in world.frames if b"cny." not in one[1]]
    found = world.judged(UNREADY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "unprotected"), found.reason


def app_began_before(world: World) -> None:
    """Shown as waiting, and running all the same: its own stamp says so."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != _APP]
    world.created(4.0, _APP)
    world.lines("subject.app", "app.started")[0]["ns"] = ns(4.05)


def app_began_before_the_sidecar_was_ready(world: World) -> None:
    """What the sidecar lacked was there, but it had not passed its probe."""
    world.lines("subject.sidecar", "sidecar.ready")[0]["ns"] = ns(8.8)
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != _APP]
    world.created(8.3, _APP)
    world.lines("subject.app", "app.started")[0]["ns"] = ns(8.35)


@pytest.mark.parametrize(("probed", "observed"), [(8.2, "holds"), (8.6, "broken")])
def test_a_sidecar_that_wrote_late_that_it_was_ready(
    tmp_path: Path, probed: float, observed: str
) -> None:
    """It answers its probe, and writes that it is ready after that: the 200 opens the gate."""
    world = start.unready()
    app_began_before_the_sidecar_was_ready(world)
    world.index["ports"]["health"] = 15021
    world.index["addresses"]["gateway"] = [GATEWAY]
    world.probe(probed, "200 OK")
    assert world.judged(UNREADY, tmp_path).observed == observed


def not_shown(world: World) -> None:
    world.commands.clear()
    start.shown(world, 7.0, "get pod subject", {"subject": "Running"})


_APP = start.ident("subject", "app")


@pytest.mark.parametrize(
    ("broken", "hazard"),
    [
        (app_began_before, "unprotected"),
        (app_began_before_the_sidecar_was_ready, "unprotected"),
        (not_shown, "not-shown"),
    ],
)
def test_native_worlds_that_break_it(broken: Break, hazard: str, tmp_path: Path) -> None:
    world = start.unready()
    broken(world)
    found = world.judged(UNREADY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason


def was_ready_all_the_time(world: World) -> None:
    """Nothing was wrong: the app was merely slow."""
    world.lines("subject.sidecar", "sidecar.ready")[0]["ns"] = ns(3.0)


def never_recovered(world: World) -> None:
    world.drop(world.stamps["subject.sidecar"], "sidecar.ready")


def never_healed(world: World) -> None:
    world.drop(world.steps, "healed")


def probes_of_another_pod(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "Event"]
    start.refusals(world, 5.0, uid="uid-other")


def refused_once(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "Event"]
    start.refusals(world, 5.0, count=1)


def refused_only_afterwards(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "Event"]
    start.refusals(world, 9.0)


def app_never_came(world: World) -> None:
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != _APP]
    del world.stamps["subject.app"]


def begun_around_the_correction(world: World) -> None:
    """Created before it, first stamp after it: either may be true."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != _APP]
    world.created(7.9, _APP)


def shown_too_late(world: World) -> None:
    world.commands[0]["ns"] = ns(8.5)


def kubectl_failed(world: World) -> None:
    world.commands[0] |= {"code": 1, "err": "no such pod"}


@pytest.mark.parametrize(
    "doubtful",
    [
        was_ready_all_the_time, never_recovered, never_healed, probes_of_another_pod, refused_once,
        refused_only_afterwards, app_never_came, begun_around_the_correction, shown_too_late,
        kubectl_failed,
    ],
)  # fmt: skip
def test_a_wait_without_its_cause_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = start.unready()
    doubtful(world)
    assert world.judged(UNREADY, tmp_path).observed == "inconclusive"

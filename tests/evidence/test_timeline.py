"""Order is proven by the worst stamps of both events, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.evidence import windows
from conformance.evidence.bundle import Bundle
from conformance.evidence.timeline import (
    PUBLISH_LAG_NS,
    Event,
    clock_step_ns,
    happens_before,
    lives,
)
from conformance.evidence.unjudgeable import Unjudgeable
from tests.forge import bundle as forge
from tests.forge.bundle import ns
from tests.worlds import lifecycle


def event(earliest: int, latest: int) -> Event:
    return Event("e", earliest, latest, ())


@pytest.mark.parametrize(
    ("first", "second", "answer", "gap"),
    [
        ((0, 10), (11, 20), "yes", 1),
        ((0, 10), (10, 20), "cannot tell", 0),
        ((0, 10), (5, 20), "cannot tell", 5),
        ((0, 30), (5, 20), "cannot tell", 25),
        ((21, 30), (5, 20), "no", -1),
        ((20, 30), (5, 20), "cannot tell", 25),
    ],
)
def test_three_answers(
    first: tuple[int, int], second: tuple[int, int], answer: str, gap: int
) -> None:
    order = happens_before(event(*first), event(*second))
    assert (order.answer, order.gap_ns) == (answer, gap)


def test_execs_are_no_exits_of_the_container(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    body = {"container_id": forge.APP, "id": "probe", "exit_status": 0}
    world.runtime.append((ns(16.9), "/tasks/exit", body))
    found = lives(Bundle.open(world.write(tmp_path / "bundle")))
    (app,) = found["app"]
    assert app.exited_latest == ns(15.11)
    assert app.created is not None
    assert app.created.ns == ns(5.3)
    assert [stop.ns for stop in app.stops] == [ns(10.045)]
    assert found[""][0].container_id == forge.SANDBOX


@pytest.mark.parametrize("step_ms", [0, 4, 6, -20])
def test_a_step_of_the_clock_is_seen(tmp_path: Path, step_ms: int) -> None:
    world = lifecycle.lifecycle()
    for lines in world.stamps.values():
        for one in lines:
            one["mono_ns"] -= step_ms * 1_000_000 if one["ns"] > ns(8) else 0
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    assert clock_step_ns(bundle) == abs(step_ms) * 1_000_000


def test_single_readings_that_were_preempted_are_no_step(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    for lines in world.stamps.values():
        for one in lines[::7]:
            one["mono_ns"] += 40_000_000
    assert clock_step_ns(Bundle.open(world.write(tmp_path / "bundle"))) < 1_000_000


def clock(step_ns: int, at: float, uncertainty_ns: int = 200) -> str:
    """The node's own readings, one a second, with a step of the clock."""
    return forge.jsonl([
        {
            "ns": ns(second), "mono_ns": ns(second) - forge.EPOCH,
            "offset_ns": forge.EPOCH + (step_ns if second > at else 0),
            "uncertainty_ns": uncertainty_ns,
        }
        for second in range(-1, 22)
    ])  # fmt: skip


def test_a_step_that_only_the_nodes_own_clock_shows(tmp_path: Path) -> None:
    """A Job's programs stamp too seldom to show it."""
    world = lifecycle.job()
    world.extra["clock.jsonl"] = clock(-20_000_000, 9.0)
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    assert clock_step_ns(bundle) == pytest.approx(20_000_000, abs=1000)


def test_an_uncertain_reading_of_the_clock_is_no_step(tmp_path: Path) -> None:
    world = lifecycle.job()
    world.extra["clock.jsonl"] = clock(8_000_000, 9.0, uncertainty_ns=5_000_000)
    assert clock_step_ns(Bundle.open(world.write(tmp_path / "bundle"))) == 0


def test_windows_are_bounded_by_events(tmp_path: Path) -> None:
    bundle = Bundle.open(lifecycle.lifecycle().write(tmp_path / "bundle"))
    startup, steady, shutdown = (
        one(bundle) for one in (windows.startup, windows.steady, windows.shutdown)
    )
    assert (startup.start, startup.end) == (ns(0.5) - PUBLISH_LAG_NS, ns(6.5))
    assert (steady.start, steady.end) == (ns(6.5), ns(10))
    assert (shutdown.start, shutdown.end) == (ns(10), ns(17.01))


@pytest.mark.parametrize("missing", ["delete.accepted", "delete.asked"])
def test_a_shutdown_needs_an_accepted_deletion(tmp_path: Path, missing: str) -> None:
    world = lifecycle.lifecycle()
    world.drop(world.steps, missing)
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    if missing == "delete.accepted":
        with pytest.raises(Unjudgeable, match="no deletion"):
            windows.shutdown(bundle)
    else:
        assert windows.shutdown(bundle).start == ns(10.01)


def test_ready_needs_the_sidecar_too(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    for line in world.watch:
        line["object"]["status"] = lifecycle.status("native", "app")
    with pytest.raises(Unjudgeable, match="never seen with app and envoy ready"):
        windows.startup(Bundle.open(world.write(tmp_path / "bundle")))


def test_another_pods_readiness_is_not_this_ones(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.seen(1.5, "Pod", "subject", "another uid", {}, lifecycle.status("native", "app", "envoy"))
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    assert windows.startup(bundle).end == ns(6.5)

"""wire.no-agent: a pod waits for its node's agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forge.bundle import APP, World
from tests.worlds import between
from tests.worlds.across import NEAR
from tests.worlds.stop import shown

WAITS = "wire.no-agent"


def made(world: World, at: float) -> None:
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != APP]
    world.created(at, APP)


def test_a_pod_that_waits(tmp_path: Path) -> None:
    found = between.agentless().held(WAITS, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["waited_seconds"] == pytest.approx(20.2)


def test_a_pod_that_starts_all_the_same(tmp_path: Path) -> None:
    world = between.agentless()
    made(world, 2.0)
    assert shown(world.judged(WAITS, tmp_path)) == ("broken", "unprotected")


def test_the_sandbox_is_no_container(tmp_path: Path) -> None:
    """The runtime makes one for each of its attempts."""
    world = between.agentless()
    world.created(1.0, "7" * 64)
    world.index["pods"]["subject"]["sandbox"] = "7" * 64
    assert world.judged(WAITS, tmp_path).observed == "holds"


@pytest.mark.parametrize("step", ["agent.taken", "agent.asked", "subject.ready", "subject.create"])
def test_a_scenario_that_did_not_come_that_far(tmp_path: Path, step: str) -> None:
    world = between.agentless()
    world.drop(world.steps, step)
    assert world.judged(WAITS, tmp_path).observed == "inconclusive"


def test_a_pod_on_another_node(tmp_path: Path) -> None:
    world = between.agentless()
    for line in world.watch:
        line["object"]["spec"] = line["object"]["spec"] | {"nodeName": NEAR}
    assert world.judged(WAITS, tmp_path).observed == "inconclusive"


def test_an_agent_that_was_asked_for_at_once(tmp_path: Path) -> None:
    world = between.agentless()
    made(world, 3.0)
    for line in world.steps:
        if line["step"] == "agent.asked":
            line["ns"] -= 18_000_000_000
    assert world.judged(WAITS, tmp_path).observed == "inconclusive"

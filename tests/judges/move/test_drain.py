"""move.drain: from one node to the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import across
from tests.worlds.stop import shown

DRAIN = "move.drain"


def standby(world: World) -> list[dict[str, object]]:
    return [one for one in world.watch if one["object"]["metadata"]["uid"] == "uid-standby"]


def test_a_drain_to_the_other_node(tmp_path: Path) -> None:
    found = across.drain().held(DRAIN, tmp_path)
    assert found.observed == "holds", found.reason
    assert (found.measured["from"], found.measured["to"]) == ("node", "other")
    assert found.measured["next_after_seconds"] == pytest.approx(1.0)


def test_the_next_one_is_told_too_early(tmp_path: Path) -> None:
    world = across.drain()
    standby(world)[-1]["ns"] = ns(25.0)
    assert shown(world.judged(DRAIN, tmp_path)) == ("broken", "too-few-left")


def test_a_standby_on_the_same_node(tmp_path: Path) -> None:
    world = across.drain()
    for one in standby(world):
        one["object"]["spec"]["nodeName"] = "node"  # type: ignore[index]
    assert world.judged(DRAIN, tmp_path).observed == "inconclusive"


def test_a_standby_that_never_was_ready(tmp_path: Path) -> None:
    world = across.drain()
    world.watch.remove(standby(world)[-1])
    assert world.judged(DRAIN, tmp_path).observed == "inconclusive"


def test_a_drain_that_nobody_finished(tmp_path: Path) -> None:
    world = across.drain()
    world.commands[0]["code"] = 1
    assert world.judged(DRAIN, tmp_path).observed == "inconclusive"

"""A world in which the agents of two nodes are replaced by the next release's.

As that of the between scenario, but for what happens to the agents: 6.5 the upgrade is asked for ·
6.7 the former agents end · 8.5 the next ones are made · 9 all ready · 10.8 traffic goes on.
"""

from __future__ import annotations

import json
from functools import cache

from tests.forge.bundle import Json, World, ns
from tests.worlds import between
from tests.worlds.across import FAR, NEAR

ASKED, ENDED, MADE, READY, SETTLED = 6.5, 6.7, 8.5, 9.0, 10.8
FORMER = {NEAR: "1a" * 32, FAR: "1b" * 32}
PRESENT = {NEAR: "2a" * 32, FAR: "2b" * 32}
OLD, NEW = "1.15.6", "1.15.19"
FILE = "mesh/upgrade.jsonl"


def agent_upgrade(_: str = "sidecarless") -> World:
    """All is sealed, nobody is let in, and both agents are replaced: a fresh world that a test may
    break."""
    return _agent_upgrade().copy()


@cache
def _agent_upgrade() -> World:
    world = between.between()
    world.index["cell"]["scenario"] = "agent-upgrade"
    for step in ("agent.killed", "agent.back", "agent.settled"):
        world.drop(world.steps, step)
    for at, step in ((ASKED, "upgrade.asked"), (READY, "upgraded"), (SETTLED, "upgrade.settled")):
        world.step(at, step)
    world.steps.sort(key=lambda line: int(line["ns"]))
    for node in FORMER:
        world.exited(ENDED, FORMER[node])
        world.created(MADE, PRESENT[node])
    write(world, [*agents("before", 6.4), *agents("after", 10.85)])
    return world


def agents(when: str, at: float) -> list[Json]:
    """What is told of each node's agent."""
    ids, version = (FORMER, OLD) if when == "before" else (PRESENT, NEW)
    image = f"quay.io/cilium/cilium:v{version}"
    return [
        {
            "ns": ns(at), "when": when, "node": node, "pod": f"uid-{when}-{node}", "image": image,
            "container": ids[node], "running": {ids[node]: image}, "release": f"cilium-{version}",
            "says": f"Client: {version} module\nDaemon: {version} module",
        }
        for node in ids
    ]  # fmt: skip


def told(world: World) -> list[Json]:
    """The lines on the agents, to be changed and written again."""
    return [json.loads(line) for line in world.extra[FILE].splitlines()]


def write(world: World, lines: list[Json]) -> None:
    world.extra[FILE] = "".join(json.dumps(line) + "\n" for line in lines)


WORLDS = {"agent-upgrade": agent_upgrade}

"""A whole world, changes of it, and whether what they make of it contradicts itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.consistency import contradictions
from tests.approved import given
from tests.forge import bundle as forge
from tests.forge.bundle import World, ns
from tests.forge.told import require_contradiction
from tests.worlds import lifecycle

Break = Callable[[World], Any]


def whole() -> World:
    """A good world in which the watch tells ids and ends, as a real one does."""
    world = lifecycle.lifecycle().complete()
    statuses = [
        {
            "name": name, "ready": False, "restartCount": 0, "imageID": "i", "image": "i",
            "containerID": f"containerd://{pod['ids'][0]}",
        }
        for name, pod in world.index["pods"]["subject"]["containers"].items()
    ]  # fmt: skip
    for line in pods(world):
        line["object"]["status"]["initContainerStatuses"] = statuses[:2]
        line["object"]["status"].setdefault("containerStatuses", [])
    last = copy.deepcopy(pods(world)[-1])
    last["ns"] = ns(17.5)
    last["object"]["status"] = {
        "initContainerStatuses": statuses[:2], "containerStatuses": statuses[2:],
        "podIPs": [{"ip": one} for one in (forge.POD, forge.POD6)],
    }  # fmt: skip
    world.watch.append(last)
    world.extra["clock.jsonl"] = clock()
    return world


def clock(jump: int = 0) -> str:
    lines = []
    for second in range(-1, 20):
        at, mono = ns(second), ns(second) - forge.EPOCH + forge.UPTIME
        shown = at + (jump if second > 8 else 0)
        line = {"ns": shown, "mono_ns": mono, "offset_ns": at - mono, "uncertainty_ns": 200}
        lines.append(json.dumps(line) + "\n")
    return "".join(lines)


def pods(world: World) -> list[dict[str, Any]]:
    return [
        line
        for line in world.watch
        if line["kind"] == "Pod" and line["object"]["metadata"]["uid"] == "uid-subject"
    ]


def reasons(world: World, folder: Path) -> list[str]:
    bundle = world.write(folder / "bundle")
    found = contradictions(Bundle.open(bundle))
    for one in found:
        require_contradiction(one, bundle)
    given.contradictions(found)
    return [one.reason for one in found]


def require_struck(forged: tuple[Break, str], folder: Path) -> tuple[World, list[str]]:
    """A change of a whole world contradicts, and a reason says so; the world and all reasons."""
    world = whole()
    change, said = forged
    change(world)
    found = reasons(world, folder)
    assert any(said in one for one in found), found
    return world, found


def require_sound(change: Break, folder: Path) -> None:
    """A change of a whole world contradicts nothing."""
    world = whole()
    change(world)
    found = reasons(world, folder)
    assert not found, found

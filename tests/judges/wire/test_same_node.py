"""wire.same-node: what can be read on the node."""

from __future__ import annotations

from pathlib import Path

from tests.worlds import between
from tests.worlds.across import FAR

SAME = "wire.same-node"


def test_requests_on_the_node_can_be_read(tmp_path: Path) -> None:
    found = between.between().held(SAME, tmp_path)
    assert found.observed == "measured", found.reason
    assert found.measured["requests_in_clear"] >= 5


def test_nothing_was_seen_there(tmp_path: Path) -> None:
    world = between.between()
    world.node_frames = []
    assert world.judged(SAME, tmp_path).observed == "inconclusive"


def test_the_near_pod_was_not_near(tmp_path: Path) -> None:
    world = between.between()
    for line in world.watch:
        if line["object"]["metadata"]["uid"] == "uid-near":
            line["object"]["spec"]["nodeName"] = FAR
    assert world.judged(SAME, tmp_path).observed == "inconclusive"

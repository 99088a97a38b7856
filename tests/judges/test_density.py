"""Was something tried all the time? Each sender by what itself says of its life."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.judges.density import trying
from conformance.model import Window
from tests.forge.bundle import PEER, World, ns
from tests.worlds import lifecycle

WHOLE = Window("whole", ns(6), ns(17))


def world() -> World:
    """The pod under test is told to go at second 10, and drains for 5 s; its peer is not."""
    made = lifecycle.lifecycle()
    made.index["pods"]["peer"] = {
        "uid": "uid-peer", "ip": PEER, "ips": [PEER], "sandbox": "", "containers": {},
    }  # fmt: skip
    made.stamp(2.0, "peer.app", "app.started")
    return made


@pytest.mark.parametrize(("role", "until"), [("subject", 15.0), ("peer", 17.0)])
def test_who_is_told_to_go_tries_until_its_own_drain_is_over(
    tmp_path: Path, role: str, until: float
) -> None:
    bundle = Bundle.open(world().write(tmp_path / "bundle"))
    found = trying(bundle, WHOLE, role, "app")
    assert found.start == WHOLE.start
    assert found.end == pytest.approx(ns(until), abs=200_000_000)

"""logs.behind-mesh: a shipper's last lines, beside a mesh's proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import World, token
from tests.worlds import logs
from tests.worlds.logs import forget

MESH = "logs.behind-mesh"
Break = Callable[[World], object]
BESIDE = "plaintext-while-the-sidecar-lived"


def test_the_proxy_outlives_the_shipper(tmp_path: Path) -> None:
    found = logs.mesh().judged(MESH, tmp_path)
    assert found.observed == "holds", found.reason
    assert float(str(found.measured["proxy_outlived_shipper_seconds"])) > 1


def test_lines_that_leave_in_clear(tmp_path: Path) -> None:
    world = logs.mesh()
    world.leak(15.15, "x")
    forget(world, "subject", 0, 200)
    found = world.judged(MESH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["lost"] == 97


def test_lines_lost_without_plaintext_are_another_hazard(tmp_path: Path) -> None:
    world = logs.mesh()
    forget(world, "subject", 90, 200)
    found = world.judged(MESH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")


def test_first_lines_lost_beside_a_proxy_are_no_last_ones(tmp_path: Path) -> None:
    world = logs.mesh()
    forget(world, "subject", 0, 5)
    found = world.judged(MESH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")


def other_order(world: World) -> None:
    for line in world.watch:
        line["object"]["spec"]["initContainers"].sort(key=lambda one: one["name"] == "envoy")


def no_tls(world: World) -> None:
    world.frames = [one for one in world.frames if one[0] < forge.ns(9.9) or one[1][12] == 0x88]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (other_order, "comes first in the admitted pod"),
        (no_tls, "bytes of TLS"),
        (lambda world: world.drop_beacon(120), "capture blind"),
    ],
)
def test_proxies_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = logs.mesh()
    doubtful(world)
    found = world.judged(MESH, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_logs_plaintext_beside_a_living_proxy(tmp_path: Path) -> None:
    """The redirection never was: the shipper's last act is in clear, and the proxy outlives it."""
    world = logs.mesh()
    world.leak(14.5, token("drain", 999))  # the proxy lives until 16.75
    found = world.judged("logs.behind-mesh", tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)

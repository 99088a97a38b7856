"""The node as a witness of what has no address of the pod's: single defects, and what is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.forge import wire
from tests.forge.bundle import POD, World, clear_request, ns, on_the_node, token
from tests.forge.defects import Break
from tests.worlds import lifecycle

OWN, ALL_NODES, ROUTER = "fe80::7", "ff02::1", "fe80::1"
SOLICITATION = struct.pack("!BBHI", 133, 0, 0, 0)  # RFC 4861, 4.1


def only_node(source: str, target: str, protocol: int, data: bytes, *, came: bool = False) -> Break:
    """A frame that only the node saw, on the pod's link."""
    pod = (target,) if came else (source,)

    def change(world: World) -> None:
        world.node_frames = list(world.frames)
        frame = wire.framed(source, target, protocol, data, pod)
        world.node_frames.append((ns(12.5), frame))

    return change


def unaddressed(ethertype: int, data: bytes) -> Break:
    def change(world: World) -> None:
        frame = wire.ethernet(ethertype, data, from_pod=True)
        world.node_frames = [*world.frames, (ns(12.5), frame)]

    return change


SAID = wire.udp((OWN, 5000), (ALL_NODES, 5000), clear_request(token("drain", 7)))
CASES: dict[str, tuple[Break, str]] = {
    "nothing": (lambda _: None, "holds"),
    "a token in clear, from the pod's address of the link": (
        only_node(OWN, ALL_NODES, 17, SAID), "broken"),
    "bytes without a token, from there": (
        only_node(OWN, ROUTER, 17, wire.udp((OWN, 5000), (ROUTER, 5000), b"\x80" * 60)), "broken"),
    "an answer in clear, to there": (
        only_node(ROUTER, OWN, 17, wire.udp((ROUTER, 5000), (OWN, 5000), b"secret"), came=True),
        "broken"),
    "who is my router": (only_node(OWN, "ff02::2", 58, SOLICITATION), "holds"),
    "a frame of a type that nothing explains": (unaddressed(0x88B6, b"secret" * 5), "broken"),
    "the same between two others": (
        only_node("10.244.0.77", "10.244.0.78", 17, SAID), "holds"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_the_node_alone_sees(tmp_path: Path, name: str) -> None:
    world = lifecycle.lifecycle()
    change, right = CASES[name]
    change(world)
    found = world.judged("stop.no-plaintext", tmp_path)
    assert found.observed == right, found.reason


def test_a_frame_of_the_link_that_both_see_is_one_leak(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    frame = wire.framed(OWN, ALL_NODES, 17, SAID, (OWN,))
    world.frames.append((ns(12.5), frame))
    found = world.judged("stop.no-plaintext", tmp_path)
    assert found.observed == "broken"
    assert found.measured["node_only_leaks"] == 0
    assert found.measured["leaks"] == 1


def test_the_node_sees_each_frame_of_the_pod_once() -> None:
    frame = wire.framed(POD, "10.244.0.5", 17, wire.udp((POD, 1), ("10.244.0.5", 2), b"x"), (POD,))
    assert len(on_the_node((0, frame))) == 2

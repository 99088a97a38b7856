"""wire.no-plaintext: what a mesh carries, seen between the nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.evidence.wires import REMEMBERED
from tests.forge import wire
from tests.forge.bundle import DIALER, PEER, POD, clear_request, ns, token
from tests.worlds import across
from tests.worlds.across import FAR, NEAR
from tests.worlds.stop import shown

WIRE = "wire.no-plaintext"


def clear(its: str, *, source: str = POD, data: bytes = b"") -> bytes:
    """A segment with a request in clear, or other data, under the pods' addresses."""
    data = data or clear_request(its)
    return wire.framed(
        source, PEER, 6, wire.tcp((source, 50009), (PEER, 8080), 1, 1, 24, data), (POD,)
    )


def vxlan(frame: bytes) -> bytes:
    """The same inside of a tunnel between the nodes."""
    ends = (across.ADDRESSES[NEAR], 40000), (across.ADDRESSES[FAR], 8472)
    header = b"\x08\0\0\0\0\0\x02\0"
    return wire.framed(ends[0][0], ends[1][0], 17, wire.udp(*ends, header + frame), ())


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_mesh_on_two_nodes(tmp_path: Path, pattern: str) -> None:
    found = across.lifecycle(pattern).held(WIRE, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["leaks"] == 0
    assert found.measured["answered"] >= 20


@pytest.mark.parametrize("node", [NEAR, FAR])
@pytest.mark.parametrize("kind", ["first", "steady", "mesh-witness"])
def test_a_leak_that_one_node_saw(tmp_path: Path, node: str, kind: str) -> None:
    world = across.lifecycle()
    across.on_the_wire(world, node, 6.0, clear(token(kind, 3)))
    found = world.judged(WIRE, tmp_path)
    assert shown(found) == ("broken", "plaintext")
    assert found.evidence[0].file == f"wire/{node}/eth0.pcap"
    assert token(kind, 3) in found.evidence[0].text


@pytest.mark.parametrize("many", ["payload without a token", "a stranger's tokens"])
def test_a_late_leak_after_much_that_is_none(tmp_path: Path, many: str) -> None:
    """A busy life: TLS between the nodes, and a dialer outside the mesh that is in clear by right.
    They are told up to a bound, and must not hide what comes after them."""
    world = across.lifecycle()
    for place in range(REMEMBERED + 50):
        frame = (
            clear(token("dial", place, "dialer"), source=DIALER)
            if many == "a stranger's tokens"
            else clear("", data=wire.sealed(40))
        )
        across.on_the_wire(world, NEAR, 2.0 + place / 100, frame)
    assert world.judged(WIRE, tmp_path / "kept").observed == "holds"
    across.on_the_wire(world, NEAR, 12.0, clear(token("drain", 3)))
    found = world.judged(WIRE, tmp_path / "broken")
    assert shown(found) == ("broken", "plaintext")
    assert found.measured["leaks"] == 2  # a request says it in its path and in its body
    assert token("drain", 3) in found.evidence[0].text


def test_every_leak_is_counted(tmp_path: Path) -> None:
    world = across.lifecycle()
    for place in range(REMEMBERED + 50):
        across.on_the_wire(world, NEAR, 2.0 + place / 100, clear(token("steady", place)))
    assert world.judged(WIRE, tmp_path).measured["leaks"] == 2 * (REMEMBERED + 50)


def test_a_leak_inside_of_a_tunnel(tmp_path: Path) -> None:
    world = across.lifecycle()
    across.on_the_wire(world, NEAR, 6.0, vxlan(clear(token("steady", 3))))
    found = world.judged(WIRE, tmp_path)
    assert shown(found) == ("broken", "plaintext")
    assert "tunnelled" in found.evidence[0].text


def test_a_token_that_is_cut_in_two(tmp_path: Path) -> None:
    world = across.lifecycle()
    data, its = clear_request(token("steady", 3)), (POD, 50009)
    for at, part in ((6.0, data[:20]), (6.001, data[20:])):
        segment = wire.tcp(its, (PEER, 8080), 1, 1, 24, part)
        across.on_the_wire(world, NEAR, at, wire.framed(POD, PEER, 6, segment, (POD,)))
    assert shown(world.judged(WIRE, tmp_path)) == ("broken", "plaintext")


def test_a_leak_counts_where_the_capture_was_blind_later(tmp_path: Path) -> None:
    world = across.lifecycle()
    across.on_the_wire(world, NEAR, 6.0, clear(token("steady", 3)))
    across.blind(world, NEAR, 8.0, 9.5)
    assert world.judged(WIRE, tmp_path).observed == "broken"


@pytest.mark.parametrize("node", [NEAR, FAR])
def test_a_blind_capture_of_either_node_says_nothing(tmp_path: Path, node: str) -> None:
    world = across.lifecycle()
    across.blind(world, node, 7.0, 8.0)
    found = world.judged(WIRE, tmp_path)
    assert found.observed == "inconclusive"
    assert found.retry


def test_an_agent_that_died_says_nothing(tmp_path: Path) -> None:
    world = across.lifecycle()
    across.deaf(world, FAR, 11.0)
    assert world.judged(WIRE, tmp_path).observed == "inconclusive"


def test_who_does_not_see_the_control_sees_nothing(tmp_path: Path) -> None:
    world = across.lifecycle()
    for node, (frames, lines) in world.wires.items():
        world.wires[node] = ([one for one in frames if b".control." not in one[1]], lines)
    found = world.judged(WIRE, tmp_path)
    assert found.observed == "inconclusive"
    assert "the judge cannot see there" in found.reason


@pytest.mark.parametrize("node", [NEAR, FAR])
def test_who_sees_the_control_on_the_other_node_alone(tmp_path: Path, node: str) -> None:
    world = across.lifecycle()
    frames, lines = world.wires[node]
    world.wires[node] = ([one for one in frames if b".control." not in one[1]], lines)
    found = world.judged(WIRE, tmp_path)
    assert found.observed == "inconclusive"
    assert f"was not seen on {node}: the judge cannot see there" in found.reason


@pytest.mark.parametrize("node", [NEAR, FAR])
def test_what_went_by_another_interface_was_not_watched(tmp_path: Path, node: str) -> None:
    """The nodes' interfaces show the deliberate leak, and nothing else of the pods'."""
    world = across.lifecycle()
    frames, lines = world.wires[node]
    kept = [one for one in frames if across.is_beacon(one) or b".control." in one[1]]
    world.wires[node] = (kept, lines)
    found = world.judged(WIRE, tmp_path)
    assert found.observed == "inconclusive"
    assert "they went another way than the one that was watched" in found.reason


def test_pods_of_one_node_cross_nothing(tmp_path: Path) -> None:
    world = across.lifecycle()
    for line in world.watch:
        if line["object"]["metadata"]["uid"] == "uid-peer":
            line["object"]["spec"]["nodeName"] = NEAR
    found = world.judged(WIRE, tmp_path)
    assert found.observed == "inconclusive"
    assert "were not on two nodes" in found.reason


def test_a_cluster_of_one_node(tmp_path: Path) -> None:
    world = across.lifecycle()
    del world.index["nodes"][FAR]
    assert "one node" in world.judged(WIRE, tmp_path).reason


def test_what_strangers_send_is_not_the_meshs(tmp_path: Path) -> None:
    world = across.lifecycle()
    across.on_the_wire(world, NEAR, 6.0, clear(token("dial", 3, "dialer"), source="10.244.0.9"))
    assert world.judged(WIRE, tmp_path).observed == "holds"


def test_beacons_of_other_cells_are_theirs(tmp_path: Path) -> None:
    world = across.lifecycle()
    at, frame = wire.beacon("cc112233445566cc", 7, ns(7.0), "beat")
    across.on_the_wire(world, NEAR, 7.0, frame)
    assert at == ns(7.0)
    assert world.judged(WIRE, tmp_path).observed == "holds"

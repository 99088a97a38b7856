"""What an observer between the nodes can read of pods without a sidecar, in each window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import wire
from tests.forge.bundle import PEER, POD, World, ns, token
from tests.worlds import across, between
from tests.worlds.across import ADDRESSES, FAR, NEAR
from tests.worlds.between import in_clear, paused, request, thinned, vxlan
from tests.worlds.stop import shown

MOMENTS = {"wire.startup": 1.5, "wire.steady": 4.0, "wire.agent-killed": 8.0, "wire.shutdown": 13.0}
EACH = pytest.mark.parametrize("behaviour", MOMENTS)


@EACH
def test_all_is_sealed(tmp_path: Path, behaviour: str) -> None:
    found = between.between().held(behaviour, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["tokens_in_clear"] == 0
    assert found.measured["sealed_packets"] > 0


@EACH
def test_a_request_in_clear_breaks_its_own_window_alone(tmp_path: Path, behaviour: str) -> None:
    world = between.between()
    in_clear(world, MOMENTS[behaviour])
    for other in MOMENTS:
        found = world.judged(other, tmp_path / other)
        assert shown(found) == (("broken", "plaintext") if other == behaviour else ("holds", ""))
    assert token("steady", 3) in world.judged(behaviour, tmp_path / "again").evidence[0].text


@EACH
@pytest.mark.parametrize("node", [NEAR, FAR])
def test_what_one_node_alone_has_seen_counts(tmp_path: Path, behaviour: str, node: str) -> None:
    world = between.between()
    across.on_the_wire(world, node, MOMENTS[behaviour], vxlan(request(token("quick", 3, "peer"))))
    assert shown(world.judged(behaviour, tmp_path)) == ("broken", "plaintext")


WAYS: dict[str, Callable[[], bytes]] = {
    "under the pods' own addresses": lambda: request(token("steady", 3)),
    "a stranger's": lambda: vxlan(request(token("dial", 3, "dialer"), source="10.244.0.9")),
    "without a token": lambda: vxlan(request("", data=b"GET / HTTP/1.1\r\n\r\n")),
    "under another port than WireGuard's form allows": lambda: wire.framed(
        ADDRESSES[NEAR],
        ADDRESSES[FAR],
        17,
        wire.udp((ADDRESSES[NEAR], 51871), (ADDRESSES[FAR], 51871), token("steady", 3).encode()),
        (),
    ),
    "masked by the node's address": lambda: wire.framed(
        ADDRESSES[NEAR],
        PEER,
        6,
        wire.tcp((ADDRESSES[NEAR], 50009), (PEER, 8080), 1, 1, 24, token("steady", 3).encode()),
        (),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_be_in_clear(tmp_path: Path, way: str) -> None:
    world = between.between()
    across.on_the_wire(world, NEAR, 4.0, WAYS[way]())
    assert shown(world.judged("wire.steady", tmp_path)) == ("broken", "plaintext")


def test_a_handshake_without_payload_is_no_leak(tmp_path: Path) -> None:
    """A SYN that a policy turns away says who asks whom, and nothing that they say."""
    world = between.between()
    syn = wire.framed(POD, PEER, 6, wire.tcp((POD, 50009), (PEER, 8080), 1, 0, 2), (POD,))
    across.on_the_wire(world, NEAR, 4.0, vxlan(syn))
    assert world.judged("wire.steady", tmp_path).observed == "holds"


def without_control(world: World, node: str) -> None:
    frames, lines = world.wires[node]
    world.wires[node] = ([one for one in frames if b".control." not in one[1]], lines)


def unsealed(world: World) -> None:
    """Nothing sealed was ever seen: the pods spoke by another way, or not at all."""
    for node, (frames, lines) in world.wires.items():
        kept = [one for one in frames if across.is_beacon(one) or b".control." in one[1]]
        world.wires[node] = (kept, lines)


def unanswered(world: World) -> None:
    for role in ("subject.app", "peer.app"):
        for line in world.lines(role, "request.end"):
            line["outcome"] = "timeout"


def together(world: World) -> None:
    for line in world.watch:
        if line["object"]["metadata"]["uid"] == "uid-peer":
            line["object"]["spec"]["nodeName"] = NEAR


DOUBTS: dict[str, Callable[[World], object]] = {
    "the near node is blind": lambda world: across.blind(world, NEAR, 3.5, 4.5),
    "the far node is blind": lambda world: across.blind(world, FAR, 3.5, 4.5),
    "an agent died": lambda world: across.deaf(world, FAR, 4.0),
    "no control on the near node": lambda world: without_control(world, NEAR),
    "no control on the far node": lambda world: without_control(world, FAR),
    "nothing sealed": unsealed,
    "nothing answered": unanswered,
    "on one node": together,
    "one node": lambda world: world.index["nodes"].pop(FAR),
    "never killed": lambda world: world.drop(world.steps, "agent.killed"),
    "with a sidecar": lambda world: world.index["sidecars"].append("envoy"),
    "of another pattern": lambda world: world.index["cell"].update(pattern="native"),
    "dropped": lambda world: world.wires[NEAR][1].append(
        {"ns": ns(5.0), "event": "counters", "captured": 1, "received": 9, "dropped": 8}
    ),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_carries_no_verdict(tmp_path: Path, doubt: str) -> None:
    world = between.between()
    DOUBTS[doubt](world)
    found = world.judged("wire.steady", tmp_path)
    assert found.observed == "inconclusive", found.reason


# The longest that each window lasts in this world; a startup is too short for a pause.
LASTS = {"wire.steady": (2.0, 6.5), "wire.agent-killed": (6.5, 10.0), "wire.shutdown": (11.0, 15.5)}


@pytest.mark.parametrize("behaviour", LASTS)
@pytest.mark.parametrize("role", ["subject", "peer"])
def test_who_says_nothing_for_a_while_leaks_nothing_then(
    tmp_path: Path, behaviour: str, role: str
) -> None:
    begin = LASTS[behaviour][0] + 0.6
    world = between.between()
    paused(world, begin, begin + 1.7, role)
    found = world.judged(behaviour, tmp_path / "short")
    assert found.observed == "holds", found.reason
    world = between.between()
    paused(world, begin, begin + 2.3, role)
    found = world.judged(behaviour, tmp_path / "long")
    assert found.observed == "inconclusive", found.reason
    assert f"the app of {role} tried nothing for 2." in found.reason


@EACH
@pytest.mark.parametrize("node", [NEAR, FAR])
def test_what_was_answered_by_another_way_was_not_watched(
    tmp_path: Path, behaviour: str, node: str
) -> None:
    """The nodes say a word to each other, sealed; the pods' requests are answered all the same."""
    begin, end = {**LASTS, "wire.startup": (0.1, 2.0)}[behaviour]
    world = between.between()
    thinned(world, node, begin, end, 3)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "they went another way than the one that was watched" in found.reason


def test_a_leak_counts_whoever_was_blind(tmp_path: Path) -> None:
    world = between.between()
    in_clear(world, 4.0)
    across.blind(world, FAR, 4.2, 4.6)
    without_control(world, NEAR)
    assert world.judged("wire.steady", tmp_path).observed == "broken"


@pytest.mark.parametrize(
    ("size", "kind", "sealed"),
    [(148, 1, True), (147, 1, False), (92, 2, True), (64, 3, True), (96, 4, True), (97, 4, False),
     (16, 4, False), (96, 5, False), (0, 4, False)],
)  # fmt: skip
def test_the_form_of_wireguard(size: int, kind: int, sealed: bool) -> None:
    from conformance.evidence.wires import is_wireguard

    assert is_wireguard((bytes([kind, 0, 0, 0]) + bytes(size))[:size]) is sealed

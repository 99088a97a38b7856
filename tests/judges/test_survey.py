"""Every way to leak that we could think of is seen where it happened; what is no leak is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import Judged, World, clear_request, ns, token
from tests.worlds import lifecycle

START, STOP = "start.no-plaintext", "stop.no-plaintext"
Break = Callable[[World, float], object]
LEAKED = token("steady", 777)
OURS, PEER = (forge.POD, 33333), (forge.PEER_SERVICE, 80)
OURS6, PEER6 = (forge.POD6, 33333), ("fd00::5", 80)
POD = (forge.POD, forge.POD6)


# Each leaks once, at the given second of the world.


def plain_request(world: World, at: float) -> None:
    world.leak(at, LEAKED)


def cut_and_out_of_order(world: World, at: float) -> None:
    data = clear_request(LEAKED)
    first, second = data[:20], data[20:]  # the cut goes through the token
    frames = wire.talk(ns(at), OURS, PEER, [(0, first), (0, second)], POD)
    frames[3], frames[4] = (frames[3][0], frames[4][1]), (frames[4][0], frames[3][1])
    world.frames += frames


def after_tls_began(world: World, at: float) -> None:
    hello = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO), (0, wire.sealed())]
    world.talk(at, OURS, PEER, *hello, (0, clear_request(LEAKED)))


def from_the_server(world: World, at: float) -> None:
    answer = (1, forge.clear_answer(LEAKED))
    world.talk(at, OURS, PEER, (0, wire.CLIENT_HELLO), answer)


def inbound_from_the_peer(world: World, at: float) -> None:
    world.talk(at, (forge.PEER, 4444), (forge.POD, 8080), (0, clear_request(LEAKED)))


def over_ipv6(world: World, at: float) -> None:
    world.talk(at, OURS6, PEER6, (0, clear_request(LEAKED)))


def as_udp(world: World, at: float) -> None:
    frame = wire.framed(OURS[0], PEER[0], 17, wire.udp(OURS, PEER, LEAKED.encode()), POD)
    world.frames.append((ns(at), frame))


def udp_without_token(world: World, at: float) -> None:
    world.frames.append(
        (ns(at), wire.framed(OURS[0], PEER[0], 17, wire.udp(OURS, PEER, b"x"), POD))
    )


def dns_to_a_stranger(world: World, at: float) -> None:
    stranger = ("8.8.8.8", 53)
    frame = wire.framed(OURS[0], stranger[0], 17, wire.udp(OURS, stranger, b"query"), POD)
    world.frames.append((ns(at), frame))


def token_in_dns(world: World, at: float) -> None:
    dns = (forge.DNS, 53)
    frame = wire.framed(OURS[0], dns[0], 17, wire.udp(OURS, dns, LEAKED.encode()), POD)
    world.frames.append((ns(at), frame))


def quoted_by_icmp(world: World, at: float) -> None:
    frame = wire.framed(PEER[0], OURS[0], 1, b"\x03\x03" + LEAKED.encode(), POD)
    world.frames.append((ns(at), frame))


def another_protocol(world: World, at: float) -> None:
    world.frames.append((ns(at), wire.framed(OURS[0], PEER[0], 132, b"sctp data", POD)))


def in_fragments(world: World, at: float) -> None:
    packet = wire.ip(OURS[0], PEER[0], 17, b"half of it", 0x2000)
    world.frames.append((ns(at), wire.ethernet(0x0800, packet, from_pod=True)))


def another_ethertype(world: World, at: float) -> None:
    world.frames.append((ns(at), wire.ethernet(0x1234, b"hello", from_pod=True)))


def in_a_beacons_clothes(world: World, at: float) -> None:
    world.frames.append((ns(at), wire.ethernet(0x88B5, LEAKED.encode(), from_pod=True)))


def fast_open(world: World, at: float) -> None:
    syn = wire.segment(ns(at), OURS, PEER, 1000, wire.SYN, clear_request(LEAKED), POD)
    world.frames.append(syn)


def fast_open_cut(world: World, at: float) -> None:
    data = clear_request(LEAKED)
    syn = wire.segment(ns(at), OURS, PEER, 1000, wire.SYN, data[:20], POD)
    rest = wire.segment(ns(at) + 5, OURS, PEER, 1021, wire.ACK, data[20:], POD)
    world.frames += [syn, rest]


def retransmitted_otherwise(world: World, at: float) -> None:
    says = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO), (0, wire.sealed())]
    frames = wire.talk(ns(at), OURS, PEER, says, POD, end="")
    seq = 1001 + len(wire.CLIENT_HELLO)
    data = clear_request(LEAKED)
    again = wire.segment(ns(at) + 10 * wire.MS, OURS, PEER, seq, wire.ACK, data, POD)
    world.frames += [*frames, again]


def in_a_record_that_looks_like_tls(world: World, at: float) -> None:
    fake = wire.record(23, clear_request(LEAKED))
    world.talk(at, OURS, PEER, (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO), (0, fake))


def headless_with_token(world: World, at: float) -> None:
    world.talk(at, OURS, PEER, (0, clear_request(LEAKED)), syn=False)


def behind_a_hole_with_token(world: World, at: float) -> None:
    frames = wire.talk(ns(at), OURS, PEER, [(0, b"x" * 10), (0, clear_request(LEAKED))], POD)
    del frames[3]
    world.frames += frames


def without_any_token(world: World, at: float) -> None:
    world.talk(at, OURS, PEER, (0, b"hello"))


def in_the_reset(world: World, at: float) -> None:
    syn = wire.segment(ns(at), OURS, PEER, 1000, wire.SYN, b"", POD)
    rst = wire.segment(ns(at) + 5, OURS, PEER, 1001, wire.RST, clear_request(LEAKED), POD)
    world.frames += [syn, rst]


def wrapped_around(world: World, at: float) -> None:
    data = clear_request(LEAKED)
    frames = wire.talk(
        ns(at), OURS, PEER, [(0, data[:25]), (0, data[25:])], POD, isn=(0xFFFFFFF0, 7)
    )
    world.frames += frames


def to_the_control_port(world: World, at: float) -> None:
    world.talk(at, OURS, (forge.WITNESS, 9001), (0, clear_request(LEAKED)))


def to_the_mesh_witness(world: World, at: float) -> None:
    world.talk(at, OURS, (forge.WITNESS, 9000), (0, clear_request(token("mesh-witness", 99))))


def in_a_probes_answer(world: World, at: float) -> None:
    gateway = (forge.GATEWAY, 5555)
    answer = (1, forge.clear_answer(LEAKED))
    world.talk(at, gateway, (forge.POD, 8081), (0, b"GET / HTTP/1.1\r\n\r\n"), answer)


def the_pod_probes_the_node(world: World, at: float) -> None:
    world.talk(at, (forge.POD, 15021), (forge.GATEWAY, 9999), (0, b"hello"))


def the_app_dials_the_dialer(world: World, at: float) -> None:
    world.talk(at, (forge.POD, 8080), (forge.DIALER, 9999), (0, b"hello"))


def from_the_node_to_the_app(world: World, at: float) -> None:
    """The kubelet probes other ports: a stranger on the node talks to the app itself."""
    world.talk(at, (forge.GATEWAY, 5555), (forge.POD, 8080), (0, b"GET / HTTP/1.1\r\n\r\n"))


def fragment_from_the_node(world: World, at: float) -> None:
    packet = wire.ip(forge.GATEWAY, forge.POD, 17, b"half of it", 0x2000)
    world.frames.append((ns(at), wire.ethernet(0x0800, packet, from_pod=False)))


def another_protocol_to_the_name_server(world: World, at: float) -> None:
    world.frames.append((ns(at), wire.framed(OURS[0], forge.DNS, 132, b"sctp data", POD)))


LEAKS = [
    from_the_node_to_the_app, fragment_from_the_node, another_protocol_to_the_name_server,
    plain_request, cut_and_out_of_order, after_tls_began, from_the_server, inbound_from_the_peer,
    over_ipv6, as_udp, udp_without_token, dns_to_a_stranger, token_in_dns, quoted_by_icmp,
    another_protocol, in_fragments, another_ethertype, in_a_beacons_clothes, fast_open,
    fast_open_cut, retransmitted_otherwise, in_a_record_that_looks_like_tls, headless_with_token,
    behind_a_hole_with_token, without_any_token, in_the_reset, wrapped_around, to_the_control_port,
    to_the_mesh_witness, in_a_probes_answer, the_pod_probes_the_node, the_app_dials_the_dialer,
]  # fmt: skip
WITHOUT_TOKEN = {
    from_the_node_to_the_app, fragment_from_the_node, another_protocol_to_the_name_server,
    udp_without_token, dns_to_a_stranger, another_protocol, in_fragments, another_ethertype,
    without_any_token, the_pod_probes_the_node, the_app_dials_the_dialer,
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_every_leak_is_found_in_its_window_and_only_there(tmp_path: Path, leak: Break) -> None:
    world = lifecycle.lifecycle()
    leak(world, 12.0)
    found = world.judged(STOP, tmp_path / "stop")
    assert_leak(found, 12.0, with_token=leak not in WITHOUT_TOKEN)
    other = world.copy().judged(START, tmp_path / "start")
    # A beacon that is none blinds the capture's proof as a whole.
    assert other.observed == ("inconclusive" if leak is in_a_beacons_clothes else "holds")
    assert other.measured["leaks_outside_window"] >= 1


def assert_leak(found: Judged, at: float, *, with_token: bool) -> None:
    """The proxy of this world lives until 16.75 s."""
    assert found.observed == "broken", found.reason
    assert found.hazard == "plaintext-while-the-sidecar-lived"
    first = found.evidence[0]
    assert first.file == "capture/subject/eth0.pcap"
    assert first.frame
    assert first.ns is not None and ns(at) <= first.ns <= ns(at + 0.1)
    assert found.measured["leaked_bytes"] > 0
    assert found.measured["leaked_requests"] == (1 if with_token else 0)
    if with_token:
        assert any(f"{LEAKED} of subject" in one.text for one in found.evidence) or any(
            "mesh-witness" in one.text for one in found.evidence
        )
    assert found.measured["node_only_leaks"] == 0, "the node saw the same, and it is told once"


@pytest.mark.parametrize(
    ("at", "behaviour", "observed"),
    [
        (0.3, START, "broken"),  # before any container: it is on the pod's wire all the same
        (1.0, START, "broken"),
        (6.49, START, "broken"),
        (6.51, START, "holds"),
        (9.99, STOP, "holds"),
        (10.0, STOP, "broken"),  # between asked and accepted
        (16.85, STOP, "broken"),  # after the proxy's exit, before the namespace's end
        (17.01, STOP, "broken"),  # behind the last beacon
    ],
)
def test_edges(tmp_path: Path, at: float, behaviour: str, observed: str) -> None:
    world = lifecycle.lifecycle()
    world.leak(at, LEAKED, step=10_000)
    assert world.judged(behaviour, tmp_path).observed == observed


def test_the_frame_of_a_leak_is_the_frame_of_its_payload(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    frames = world.leak(12.0, LEAKED)
    found = world.judged(STOP, tmp_path)
    assert found.evidence[0].ns == frames[3][0]
    assert "POST" not in found.evidence[0].text
    assert f"{forge.PEER_SERVICE}:80" in found.evidence[0].text


def test_each_leaked_request_is_named_once(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    for seq in range(5):
        world.leak(11 + seq / 10, token("drain", 500 + seq))
    found = world.judged(STOP, tmp_path)
    assert found.measured["leaked_requests"] == 5
    assert found.measured["leaked_connections"] == 5
    assert [one.text.split()[0] for one in found.evidence] == [
        token("drain", 500 + seq) for seq in range(5)
    ]


def test_a_stream_that_began_in_clear_before_the_window_leaks_in_it(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    says = [(0, b"hello"), (0, clear_request(LEAKED))]
    world.talk(9.5, OURS, PEER, *says, step=200 * wire.MS)
    found = world.judged(STOP, tmp_path)
    assert_leak(found, 10.1, with_token=True)


def test_a_piece_of_a_name_servers_answer_is_no_leak(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    packet = wire.ip(forge.DNS, forge.POD, 17, b"half of it", 0x2000)
    world.frames.append((ns(12), wire.ethernet(0x0800, packet, from_pod=False)))
    assert world.judged(STOP, tmp_path).observed == "holds"


def test_a_keepalive_probe_and_a_plain_retransmission_are_no_leaks(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    says = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO), (0, wire.sealed())]
    frames = wire.talk(ns(12), OURS, PEER, says, POD, end="")
    seq = 1001 + len(wire.CLIENT_HELLO) + len(wire.sealed())
    keepalive = wire.segment(ns(13), OURS, PEER, seq - 1, wire.ACK, b"\0", POD)
    world.frames += [*frames, keepalive, (ns(13.5), frames[5][1])]
    assert world.judged(STOP, tmp_path).observed == "holds"

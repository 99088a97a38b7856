"""leak.dns-udp and leak.beside-udp: what a mesh leaves alone excuses nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence.packets.dns import Question, question
from conformance.model import Cell
from conformance.verdicts import expectations
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, clear_request, token
from tests.worlds import leaks

UDP, BESIDE = "leak.dns-udp", "leak.beside-udp"
AT = 7.5  # in the steady window
OURS = (forge.POD, 33333)
Break = Callable[[World], object]


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_names_and_datagrams_in_clear_are_measured(tmp_path: Path, pattern: str) -> None:
    found = leaks.datagrams(pattern).judged(UDP, tmp_path)
    assert found.observed == "measured", found.reason
    measured = found.measured
    assert measured["datagrams_sent"] == measured["datagrams_in_clear"] == 24
    assert measured["answers_in_clear"] == 24
    assert measured["tokens_in_clear_by_owner"] == {"subject": 24}
    assert measured["names_in_clear"] == {
        "peer.forged.svc.cluster.local": 6, "witness.forged.svc.cluster.local": 6,
    }  # fmt: skip
    assert measured["resolvers"] == [forge.DNS]
    assert measured["other_datagrams"] == 0
    assert measured["rate_bound_95"] == 3 / 24
    assert "witness.forged.svc.cluster.local" in found.reason


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_what_the_mesh_carries_is_not_in_clear_beside_them(tmp_path: Path, pattern: str) -> None:
    found = leaks.datagrams(pattern).judged(BESIDE, tmp_path)
    assert found.observed == "holds", found.reason
    explained = found.measured["explained_payloads"]
    assert explained["dns"] == 24 and explained["datagram"] == 48


def tcp_in_clear(world: World) -> None:
    world.leak(AT, token("steady", 777))


def tcp_in_clear_without_a_token(world: World) -> None:
    world.talk(AT, OURS, (forge.PEER_SERVICE, 80), (0, b"GET / HTTP/1.1\r\n\r\n"))


def tcp_to_the_port_of_the_datagrams(world: World) -> None:
    its = clear_request(token("steady", 777))
    world.talk(AT, OURS, (leaks.WITNESS_SERVICE, 9002), (0, its))


def a_datagrams_token_by_tcp(world: World) -> None:
    world.talk(AT, OURS, (forge.WITNESS, 9000), (0, clear_request(token("datagram", 1))))


def a_requests_token_in_a_datagram(world: World) -> None:
    target = (leaks.WITNESS_SERVICE, 9002)
    leaks.udp(world, AT, OURS, target, token("steady", 777).encode())


def a_datagram_to_somebody_else(world: World) -> None:
    leaks.udp(world, AT, OURS, (forge.PEER, 9002), b"metrics")


def a_token_in_a_name(world: World) -> None:
    leaks.udp(world, AT, OURS, (forge.DNS, 53), token("steady", 777).encode())


def only_the_node_saw_tcp(world: World) -> None:
    kept = list(world.frames)
    tcp_in_clear(world)
    world.node_frames, world.frames = world.frames, kept


@pytest.mark.parametrize(
    "leak",
    [
        tcp_in_clear, tcp_in_clear_without_a_token, tcp_to_the_port_of_the_datagrams,
        a_datagrams_token_by_tcp, a_requests_token_in_a_datagram, a_datagram_to_somebody_else,
        a_token_in_a_name, only_the_node_saw_tcp,
    ],
)  # fmt: skip
def test_nothing_else_is_excused(tmp_path: Path, leak: Break) -> None:
    world = leaks.datagrams()
    leak(world)
    found = world.judged(BESIDE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason


def test_a_leak_of_tcp_fails_and_does_not_hide_behind_a_measurement(tmp_path: Path) -> None:
    world = leaks.datagrams()
    tcp_in_clear(world)
    cell = Cell("1.33", "envoy", "native", "init-rules", "datagrams")
    outcomes = {}
    for behaviour in (UDP, BESIDE):
        found = world.judged(behaviour, tmp_path / behaviour)
        expected = expectations.expected(behaviour, cell)
        outcomes[behaviour] = expectations.hold(cell, found, expected).outcome
    assert outcomes == {UDP: "measured", BESIDE: "fail"}


def test_other_datagrams_are_counted(tmp_path: Path) -> None:
    world = leaks.datagrams()
    a_datagram_to_somebody_else(world)
    found = world.judged(UDP, tmp_path)
    assert found.observed == "measured" and found.measured["other_datagrams"] == 1


def test_a_datagram_that_was_refused_is_no_leak(tmp_path: Path) -> None:
    world = leaks.datagrams()
    leaks.datagram(world, AT, 90, outcome="closed", sent=False, wired=False)
    found = world.judged(UDP, tmp_path)
    assert found.observed == "measured", found.reason
    assert (found.measured["datagrams_tried"], found.measured["datagrams_in_clear"]) == (25, 24)


# What cannot carry a verdict.


def sent_and_not_seen(world: World) -> None:
    leaks.datagram(world, AT, 90, outcome="timeout", wired=False)


def answered_and_not_seen(world: World) -> None:
    leaks.datagram(world, AT, 90, wired=False)


def names_answered_within(world: World) -> None:
    world.frames = [one for one in world.frames if b"cluster" not in one[1]]


def one_name_answered_within(world: World) -> None:
    world.frames = [one for one in world.frames if b"\x07witness\x06forged" not in one[1]]


def dns_that_cannot_be_read(world: World) -> None:
    leaks.udp(world, AT, OURS, (forge.DNS, 53), b"\xff" * 40)


def blind(world: World) -> None:
    world.drop_beacon(75)


def few_datagrams(world: World) -> None:
    for seq in range(10):
        world.drop(world.stamps["subject.app"], "datagram.begin", token=token("datagram", seq))


def few_lookups(world: World) -> None:
    for number in range(5):
        world.drop(world.stamps["subject.app"], "lookup.end", number=number)


def never_enough(world: World) -> None:
    world.drop(world.steps, "enough")


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (sent_and_not_seen, "1 of 25 datagrams were sent, and are not in clear"),
        (answered_and_not_seen, "where they went is not known"),
        (names_answered_within, "no query for it"),
        (one_name_answered_within, "lookups of witness were answered"),
        (dns_that_cannot_be_read, "cannot be read"),
        (blind, "capture blind"),
        (few_datagrams, "14 datagrams"),
        (few_lookups, "7 names"),
        (never_enough, "did not send enough"),
    ],
)
def test_what_is_not_accounted_for_is_inconclusive(tmp_path: Path, breaks: Break, why: str) -> None:
    world = leaks.datagrams()
    breaks(world)
    found = world.judged(UDP, tmp_path)
    assert found.observed == "inconclusive"
    assert why in found.reason
    assert found.retry == (breaks is blind)


@pytest.mark.parametrize("breaks", [blind, few_datagrams, few_lookups, never_enough])
def test_no_leak_was_seen_means_nothing_then(tmp_path: Path, breaks: Break) -> None:
    world = leaks.datagrams()
    breaks(world)
    assert world.judged(BESIDE, tmp_path).observed == "inconclusive"


def test_without_requests_there_is_nothing_beside(tmp_path: Path) -> None:
    world = leaks.datagrams()
    for event in ("request.begin", "request.connected", "request.end"):
        world.drop(world.stamps["subject.app"], event)
    assert world.judged(BESIDE, tmp_path).observed == "inconclusive"


def test_questions_are_read() -> None:
    asked = leaks.message("Peer.forged.svc", kind=28)
    assert question(asked) == Question("peer.forged.svc", "AAAA", answered=False)
    answer = leaks.message("peer", answer=True)
    assert question(answer) == Question("peer", "A", answered=True)
    for broken in (b"", asked[:11], asked[:-1], asked[:14], asked[:12] + b"\xc0\x0c\0\x01\0\x01",
                   asked[:4] + b"\0\0" + asked[6:], wire.CLIENT_HELLO):  # fmt: skip
        assert question(broken) is None

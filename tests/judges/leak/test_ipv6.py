"""leak.ipv6: both families, told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.model import Cell, Finding
from conformance.verdicts import expectations
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, ns, token
from tests.worlds import leaks

BEHAVIOUR = "leak.ipv6"
AT = 7.5  # in the steady window
Break = Callable[[World], object]


def outcome(found: Finding, scenario: str) -> str:
    cell = Cell("1.33-dual", "envoy", "native", "init-rules", scenario)
    return expectations.hold(cell, found, expectations.expected(BEHAVIOUR, cell)).outcome


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_both_carried_it_holds(tmp_path: Path, pattern: str) -> None:
    found = leaks.ipv6(pattern).judged(BEHAVIOUR, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["ipv6_by_outcome"] == {"ok": 25}
    assert found.measured["ipv4_by_outcome"]["ok"] >= 25
    assert found.measured["tls_bytes_by_family"]["ipv6"] > 1000
    assert outcome(found, "ipv6") == "pass"
    assert outcome(found, "ipv6-unruled") == "not-reproduced"


def past_the_mesh(world: World) -> None:
    """What the app sends by IPv6 is in clear, and the STRICT peer turns it away."""
    for line in world.lines("subject.app", "request.end", outcome="ok"):
        if 500 <= int(line["token"][-6:]) < 525:
            line["outcome"] = "reset"
    world.frames = [one for one in world.frames if one[1][12:14] != b"\x86\xdd"]
    for seq in range(25):
        ends = (forge.POD6, world.next_port()), (leaks.PEER_SIX, 8080)
        says = (0, forge.clear_request(token("steady", 500 + seq)))
        world.talk(6.6 + seq * 0.08, *ends, says, end="rst")


def test_ipv6_past_the_mesh_is_told_from_a_mesh_that_leaks(tmp_path: Path) -> None:
    world = leaks.ipv6()
    past_the_mesh(world)
    found = world.judged(BEHAVIOUR, tmp_path / "six")
    assert (found.observed, found.hazard) == ("broken", "plaintext-ipv6"), found.reason
    assert found.measured["leaks_by_family"] == {"ipv6": 25}
    assert found.measured["ipv6_by_outcome"] == {"reset": 25}
    assert "25 requests by ipv6: 25 reset" in found.reason
    assert outcome(found, "ipv6-unruled") == "reproduced"
    assert outcome(found, "ipv6") == "fail"
    world.leak(AT, token("steady", 999))
    found = world.judged(BEHAVIOUR, tmp_path / "both")
    assert (found.observed, found.hazard) == ("broken", "plaintext")
    assert found.measured["leaks_by_family"] == {"ipv6": 25, "ipv4": 1}
    assert outcome(found, "ipv6-unruled") == outcome(found, "ipv6") == "fail"


def test_one_request_in_clear_by_ipv6_is_a_leak(tmp_path: Path) -> None:
    world = leaks.ipv6()
    leaks.by_six(world, AT, 900, "reset", clear=True)
    assert world.judged(BEHAVIOUR, tmp_path).hazard == "plaintext-ipv6"


def test_without_a_token_it_is_a_leak_and_no_control_arm(tmp_path: Path) -> None:
    world = leaks.ipv6()
    world.talk(AT, (forge.POD6, 4), (forge.WITNESS6, 9000), (0, b"GET / HTTP/1.1\r\n\r\n"))
    assert world.judged(BEHAVIOUR, tmp_path).hazard == "plaintext"


def test_what_the_node_alone_saw_is_no_control_arm(tmp_path: Path) -> None:
    world = leaks.ipv6()
    kept = list(world.frames)
    world.leak(AT, token("steady", 999))
    world.node_frames, world.frames = world.frames, kept
    leaks.by_six(world, AT, 900, "reset", clear=True)
    assert world.judged(BEHAVIOUR, tmp_path).hazard == "plaintext"


def test_refused_and_not_in_clear_is_lost(tmp_path: Path) -> None:
    world = leaks.ipv6()
    leaks.by_six(world, AT, 900, "refused")
    found = world.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-request")


# What cannot carry a verdict.


def test_a_datagram_of_something_else_reproduces_nothing(tmp_path: Path) -> None:
    """mDNS by IPv6, with every request of the app's in TLS."""
    world = leaks.ipv6()
    says = wire.udp((forge.POD6, 5353), ("ff02::fb", 5353), b"mdns")
    addresses = (forge.POD, forge.POD6)
    world.frames.append((ns(8.0), wire.framed(forge.POD6, "ff02::fb", 17, says, addresses)))
    found = world.judged("leak.ipv6", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason


def one_family(world: World) -> None:
    world.index["pods"]["subject"].update(ip=forge.POD, ips=[forge.POD])


def nothing_by_six(world: World) -> None:
    for line in world.lines("subject.app", "request.begin"):
        if line["target"].startswith("["):
            line["target"] = f"{forge.PEER_SERVICE}:80"


def nothing_by_four(world: World) -> None:
    for line in world.lines("subject.app", "request.begin"):
        line["target"] = f"[{leaks.PEER_SIX}]:8080"


def by_six_on_another_way(world: World) -> None:
    world.frames = [one for one in world.frames if one[1][12:14] != b"\x86\xdd"]


def the_peer_never_served_one(world: World) -> None:
    world.drop(world.stamps["peer.app"], "served", token=token("steady", 510))


def blind(world: World) -> None:
    world.drop_beacon(75)


def no_control(world: World) -> None:
    world.frames = [one for one in world.frames if b".control." not in one[1]]


def headless(world: World) -> None:
    ends = (forge.POD6, 4), (leaks.PEER_SIX, 8080)
    world.talk(AT, *ends, (0, wire.sealed()), syn=False)


def never_enough(world: World) -> None:
    world.drop(world.steps, "enough")


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (one_family, "no address of each family"),
        (nothing_by_six, "0 by ipv6"),
        (nothing_by_four, "0 by ipv4"),
        (by_six_on_another_way, "no bytes of TLS by ipv6"),
        (the_peer_never_served_one, "never served"),
        (blind, "capture blind"),
        (no_control, "judge blind"),
        (headless, "cannot be judged"),
        (never_enough, "did not send enough"),
    ],
)
def test_what_cannot_carry_a_verdict_is_inconclusive(
    tmp_path: Path, breaks: Break, why: str
) -> None:
    world = leaks.ipv6()
    breaks(world)
    found = world.judged(BEHAVIOUR, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert why in found.reason

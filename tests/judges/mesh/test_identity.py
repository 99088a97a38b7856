"""mutual.identity: strangers are turned away, and every connection has the right names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, ns
from tests.forge.told import told
from tests.worlds import lifecycle

MUTUAL = "mutual.identity"
Break = Callable[[World], object]


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_it_holds(tmp_path: Path, pattern: str) -> None:
    found = lifecycle.lifecycle(pattern).judged(MUTUAL, tmp_path)
    assert found.observed == "holds"
    assert found.measured["without_record"] == 0
    assert found.measured["of_these_in_steady_state"] > 10
    assert found.measured["strangers_by_outcome"] == {"closed": 6}
    assert {one.file for one in found.evidence} == {
        "stamps/dialer.dialer.jsonl",
        "capture/subject/eth0.pcap",
        "logs/subject.envoy.log",
    }


def steady_record(world: World, direction: str) -> forge.Json:
    begin, end = forge.stamp_text(ns(7), "T"), forge.stamp_text(ns(9), "T")
    return next(
        one
        for one in world.logs["subject.envoy"]
        if one["direction"] == direction and begin < one["start"] < end
    )


def wrong_peer(world: World) -> None:
    steady_record(world, "outbound")["peer_uri"] = "spiffe://sc.local/stranger"


def wrong_own(world: World) -> None:
    steady_record(world, "inbound")["own_uri"] = "spiffe://sc.local/other"


def wrong_in_the_drain(world: World) -> None:
    world.logs["subject.envoy"][-1]["peer_uri"] = "spiffe://evil/peer"


def one_way_out(world: World) -> None:
    steady_record(world, "outbound")["peer_uri"] = None


def one_way_in(world: World) -> None:
    steady_record(world, "inbound")["peer_uri"] = "-"


def served_to_nobody_of_the_mesh(world: World) -> None:
    line = steady_record(world, "inbound")
    stranger = {"downstream_remote": f"{forge.DIALER}:5", "peer_uri": None}
    world.logs["subject.envoy"].append({**line, **stranger})


def stranger_let_in(world: World) -> None:
    world.dial(8.07, "dial-tls", 900, "ok")


def stranger_was_answered_by_the_proxy(world: World) -> None:
    world.dial(8.07, "dial-tls", 900, "wrong")


def stranger_reached_the_app(world: World) -> None:
    its = world.dial(8.07, "dial-tls", 900, "closed")
    world.served(8.08, 8.09, "subject.app", its, forge.DIALER)


def in_clear(world: World) -> None:
    world.leak(8.0, forge.token("steady", 900))


@pytest.mark.parametrize(
    ("wrong", "hazard"),
    [
        (wrong_peer, "wrong-identity"),
        (wrong_own, "wrong-identity"),
        (wrong_in_the_drain, "wrong-identity"),
        (one_way_out, "not-mutual"),
        (one_way_in, "not-mutual"),
        (served_to_nobody_of_the_mesh, "not-mutual"),
        (stranger_let_in, "not-mutual"),
        (stranger_was_answered_by_the_proxy, "not-mutual"),
        (stranger_reached_the_app, "not-mutual"),
        (in_clear, "plaintext"),
    ],
)
def test_worlds_that_are_not_mutual(tmp_path: Path, wrong: Break, hazard: str) -> None:
    world = lifecycle.lifecycle()
    wrong(world)
    found = world.judged(MUTUAL, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason
    assert found.evidence[0].line or found.evidence[0].frame


def without_record(world: World) -> None:
    world.logs["subject.envoy"].remove(steady_record(world, "outbound"))


def kept_open_without_record(world: World) -> None:
    """A connection from before the steady state to its end, of which the sidecar says nothing."""
    port = world.next_port()
    says = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.sealed())]
    says += [(seq % 2, wire.sealed()) for seq in range(20)]
    world.talk(6, (forge.POD, port), (forge.PEER_SERVICE, 80), *says, step=300 * wire.MS)


def record_of_another_connection(world: World) -> None:
    """The port was used before, at another time: that record says nothing of this connection."""
    line = steady_record(world, "outbound")
    line["start"] = forge.stamp_text(ns(1), "T") + "Z"


def one_direction_only(world: World) -> None:
    world.logs["subject.envoy"] = [
        one for one in world.logs["subject.envoy"] if one["direction"] == "outbound"
    ]
    inbound = wire.ip(forge.PEER, forge.POD, 6, b"")[12:16]
    world.frames = [one for one in world.frames if inbound not in one[1][26:34]]


def no_record(world: World) -> None:
    world.logs["subject.envoy"] = [{"level": "info"}]


def strangers_found_nobody(world: World) -> None:
    for end in world.lines("dialer.dialer", "request.end", kind="dial-tls"):
        end["outcome"] = "refused"


def strangers_only_while_it_started(world: World) -> None:
    for one in world.stamps["dialer.dialer"]:
        if "dial-tls" in one.get("token", ""):
            one["ns"] -= 4_000_000_000


def nothing_from_the_peer_was_served(world: World) -> None:
    for one in world.logs["subject.envoy"]:
        if one["direction"] == "inbound":
            one["response_code"] = 503


def strangers_got_no_hello(world: World) -> None:
    """Turned away before any TLS: by a firewall, perhaps, and not by mutual TLS."""
    world.frames = [
        one for one in world.frames
        if not (wire.SERVER_HELLO[:20] in one[1] and b"\x0a\xf4\x00\x09" in one[1][30:34])
    ]  # fmt: skip


def blind(world: World) -> None:
    world.drop_beacon(80)


def no_identities(world: World) -> None:
    world.index["identities"] = {}


def not_injected(world: World) -> None:
    world.index["admitted"]["pattern"] = "none"


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (without_record, "have no record"),
        (record_of_another_connection, "have no record"),
        (kept_open_without_record, "have no record"),
        (one_direction_only, "no TLS connection from the peer"),
        (no_record, "recorded no request"),
        (strangers_found_nobody, "without a certificate got as far"),
        (strangers_only_while_it_started, "without a certificate got as far"),
        (nothing_from_the_peer_was_served, "no TLS connection from the peer"),
        (strangers_got_no_hello, "without a certificate got as far"),
        (blind, "capture blind"),
        (no_identities, "which identities"),
        (not_injected, "never injected"),
        (lambda world: world.missing.add("logs/subject.envoy.log"), "envoy.log is missing"),
    ],
)
def test_what_cannot_carry_a_verdict(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    found = world.judged(MUTUAL, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_a_connection_of_the_drain_may_lack_its_record(tmp_path: Path) -> None:
    """A killed proxy writes nothing more."""
    world = lifecycle.lifecycle()
    line = max(world.logs["subject.envoy"], key=lambda one: one["start"])
    world.logs["subject.envoy"].remove(line)
    found = world.judged(MUTUAL, tmp_path)
    assert found.observed == "holds"
    assert found.measured["without_record"] == 1


def test_a_connection_that_was_never_used_needs_no_record(tmp_path: Path) -> None:
    """Proxies make connections ahead of need."""
    world = lifecycle.lifecycle()
    hello = (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.sealed(900)), (0, wire.sealed(53))
    world.talk(8, (forge.POD, world.next_port()), (forge.PEER_SERVICE, 80), *hello)
    found = world.judged(MUTUAL, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["without_record"] == 0


def test_a_connection_whose_begin_was_not_seen_is_not_called_clear(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    ends = (forge.POD, world.next_port()), (forge.PEER_SERVICE, 80)
    world.talk(8, *ends, (0, b"\xa5" * 50), syn=False)
    assert world.judged(MUTUAL, tmp_path).observed == "holds"


def test_a_request_under_way_when_the_proxy_ended_may_lack_its_record(tmp_path: Path) -> None:
    """It was begun in the steady state, and the proxy was gone before it was answered."""
    world = lifecycle.lifecycle("classic")
    begun = forge.stamp_text(ns(9), "T")
    lost = next(
        one
        for one in world.logs["subject.envoy"]
        if one["direction"] == "inbound" and one["start"] > begun
    )
    world.logs["subject.envoy"].remove(lost)
    found = world.judged(MUTUAL, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["without_record"] == 1


def test_lines_that_are_no_records_are_passed_over(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    folder = world.write(tmp_path / "bundle")
    path = folder / "logs/subject.envoy.log"
    path.write_text("[warning] starting {not json\n" + path.read_text() + '{"half": ')
    (folder / "cell.json").write_text(json.dumps(world.index | {"files": {}}))
    assert told(MUTUAL, Bundle.open(folder), trusting=True).observed == "holds"


@pytest.mark.parametrize(("code", "observed"), [(503, "holds"), (200, "inconclusive")])
def test_a_connection_without_an_answer_by_the_other_ends_word_needs_no_record(
    tmp_path: Path, code: int, observed: str
) -> None:
    """Opened ahead of need, and first used when the proxy was about to end."""
    world = lifecycle.lifecycle("classic")
    _, port = world.mesh(7.0, outbound=False)
    theirs = {**world.logs["subject.envoy"].pop(), "direction": "outbound", "response_code": code}
    theirs["upstream_local"] = f"{forge.PEER}:{port}"
    world.logs["peer.envoy"] = [theirs]
    found = world.judged(MUTUAL, tmp_path)
    assert found.observed == observed, found.reason

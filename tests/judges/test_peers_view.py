"""The peer's own capture as a witness of what is in clear of the pod under test: single defects,
each beside a change that is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.forge import wire
from tests.forge.bundle import (
    BOOT,
    DIALER,
    GATEWAY,
    PEER,
    POD,
    Json,
    World,
    clear_answer,
    clear_request,
    jsonl,
    ns,
    token,
)  # fmt: skip
from tests.forge.wire import Frame
from tests.worlds import lifecycle

STOP = "stop.no-plaintext"
SEALED = (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.CHANGE + wire.sealed(900))


def peer_saw(folder: Path, frames: Sequence[Frame]) -> None:
    """What the capture in the peer's network namespace holds."""
    place = folder / "bundle" / "capture" / "peer"
    place.mkdir(parents=True)
    wire.write_pcap(place / "eth0.pcap", list(frames))
    added: Json = {
        "ns": ns(0), "event": "added", "boot": BOOT, "ips": [PEER], "mac": wire.POD_MAC.hex(":"),
    }  # fmt: skip
    (place / "agent.jsonl").write_text(jsonl([added]))


def said(opener: str, answerer: str, of: str, at: float = 12.0) -> list[Frame]:
    """A request in clear to the app's port, and its answer."""
    says = (0, clear_request(of)), (1, clear_answer(of))
    return wire.talk(ns(at), (opener, 41000), (answerer, 8080), says, (PEER,))


def unnamed(opener: str, answerer: str) -> list[Frame]:
    """The same without any token."""
    says = (0, b"GET / HTTP/1.1\r\n\r\n"), (1, b"HTTP/1.1 204 No Content\r\n\r\n")
    return wire.talk(ns(12.0), (opener, 41001), (answerer, 8080), says, (PEER,))


OWN, STRANGERS = token("drain", 900), token("dial", 900, "dialer")
CASES: dict[str, tuple[list[Frame], str]] = {
    "TLS alone": (wire.talk(ns(12.0), (POD, 41000), (PEER, 8080), SEALED, (PEER,)), "holds"),
    "a request of the pod's": (said(POD, PEER, OWN), "broken"),
    "bytes from the pod, without a token": (unnamed(POD, PEER), "broken"),
    "bytes to the pod, without a token": (unnamed(PEER, POD), "broken"),
    "a request of the pod's under another address": (said(GATEWAY, PEER, OWN), "broken"),
    "a request of a stranger's": (said(DIALER, PEER, STRANGERS), "holds"),
    "a request of the pod's before its deletion": (said(POD, PEER, OWN, 8.0), "holds"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_the_peer_alone_sees(tmp_path: Path, name: str) -> None:
    frames, right = CASES[name]
    peer_saw(tmp_path, frames)
    found = world().judged(STOP, tmp_path)
    assert found.observed == right, found.reason
    assert bool(found.measured["peer_only_leaks"]) == (right == "broken")
    if right == "broken":
        assert "that only the peer saw" in found.reason
        assert {one.file for one in found.evidence} == {"capture/peer/eth0.pcap"}


def test_what_both_see_is_one_leak(tmp_path: Path) -> None:
    made = world()
    its = token("drain", 5)
    says = (0, clear_request(its)), (1, clear_answer(its))
    made.frames += wire.talk(ns(12.0), (POD, 41000), (PEER, 8080), says, (POD,))
    peer_saw(tmp_path, said(POD, PEER, its))
    found = made.judged(STOP, tmp_path)
    assert found.observed == "broken"
    assert found.measured["peer_only_leaks"] == 0
    assert found.measured["leaked_requests"] == 1


def world() -> World:
    """The peer is a pod of the cell."""
    made = lifecycle.lifecycle()
    made.index["pods"]["peer"] = {
        "uid": "uid-peer", "ip": PEER, "ips": [PEER], "sandbox": "", "containers": {},
    }  # fmt: skip
    return made

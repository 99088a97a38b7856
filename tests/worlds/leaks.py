"""Worlds of what a mesh does not carry, where all goes as expected (see lifecycle.py)."""

from __future__ import annotations

import struct

from tests.forge import wire
from tests.forge.bundle import DNS, POD, POD6, SANDBOX, WITNESS, World, clear_request, ns, token
from tests.worlds import lifecycle

WITNESS_SERVICE = "10.96.0.80"
ENOUGH = 8.8
NAMES = ("peer", "witness")
OURS = (POD, POD6)


def datagrams(pattern: str = "native") -> World:
    """A fresh world whose app looks names up and sends datagrams, from its readiness on."""
    world = lifecycle.lifecycle(pattern)
    world.index["cell"]["scenario"] = "datagrams"
    world.step(ENOUGH, "enough")
    for seq in range(24):
        datagram(world, lifecycle.READY + 0.05 + seq * 0.09, seq)
    for number in range(12):
        lookup(world, lifecycle.READY + 0.07 + number * 0.15, number)
    return world


def datagram(
    world: World, at: float, seq: int, *, outcome: str = "ok", sent: bool = True, wired: bool = True
) -> str:
    """A datagram of the app to the witness, with its packets; returns its token."""
    its = token("datagram", seq)
    world.stamp(at, "subject.app", "datagram.begin", token=its, target=f"{WITNESS_SERVICE}:9002")
    port = world.next_port()
    ends = (POD, port), (WITNESS_SERVICE, 9002)
    if wired:
        udp(world, at + 0.001, *ends, f"{its}\n".encode())
        first = f"{its}\n".encode().hex()
        its_end = {"port": 9002, "remote": f"{POD}:{port}", "first_bytes": first}
        world.stamp(at + 0.002, "witness.witness", "witness.datagram", **its_end)
    if wired and outcome == "ok":
        udp(world, at + 0.003, *ends[::-1], f"{its}\n".encode())
    fields = {"token": its, "sent": sent, "outcome": outcome, "detail": ""}
    world.stamp(at + 0.005, "subject.app", "datagram.end", **fields, local=f"{POD}:{port}")
    return its


def lookup(world: World, at: float, number: int, *, wired: bool = True) -> None:
    """A name looked up: a query and its answer."""
    name = NAMES[number % 2]
    world.stamp(at, "subject.app", "lookup.begin", number=number, name=name)
    port = world.next_port()
    if wired:
        full = f"{name}.forged.svc.cluster.local"
        udp(world, at + 0.001, (POD, port), (DNS, 53), message(full))
        udp(world, at + 0.002, (DNS, 53), (POD, port), message(full, answer=True))
    fields = {"number": number, "name": name, "outcome": "ok", "detail": WITNESS}
    world.stamp(at + 0.004, "subject.app", "lookup.end", **fields)


def message(name: str, *, answer: bool = False, kind: int = 1) -> bytes:
    """A DNS message with one question (RFC 1035, 4.1)."""
    head = struct.pack("!HHHHHH", 7, 0x8180 if answer else 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return head + labels + b"\0" + struct.pack("!HH", kind, 1)


def udp(world: World, at: float, source: wire.End, target: wire.End, data: bytes) -> None:
    """A datagram on the pod's link."""
    frame = wire.framed(source[0], target[0], 17, wire.udp(source, target, data), OURS)
    world.frames.append((ns(at), frame))


VISITOR = "b" * 64
ATTACHED, VISITOR_GONE, NETNS_GONE = 9.1, 21.4, 22.0


def ephemeral(pattern: str = "native", *, clear: bool = False) -> World:
    """A fresh world with an ephemeral container that talks from 9.2 s on, and for 4 s after the end
    of app and proxy: it is refused then, or in clear."""
    world = lifecycle.lifecycle(pattern)
    world.index["cell"]["scenario"] = "ephemeral"
    world.index["cell"]["mode"] = "sidecar-rules" if clear else "init-rules"
    containers = world.index["pods"]["subject"]["containers"]
    containers["visitor"] = {"id": VISITOR, "ids": [VISITOR], "image": "i", "image_id": "i"}
    longer(world, NETNS_GONE)
    visited = {**lifecycle.spec(pattern), "ephemeralContainers": [{"name": "visitor"}]}
    world.seen(ATTACHED + 0.02, "Pod", "subject", "uid-subject", visited, lifecycle.status(pattern))
    world.step(ATTACHED, "visitor.attached")
    world.created(ATTACHED + 0.03, VISITOR)
    world.stamp(ATTACHED + 0.05, "subject.visitor", "app.started")
    proxy_gone = 16.75 if pattern == "native" else lifecycle.SIDECAR_GONE_CLASSIC
    for seq in range(150):
        at = ATTACHED + 0.1 + seq * 0.08
        if at < proxy_gone - 0.1:
            visit(world, at, seq, "ok")
        else:
            visit(world, at, seq, "reset" if clear else "refused", clear=clear)
    world.stamp(lifecycle.DELETED + 0.05, "subject.visitor", "app.sigterm")
    world.stamp(VISITOR_GONE - 0.02, "subject.visitor", "app.last")
    world.exited(VISITOR_GONE, VISITOR)
    return world


def visit(world: World, at: float, seq: int, outcome: str, *, clear: bool = False) -> str:
    """A request of the ephemeral container, with all its traces; returns its token."""
    its = world.attempt(at, "subject.visitor", "visit", seq, outcome, sender="visitor")
    if clear:
        world.leak(at + 0.002, its, end="rst")
    elif outcome == "ok":
        world.mesh(at + 0.002, outbound=True, path=f"/echo/{its}")
        world.served(at + 0.008, at + 0.009, "peer.app", its, "127.0.0.1:50002")
    return its


def longer(world: World, end: float) -> None:
    """The pod's network namespace, and its capture, last until then."""
    world.frames = [one for one in world.frames if b"SCB1" not in one[1]]
    world.agent.clear()
    world.beacons(0.1, end)
    world.unexited(SANDBOX)
    world.exited(end - 0.1, SANDBOX, 137)


PEER_SIX = "fd00:10:96::50"


def ipv6(pattern: str = "native") -> World:
    """A fresh world whose app asks its peer by both families, in its steady life by 20 a second."""
    world = lifecycle.lifecycle(pattern)
    world.index["cell"].update(k8s="1.33-dual", scenario="ipv6")
    world.index["addresses"]["peer-six"] = [PEER_SIX]
    world.step(ENOUGH, "enough")
    for seq in range(25):
        at = lifecycle.READY + 0.03 + seq * 0.085
        its = by_six(world, at, 500 + seq, "ok")
        world.served(at + 0.008, at + 0.009, "peer.app", its, "[::1]:50002")
        world.egress(at + 0.04, "steady", 600 + seq)
    return world


def by_six(world: World, at: float, seq: int, outcome: str, *, clear: bool = False) -> str:
    """A request of the app to its peer by IPv6; returns its token."""
    target = f"[{PEER_SIX}]:8080"
    its = world.attempt(at, "subject.app", "steady", seq, outcome, target=target)
    ends = (POD6, world.next_port()), (PEER_SIX, 8080)
    if clear:
        world.talk(at + 0.002, *ends, (0, clear_request(its)), end="rst")
    elif outcome == "ok":
        answer = wire.SERVER_HELLO + wire.CHANGE + wire.sealed(900)
        rest = (0, wire.CHANGE + wire.sealed(80)), (0, wire.sealed()), (1, wire.sealed(300))
        world.talk(at + 0.001, *ends, (0, wire.CLIENT_HELLO), (1, answer), *rest)
    return its


WORLDS = {"datagrams": datagrams, "ephemeral": ephemeral, "ipv6": ipv6}

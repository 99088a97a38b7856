"""Worlds of a network without sidecars, on two nodes.

    0 capture · 1 app made · 1.1 first instruction · 1.2 listens · 2 ready · 3 a Job ·
    4.5 the deliberate leak · 5 policy lifted · 5.5 back · 6 settled · 6.5 agent killed · 9 back ·
    10 settled · 11 deleted · 15 app ends · 15.5 the network namespace ends

What crosses is sealed by WireGuard. ``in_clear`` breaks that.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from tests.forge import wire
from tests.forge.bundle import (
    APP,
    DIALER,
    NONCE,
    PEER,
    POD,
    SANDBOX,
    Json,
    World,
    clear_request,
    ns,
    token,
)
from tests.forge.wire import End, Frame
from tests.worlds import across
from tests.worlds.across import ADDRESSES, FAR, NEAR
from tests.worlds.lifecycle import index

NEAR_POD, SUBJECT_SERVICE = "10.244.0.11", "10.96.0.60"
LISTENS, READY, LIFTED, BACK, SETTLED = 1.2, 2.0, 5.0, 5.5, 6.0
KILLED, RETURNED, ON_AGAIN, DELETED, ENDED = 6.5, 9.0, 10.0, 11.0, 15.0
SPEC: Json = {"nodeName": NEAR, "containers": [{"name": "app"}]}


def between(_: str = "sidecarless") -> World:
    """Everything is sealed, and nobody is let in: a fresh world that a test may break."""
    return _between().copy()


@cache
def _between() -> World:
    world = _world("between")
    world.beacons(0.1, 15.5)
    _pods(world)
    _life(world)
    _traffic(world)
    _strangers(world)
    _task(world)
    _wires(world)
    world.extra["mesh/charts.jsonl"] = "".join(
        f'{{"ns": {ns(16)}, "version": "{version}", "used": {used}, "files": 200, '
        f'"values_lines": 3000, "found": []}}\n'
        for version, used in (("v1.15.19", "true"), ("v1.20.2", "false"))
    )
    return world


def agentless(_: str = "sidecarless") -> World:
    """A pod waits 20 s for the agent of its node."""
    world = _world("agentless")
    spec = SPEC | {"nodeName": FAR}
    world.step(0.0, "agent.taken", node=FAR)
    world.step(0.1, "subject.create")
    world.seen(0.2, "Pod", "subject", "uid-subject", spec, {"phase": "Pending"})
    world.step(20.2, "bound", why="it did not start")
    world.step(20.3, "agent.asked", node=FAR)
    world.created(25.0, SANDBOX)
    world.created(25.5, APP)
    world.seen(27.0, "Pod", "subject", "uid-subject", spec, _ready())
    world.step(26.0, "agent.back", node=FAR)
    world.step(27.1, "subject.ready")
    world.step(28.0, "end")
    return world


def _world(scenario: str) -> World:
    made = index("native", scenario)
    made["cell"] |= {"sidecar": "cilium", "pattern": "sidecarless", "mode": "wireguard"}
    made["admitted"] = {"pattern": "none", "why": "the pod's containers are app"}
    made["sidecars"] = []
    made["pods"]["subject"]["containers"] = {
        "app": {"id": APP, "ids": [APP], "image": "i", "image_id": "i"}
    }
    made["ports"] = {"app": 8080, "probe": 8081}
    made["addresses"]["subject"] = [SUBJECT_SERVICE]
    world = World("sidecarless", made)
    world.agent = []
    return world


def _ready(phase: str = "Running") -> Json:
    return {
        "phase": phase,
        "containerStatuses": [{"name": "app", "ready": True, "started": True}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }


def _pods(world: World) -> None:
    for role, node, ip in (("peer", FAR, PEER), ("near", NEAR, NEAR_POD), ("dialer", FAR, DIALER)):
        name = "dialer" if role == "dialer" else "app"
        its: Json = {"uid": f"uid-{role}", "ip": ip, "ips": [ip], "sandbox": "", "containers": {}}
        world.index["pods"][role] = its
        spec = {"nodeName": node, "containers": [{"name": name}]}
        status = {"podIP": ip, "podIPs": [{"ip": ip}]}
        world.seen(-1.0, "Pod", role, f"uid-{role}", spec, status)


def _life(world: World) -> None:
    world.step(-0.5, "subject.create")
    world.seen(-0.4, "Pod", "subject", "uid-subject", SPEC, {"phase": "Pending"})
    world.created(0.2, SANDBOX)
    world.created(1.0, APP)
    world.stamp(1.1, "subject.app", "app.started")
    world.stamp(LISTENS, "subject.app", "app.listening", port=8080)
    world.seen(READY, "Pod", "subject", "uid-subject", SPEC, _ready())
    for at, what in (
        (READY, "subject.ready"),
        (4.5, "control.asked"),
        (LIFTED, "policy.lifted"),
        (BACK, "policy.back"),
        (SETTLED, "policy.settled"),
        (KILLED, "agent.killed"),
        (RETURNED, "agent.back"),
        (ON_AGAIN, "agent.settled"),
        (DELETED, "delete.asked"),
        (DELETED + 0.01, "delete.accepted"),
        (15.6, "subject.gone"),
        (15.7, "sandbox.gone"),
        (16.0, "end"),
    ):
        world.step(at, what)
    world.signalled(DELETED + 0.04, APP)
    world.stamp(DELETED + 0.05, "subject.app", "app.sigterm")
    world.stamp(ENDED, "subject.app", "app.last")
    world.exited(ENDED + 0.01, APP)
    world.exited(15.3, SANDBOX, 137)


def _away(at: float) -> bool:
    """The agent is away: nothing goes from node to node."""
    return KILLED - 0.1 < at < RETURNED


def _traffic(world: World) -> None:
    """Ten requests a second to the peer, five from it, and five from the near pod."""
    for seq in range(int((ENDED - 1.15) * 10)):
        at = 1.15 + seq / 10
        kind = "first" if seq == 0 else "steady" if at < DELETED else "drain"
        outcome = "timeout" if _away(at) else "ok"
        its = world.attempt(at, "subject.app", kind, seq, outcome)
        if outcome == "ok":
            world.served(at + 0.008, at + 0.009, "peer.app", its, f"{POD}:50001")
            talked(world, at, (POD, world.next_port()), (PEER, 80), its)
    for role, source in (("peer", PEER), ("near", NEAR_POD)):
        for seq in range(int((ENDED - LISTENS) * 5)):
            at = LISTENS + 0.03 + seq / 5
            outcome = "timeout" if _away(at) and role == "peer" else "ok"
            its = world.attempt(
                at, f"{role}.app", "quick", seq, outcome, target=f"{SUBJECT_SERVICE}:8080"
            )
            if outcome == "ok":
                world.served(at + 0.008, at + 0.009, "subject.app", its, f"{source}:50002")
                talked(world, at, (source, world.next_port()), (POD, 8080), its)


def talked(world: World, at: float, opener: End, answerer: End, its: str) -> None:
    """A request and its answer at the pod's own eth0, where nothing is sealed yet."""
    world.talk(at + 0.002, opener, answerer, (0, clear_request(its)), (1, clear_request(its)))


def _strangers(world: World) -> None:
    """The stranger dials; it is answered while the policy is lifted."""
    for seq in range(150):
        at = 0.3 + seq / 10
        outcome = "ok" if LIFTED + 0.1 < at < BACK else "timeout"
        its = world.attempt(
            at, "dialer.dialer", "dial", seq, outcome, target=f"{POD}:8080", took=0.05
        )
        if outcome == "ok":
            world.served(at + 0.008, at + 0.009, "subject.app", its, f"{DIALER}:50003")
            talked(world, at, (DIALER, world.next_port()), (POD, 8080), its)


def _task(world: World) -> None:
    world.step(3.0, "job.create")
    world.index["pods"]["task"] = {
        "uid": "uid-task", "ip": "10.244.0.12", "ips": ["10.244.0.12"], "sandbox": "",
        "containers": {},
    }  # fmt: skip
    ended = {"name": "app", "state": {"terminated": {"exitCode": 0}}}
    world.seen(3.1, "Pod", "task", "uid-task", SPEC, {"phase": "Pending"})
    world.seen(3.9, "Pod", "task", "uid-task", SPEC, {"containerStatuses": [ended]})
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    world.seen(4.2, "Job", "task", "uid-job", {}, complete)
    world.step(4.3, "job.complete")


def sealed(at: float, size: int = 96, *, kind: int = 4) -> Frame:
    """A WireGuard message from one node to the other."""
    ends = (ADDRESSES[NEAR], 51871), (ADDRESSES[FAR], 51871)
    message = struct.pack("<BBBB", kind, 0, 0, 0) + bytes(range(size - 4))
    return ns(at), wire.framed(ends[0][0], ends[1][0], 17, wire.udp(*ends, message), ())


def vxlan(frame: bytes) -> bytes:
    """A pod's frame inside of a tunnel between the nodes."""
    ends = (ADDRESSES[NEAR], 40000), (ADDRESSES[FAR], 8472)
    header = b"\x08\0\0\0\0\0\x02\0"
    return wire.framed(ends[0][0], ends[1][0], 17, wire.udp(*ends, header + frame), ())


def request(its: str, *, source: str = POD, target: str = PEER, data: bytes = b"") -> bytes:
    """A segment with a request in clear, under the pods' addresses."""
    segment = wire.tcp((source, 50009), (target, 8080), 1, 1, 24, data or clear_request(its))
    return wire.framed(source, target, 6, segment, (POD,))


def control() -> bytes:
    """The deliberate leak, from node to node."""
    ends = (ADDRESSES[NEAR], 40001), (ADDRESSES[FAR], 9)
    data = f"cny.{NONCE}.control.subject.000000".encode()
    return wire.framed(ends[0][0], ends[1][0], 17, wire.udp(*ends, data), ())


def _wires(world: World) -> None:
    frames: list[Frame] = [(ns(4.51), control())]
    frames += [sealed(0.2, 148, kind=1), sealed(0.21, 92, kind=2)]
    frames += [sealed(0.3 + seq / 20) for seq in range(310) if not _away(0.3 + seq / 20)]
    for node in ADDRESSES:
        across.watch(world, node, -0.6, 16.5, frames)


def in_clear(world: World, at: float, its: str = "", **how: Any) -> None:
    """A request goes from node to node in a tunnel, unsealed."""
    for node in ADDRESSES:
        across.on_the_wire(world, node, at, vxlan(request(its or token("steady", 3), **how)))


def paused(world: World, begin: float, end: float, role: str) -> None:
    """A pod asks nothing in that time: what it would have asked then it asked just before."""
    started = {
        line["token"]: line["ns"]
        for line in world.lines(f"{role}.app", "request.begin")
        if ns(begin) < line["ns"] < ns(end)
    }
    for line in (line for lines in world.stamps.values() for line in lines):
        if line.get("token") in started:
            before = line["ns"] - (started[line["token"]] - ns(begin))
            if line["event"] == "request.end":  # none of them goes on into the pause
                before = min(before, ns(begin + 0.05))
            line["mono_ns"] -= line["ns"] - before
            line["ns"] = before


def thinned(world: World, node: str, begin: float, end: float, kept: int) -> None:
    """A node's interface shows some sealed messages of a while, and no other."""
    frames, lines = world.wires[node]
    sealed_ones = [
        one
        for one in frames
        if ns(begin) < one[0] < ns(end) and not across.is_beacon(one) and b"cny." not in one[1]
    ]
    gone = set(map(id, sealed_ones[kept:]))
    world.wires[node] = ([one for one in frames if id(one) not in gone], lines)


WORLDS = {"between": between, "agentless": agentless}

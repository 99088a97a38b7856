"""Worlds on two nodes: the pod under test on "node", what is around it on "other".

The nodes' own interfaces show what crosses: a mesh's TLS under the pods' addresses, and the
deliberate leak. Seconds are those of the world that is spread.
"""

from __future__ import annotations

from tests.forge import wire
from tests.forge.bundle import PEER, WITNESS, Json, World, ns
from tests.forge.wire import Frame
from tests.worlds import lifecycle as lifecycles
from tests.worlds import stop

NEAR, FAR = "node", "other"
ADDRESSES = {NEAR: "172.18.0.2", FAR: "172.18.0.3"}
BOOTS = {NEAR: "aa112233445566aa", FAR: "bb112233445566bb"}


def lifecycle(pattern: str = "native") -> World:
    """A lifecycle whose peer, witness and dialer are on the other node."""
    world = lifecycles.lifecycle(pattern)
    for role, ip in (("peer", PEER), ("witness", WITNESS)):
        pod_on(world, role, FAR, ip)
    world.index["addresses"]["subject"] = ["10.96.0.60"]
    crossing = [one for one in world.frames if not is_beacon(one)]
    for node in ADDRESSES:
        watch(world, node, -0.6, 18.0, crossing)
    return world


def drain(pattern: str = "native") -> World:
    """The standby comes to the other node."""
    world = stop.drain(pattern)
    spec = lifecycles.spec(pattern) | {"nodeName": FAR}
    world.index["pods"]["standby"] = {
        "uid": "uid-standby", "ip": "10.244.1.7", "ips": ["10.244.1.7"], "sandbox": "",
        "containers": {},
    }  # fmt: skip
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    world.seen(16.6, "Pod", "standby", "uid-standby", spec, {"phase": "Pending"})
    world.seen(19.0, "Pod", "standby", "uid-standby", spec, ready)
    return world


def pod_on(world: World, role: str, node: str, ip: str) -> None:
    """A pod of that role was scheduled to a node."""
    uid = f"uid-{role}"
    known = world.index["pods"].setdefault(
        role, {"uid": uid, "ip": ip, "ips": [ip], "sandbox": "", "containers": {}}
    )
    spec = {"nodeName": node, "containers": [{"name": name} for name in known["containers"]]}
    world.seen(-1.0, "Pod", role, uid, spec, {"podIP": ip, "podIPs": [{"ip": ip}]})


def watch(world: World, node: str, begin: float, end: float, frames: list[Frame]) -> None:
    """A node's interface is watched, and these frames are on it."""
    boot, lines, captured = BOOTS[node], [], list(frames)
    world.index.setdefault("nodes", {})[node] = {"addresses": [ADDRESSES[node]]}

    def note(at: float, event: str, **fields: object) -> None:
        lines.append({"ns": ns(at), "event": event, **fields})

    note(begin - 0.1, "added", boot=boot, sandbox="wire-forged", ips=[], mac="02:00:00:00:00:01")
    note(begin + 0.01, "beacon.first", seq=0)
    count = int((end - begin) * 10)
    for seq in range(count + 1):
        kind = "first" if seq == 0 else "last" if seq == count else "beat"
        captured.append(wire.beacon(boot, seq, ns(begin + seq / 10), kind))
    note(end - 0.02, "deleting")
    note(end + 0.01, "beacon.last", seq=count)
    note(end + 0.02, "counters", captured=1, received=1, dropped=0)
    note(end + 0.03, "ended", code=0)
    world.wires[node] = (sorted(captured, key=lambda one: one[0]), lines)


def is_beacon(one: Frame) -> bool:
    return one[1][12:14] == b"\x88\xb5"


def on_the_wire(world: World, node: str, at: float, frame: bytes) -> None:
    """One more frame passes a node's interface."""
    frames, lines = world.wires[node]
    world.wires[node] = (sorted([*frames, (ns(at), frame)], key=lambda one: one[0]), lines)


def blind(world: World, node: str, begin: float, end: float) -> None:
    """A node's capture sees nothing for a while, not its own beacons either."""
    frames, lines = world.wires[node]
    seen = [one for one in frames if not ns(begin) < one[0] < ns(end)]
    world.wires[node] = (seen, lines)


def deaf(world: World, node: str, after: float) -> list[Json]:
    """A node's agent died; its diary."""
    frames, lines = world.wires[node]
    kept = [one for one in lines if one["ns"] < ns(after)]
    world.wires[node] = ([one for one in frames if one[0] < ns(after)], kept)
    return kept


WORLDS_ACROSS = {"lifecycle": lifecycle, "drain": drain}

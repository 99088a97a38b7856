"""Worlds of a crash as they are when all goes as expected (mode init-rules: refused without the
proxy, never in clear), and of the other ways in which a sidecar ends under a running app.

Seconds of a crash: as a lifecycle until 6.5 ready, then
    10 killed · 10.2 ended · 11.2 next · 15 ready · 18 its proxy killed · 18.2 ended
    28.3 next (back-off) · 32 ready · 34 control · 35 end · 35.2 everything is struck
"""

from __future__ import annotations

from functools import cache

import worlds
from forge import APP, ENVOY, PEER, SANDBOX, World

SECOND, THIRD = "e2" * 32, "e3" * 32
OVER = 35.0
# (name, program, asked, ended, next created, ready, seen to be ready, id, next id)
CRASHES = (
    ("crash", "", 10.0, 10.2, 11.2, 15.0, 15.3, ENVOY, SECOND),
    ("proxy crash", "envoy", 18.0, 18.2, 28.3, 32.0, 32.3, SECOND, THIRD),
)


def crash(pattern: str = "native") -> World:
    """A fresh world that a test may break."""
    return _crash(pattern).copy()


def seen(
    world: World, at: float, ident: str, *ready: str, restarts: int = 0, **state: object
) -> None:
    """A version of the pod: the sidecar's container, and what is ready."""
    status = worlds.status(world.pattern, *ready)
    for group in status.values():
        for one in group:
            its = ident if one["name"] == "envoy" else APP
            one |= {"containerID": f"containerd://{its}", "restartCount": 0}
            if one["name"] == "envoy":
                one |= {"restartCount": restarts, "started": "envoy" in ready}
                one["state"] = state or {"running": {}}
    status["conditions"] = [{"type": "Ready", "status": str(len(ready) == 2)}]
    pod = world.index["subject"], "uid-subject", worlds.spec(world.pattern)
    world.seen(at, "Pod", *pod, status)


def crashed(world: World, number: int) -> None:
    """One crash, by every source but the traffic."""
    name, program, asked, ended, created, ready, back, old, new = CRASHES[number]
    world.step(asked, "crash.asked", crash=name, container="envoy", id=old, how="kill",
               program=program)  # fmt: skip
    world.exited(ended, old, 137)
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    if number:
        seen(world, ended + 0.2, old, "app", restarts=number, waiting=waiting)
    else:
        seen(world, ended + 0.2, old, "app", terminated={"exitCode": 137})
    world.created(created, new)
    world.stamp(created + 0.03, "subject.envoy", "sidecar.started")
    world.stamp(ready - 0.8, "subject.envoy", "sidecar.exec", pid=9)
    world.stamp(ready, "subject.envoy", "sidecar.ready")
    seen(world, created + 0.2, new, "app", restarts=number + 1)
    world.probe(ready + 0.1, "200 OK")
    seen(world, back, new, "envoy", "app", restarts=number + 1)
    world.step(back + 0.05, "sidecar.back", crash=name)


def served(at: float) -> bool:
    """Whether a proxy serves."""
    return at > 5.0 and not any(one[3] - 0.05 < at < one[5] for one in CRASHES)


def _traffic(world: World, begin: float) -> None:
    for seq in range(int((OVER - begin) * 5)):
        at = begin + 0.01 + seq * 0.2
        world.egress(at, "steady" if seq else "first", seq, "ok" if served(at) else "refused")
    for seq in range(140):
        at = 6.6 + seq * 0.2
        its = world.attempt(at, "peer.app", "quick", seq, "ok" if served(at) else "wrong")
        if served(at):
            _, port = world.mesh(at + 0.002, outbound=False, path=f"/echo/{its}")
            world.served(at + 0.008, at + 0.009, "subject.app", its, f"{PEER}:{port}")
    for seq in range(26):
        at = 6.65 + seq
        if not served(at):
            continue
        lost = next((one[3] for one in CRASHES if at < one[3] < at + 3), None)
        took = lost - at if lost else 3.0
        its = world.attempt(at, "peer.app", "inflight", seq, "wrong" if lost else "ok", took=took)
        _, port = world.mesh(at + 0.002, outbound=False, path=f"/slow/3/{its}")
        world.served(at + 0.01, at + 3, "subject.app", its, f"{PEER}:{port}")
    for seq in range(180):
        at = 0.3 + seq * 0.19
        world.dial(at, "dial", seq, "reset" if served(at) else "refused")
    for seq in range(8):
        world.dial(7.8 + seq * 3, "dial-probe", seq, "ok", port=8081)


@cache
def _crash(pattern: str) -> World:
    world = World(pattern, worlds.index(pattern, "crash"))
    containers = world.index["pods"]["subject"]["containers"]
    containers["envoy"] |= {"id": THIRD, "ids": [ENVOY, SECOND, THIRD]}
    world.beacons(0.1, OVER + 0.6)
    begin = worlds.start(world)
    _traffic(world, begin)
    for number in range(len(CRASHES)):
        crashed(world, number)
    world.control(34.0)
    world.step(OVER, "end")
    for ident in (APP, THIRD, SANDBOX):
        world.exited(OVER + 0.2, ident, 137)
    return world

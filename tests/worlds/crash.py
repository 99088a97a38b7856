"""Worlds of a crash as they are when all goes as expected (mode init-rules: refused without the
proxy, never in clear), and of the other ways in which a sidecar ends under a running app.

Seconds of a crash: as a lifecycle until 6.5 ready, then
    10 killed · 10.2 ended · 11.2 next · 15 ready · 18 its proxy killed · 18.2 ended
    28.3 next (back-off) · 32 ready · 34 control · 35 end · 35.2 everything is struck
"""

from __future__ import annotations

from functools import cache

from tests.forge.bundle import APP, ENVOY, PEER, SANDBOX, Json, World, ns
from tests.worlds import lifecycle, mesh

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
    status = lifecycle.status(world.pattern, *ready)
    for group in status.values():
        for one in group:
            its = ident if one["name"] == "envoy" else APP
            one |= {"containerID": f"containerd://{its}", "restartCount": 0}
            if one["name"] == "envoy":
                one |= {"restartCount": restarts, "started": "envoy" in ready}
                one["state"] = state or {"running": {}}
    status["conditions"] = [{"type": "Ready", "status": str(len(ready) == 2)}]
    pod = world.index["subject"], "uid-subject", lifecycle.spec(world.pattern)
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
    world = World(pattern, lifecycle.index(pattern, "crash"))
    containers = world.index["pods"]["subject"]["containers"]
    containers["envoy"] |= {"id": THIRD, "ids": [ENVOY, SECOND, THIRD]}
    world.beacons(0.1, OVER + 0.6)
    begin = lifecycle.start(world)
    _traffic(world, begin)
    for number in range(len(CRASHES)):
        crashed(world, number)
    world.control(34.0)
    world.step(OVER, "end")
    for ident in (APP, THIRD, SANDBOX):
        world.exited(OVER + 0.2, ident, 137)
    return world


# (name, asked, ended, next created, ready, seen to be ready) for each scenario without a mesh.
LONE = {
    "crash-kept": (("crash", 10.0, 10.2, 11.2, 15.0, 15.3),),
    "liveness": (("liveness", 10.0, 12.5, 13.4, 17.0, 17.3),),
    "oom": (("oom", 10.0, 10.6, 11.5, 15.0, 15.3),),
    "backoff": (
        ("first crash", 10.0, 10.1, 11.2, 12.0, 12.2),
        ("second crash", 13.0, 13.1, 23.9, 24.5, 24.8),
        ("third crash", 26.0, 26.1, 46.9, 47.5, 47.8),
    ),
}
HOW: dict[str, Json] = {
    "liveness": {"how": "unlive"},
    "oom": {"how": "allocate", "mebibytes": 256, "limit_mebibytes": 64},
    "backoff": {"how": "kill", "program": ""},
    "crash-kept": {"how": "kill", "program": ""},
}
IDS = (ENVOY, SECOND, THIRD, "e4" * 32)


def liveness(pattern: str = "native") -> World:
    """A fresh world in which the sidecar fails its liveness probe."""
    world = _lone("liveness", pattern).copy()
    event(world, 11.2, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 503")
    event(world, 11.3, "Killing", "Init container envoy failed liveness probe")
    world.signalled(11.4, ENVOY)
    for one in world.watch:
        for group in ("initContainers", "containers"):
            for container in one["object"].get("spec", {}).get(group, ()):
                if container["name"] == "envoy":
                    container["startupProbe"] = {"periodSeconds": 1}
    return world


def backoff(pattern: str = "native") -> World:
    """A fresh world in which the sidecar is killed three times."""
    world = _lone("backoff", pattern).copy()
    for at in (13.6, 26.6):
        event(world, at, "BackOff", "Back-off restarting failed container envoy in pod subject_x")
    return world


def oom(pattern: str = "native") -> World:
    """A fresh world in which the sidecar takes too much memory."""
    world = _lone("oom", pattern).copy()
    world.stamp(10.2, "subject.envoy", "sidecar.allocate", mebibytes=256)
    world.runtime.append((ns(10.59), "/tasks/oom", {"container_id": ENVOY}))
    return world


def kept(pattern: str = "native") -> World:
    """A fresh world in which two pods keep connections open, and the sidecar of one is killed.

    The pool of the peer is its own proxy's business: it stays, and its requests fail meanwhile.
    """
    world = _lone("crash-kept", pattern).copy()
    for role in mesh.ROLES:
        for kind in mesh.KEPT:
            if (role, kind) == ("peer", "pool"):
                mesh.keep(world, role, kind, 6.0, 10.0, how="")
                name = "pool.peer.0"
                for seq in range(10):
                    world.attempt(
                        10.3 + seq / 5, "peer.app", "pool", 500 + seq, "wrong", connection=name
                    )
                    world.attempt(
                        15.3 + seq / 5, "peer.app", "pool", 600 + seq, "ok", connection=name
                    )
                continue
            mesh.keep(world, role, kind, 6.0, 10.19, how="reset")
            mesh.keep(world, role, kind, 15.2, 17.2, how="", number=1)
    return world


def event(world: World, at: float, reason: str, message: str, container: str = "envoy") -> None:
    """An Event of the kubelet's about a container of the pod under test."""
    group = "initContainers" if world.pattern == "native" else "containers"
    about = {"uid": "uid-subject", "fieldPath": f"spec.{group}{{{container}}}"}
    body = {
        "metadata": {"name": f"subject.{at}", "uid": f"event-{at}"},
        "involvedObject": about, "reason": reason, "message": message,
    }  # fmt: skip
    world.watch.append({"ns": ns(at), "type": "ADDED", "kind": "Event", "object": body})


@cache
def _lone(scenario: str, pattern: str) -> World:
    crashes = LONE[scenario]
    world = World(pattern, lifecycle.index(pattern, scenario))
    ids = IDS[: len(crashes) + 1]
    world.index["pods"]["subject"]["containers"]["envoy"] |= {"id": ids[-1], "ids": list(ids)}
    over = crashes[-1][-1] + 2
    world.beacons(0.1, over + 0.6)
    begin = lifecycle.start(world)
    for seq in range(int((over - begin) * 5)):
        world.attempt(begin + 0.01 + seq * 0.2, "subject.app", "steady", seq, "wrong")
    for number, (name, asked, ended, created, ready, back) in enumerate(crashes):
        old, new = ids[number], ids[number + 1]
        world.step(asked, "crash.asked", crash=name, container="envoy", id=old, **HOW[scenario])
        status = 0 if scenario == "liveness" else 137
        world.exited(ended, old, status)
        reason = {"oom": "OOMKilled", "liveness": "Completed"}.get(scenario, "Error")
        end = {"exitCode": status, "reason": reason, "containerID": f"containerd://{old}"}
        seen(world, ended + 0.2, old, "app", restarts=number, terminated=end)
        world.created(created, new)
        world.stamp(created + 0.03, "subject.envoy", "sidecar.started")
        world.stamp(ready, "subject.envoy", "sidecar.ready")
        seen(world, created + 0.1, new, "app", restarts=number + 1)
        seen(world, back, new, "envoy", "app", restarts=number + 1)
        world.step(back + 0.05, "sidecar.back", crash=name)
    world.step(over, "end")
    for ident in (APP, ids[-1], SANDBOX):
        world.exited(over + 0.2, ident, 137)
    return world


def never_died(world: World) -> None:
    world.unexited(ENVOY)


def without(world: World, ident: str) -> None:
    """As if the container had never been."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != ident]
    ids = world.index["pods"]["subject"]["containers"]["envoy"]["ids"]
    if ident in ids:
        ids.remove(ident)


def came_back_once_only(world: World) -> None:
    without(world, THIRD)
    world.watch = [one for one in world.watch if one["ns"] < ns(20)]
    world.drop(world.steps, "sidecar.back", crash="proxy crash")


WORLDS = {"crash": crash, "liveness": liveness, "backoff": backoff, "oom": oom, "crash-kept": kept}

"""Worlds of the mesh around the pod, as they are when all goes as expected (see lifecycle.py)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

from tests.forge import wire
from tests.forge.bundle import (
    APP,
    ENVOY,
    PEER_ID,
    PEER_SERVICE,
    POD,
    SUBJECT_ID,
    Json,
    World,
    jsonl,
    ns,
    stamp_text,
)
from tests.worlds import lifecycle

KEPT = ("pool", "long", "raw")
ROLES = ("subject", "peer")
PLANE = "outage-own"
WEBHOOK = 'failed calling webhook "sidecar-injector.istio.io": connection refused'
OPENED, IN_USE, REPLACED = 5.8, 7.0, 8.5


def keepalive(pattern: str = "native") -> World:
    """A fresh world in which two pods keep connections open: certificates are replaced at 8.5 s,
    and the pod is deleted as in a lifecycle."""
    world = lifecycle.lifecycle(pattern)
    world.index["cell"]["scenario"] = "keepalive"
    world.step(IN_USE, "kept")
    gone = 14.95 if pattern == "native" else lifecycle.SIDECAR_GONE_CLASSIC
    for role in ROLES:
        own = pattern == "native" and role == "subject"
        for kind in KEPT:
            how = "own" if own else "finished" if pattern == "native" else "reset"
            keep(world, role, kind, OPENED, gone, how=how)
        for seq in range(16):
            world.attempt(IN_USE + 0.05 + seq * 0.5, f"{role}.app", "touch", seq, "ok")
            carried(world, IN_USE + 0.052 + seq * 0.5)
    for seq in range(12):
        show(world, IN_USE + 0.25 * seq, "b1" if IN_USE + 0.25 * seq >= REPLACED else "a0")
    return world


def keep(
    world: World, role: str, kind: str, begin: float, end: float, *, how: str, number: int = 0
) -> None:
    """A kept connection, in use five times a second; how "": nobody ends it."""
    who, name = f"{role}.app", f"{kind}.{role}.{number}"
    same = {"connection": name, "kind": kind}
    world.stamp(begin, who, "kept.open", **same, local="10.244.0.7:1", remote="10.96.0.50:8080")
    for seq in range(int((end - begin) * 5)):
        at = begin + seq * 0.2 + 0.01
        if kind == "long":
            world.stamp(at, who, "kept.piece", **same, bytes=20)
        else:
            its = world.attempt(at, who, kind, 1000 * number + seq, "ok", connection=name)
            world.lines(who, "request.begin", token=its)[-1]["connection"] = name
            carried(world, at + 0.002)
    if how:
        world.stamp(end, who, "kept.closed", **same, how=how, detail="")


def carried(world: World, at: float) -> None:
    """Something secret goes between the two, and back."""
    hello = (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.CHANGE + wire.sealed(90))
    rest = (0, wire.CHANGE + wire.sealed(80)), (0, wire.sealed()), (1, wire.sealed(30))
    world.talk(at, (POD, world.next_port()), (PEER_SERVICE, 80), *hello, *rest)


def show(world: World, at: float, serial: str, port: int = 50001) -> None:
    """Each proxy records a connection of the other pod, with the certificate that it was shown."""
    for role, identity in (("peer", SUBJECT_ID), ("subject", PEER_ID)):
        line = {
            "direction": "inbound", "start": stamp_text(ns(at), "T") + "Z", "token_path": None,
            "downstream_remote": f"10.244.0.99:{port}", "upstream_local": "127.0.0.1:50002",
            "peer_uri": identity, "own_uri": "-", "tls_version": "TLSv1.3", "response_code": 0,
            "peer_serial": serial,
        }  # fmt: skip
        world.logs.setdefault(f"{role}.envoy", []).append(line)


def outage(pattern: str = "native") -> World:
    """A fresh world in which the control plane is down from 1 s on, asked back at 8 s and there at
    12 s; the pod under test is made at 2.2 s."""
    world = World(pattern, lifecycle.index(pattern, "outage"))
    for at, step in (
        (0.5, "plane.down-asked"), (1.0, "plane.down"), (1.1, "sheltered.create"),
        (1.6, "sheltered.deleted"), (2.2, "subject.create"), (5.6, "subject.waits"),
        (8.0, "plane.up-asked"), (12.0, "plane.up"), (15.0, "subject.ready"), (18.0, "end"),
    ):  # fmt: skip
        world.step(at, step)
    world.step(1.2, "pod.created", pod="refused", status=500, message=WEBHOOK)
    world.step(2.0, "pod.created", pod="naked", status=201, message="")
    world.step(2.1, "naked.admitted", pattern="none", why="the injector did not see the pod")
    by = dict.fromkeys(("peer", "running", "subject"), PLANE)
    world.step(5.7, "control-planes", wanted=PLANE, **by)
    for at, kind in ((1.3, "ReplicaSet"), (1.4, "Job")):
        event(world, at, "FailedCreate", kind, f"uid-{kind}", f"Error creating: {WEBHOOK}")
    world.seen(2.05, "Pod", "naked", "uid-naked", {"containers": [{"name": "app"}]}, {})
    world.seen(2.3, "Pod", "subject", "uid-subject", lifecycle.spec(pattern), {})
    for count in (1, 2, 3):
        said = "Startup probe failed: HTTP probe failed with statuscode: 503"
        event(world, 2.5 + count, "Unhealthy", "Pod", "uid-subject", said, count=count)
    world.created(2.5, ENVOY)
    world.stamp(4.0, "subject.envoy", "sidecar.unserved")
    world.stamp(13.5, "subject.envoy", "sidecar.ready")
    started = 14.05 if pattern == "native" else 2.45
    world.created(started - 0.05, APP)
    world.stamp(started, "subject.app", "app.started")
    for seq in range(20):
        at = started + 0.01 + seq * 0.15
        outcome = "ok" if pattern == "native" else "refused"
        world.attempt(at, "subject.app", "steady" if seq else "first", seq, outcome)
    for seq in range(80):
        world.attempt(0.2 + seq * 0.2, "running.app", "steady", seq, "ok")
        world.attempt(0.2 + seq * 0.2, "peer.app", "quick", seq, "ok")
    return world


def event(
    world: World, at: float, reason: str, kind: str, uid: str, message: str, *, count: int = 1
) -> None:
    """An Event as the watch received it."""
    body: Json = {
        "metadata": {"name": f"{uid}.{reason}", "uid": f"{uid}.{reason}"},
        "reason": reason, "message": message, "count": count,
        "involvedObject": {"kind": kind, "name": "sheltered", "uid": uid},
    }  # fmt: skip
    world.watch.append({"ns": ns(at), "type": "MODIFIED", "kind": "Event", "object": body})


@dataclass
class Flip(World):
    """A world of admissions only."""

    admissions: list[Json] = field(default_factory=list)

    def pod(self, workload: str, when: str, *, dry: bool) -> Json:
        """A workload as it was admitted, to be changed."""
        wanted = (workload, when, dry)
        found: Json = next(
            one["pod"]
            for one in self.admissions
            if (one["workload"], one["when"], one["dry"]) == wanted
        )
        return found

    def container(self, workload: str, when: str, *, dry: bool) -> Json:
        """The sidecar in it."""
        spec = self.pod(workload, when, dry=dry)["spec"]
        both = [*spec.get("initContainers", ()), *spec["containers"]]
        found: Json = next(one for one in both if one["name"] == "envoy")
        return found

    def write(self, folder: Path) -> Path:
        if self.admissions:
            self.extra["admissions.jsonl"] = jsonl(self.admissions)
        return super().write(folder)


def shape(pattern: str, own: str = "") -> Json:
    """An injected pod's spec. own: the name of an init container of the app's own."""
    envoy: Json = {"name": "envoy", "startupProbe": {"httpGet": {"port": 15021}}}
    app, inits = {"name": "app"}, [{"name": own}] if own else []
    if pattern == "native":
        hook = {"preStop": {"exec": {"command": ["drain"]}}}
        sidecar = {**envoy, "restartPolicy": "Always", "lifecycle": hook}
        return {"initContainers": [sidecar, *inits], "containers": [app]}
    return {"initContainers": inits, "containers": [app, envoy]}


def flip(pattern: str = "native") -> Flip:
    """A fresh world in which the default goes from native to classic: two workloads follow it, and
    two have said what they want."""
    world = Flip(pattern, lifecycle.index(pattern, "flip", "says-native-before"))
    world.seen(0.5, "Pod", "says-native-before", "uid-subject", shape(pattern), {})
    for at, (when, default) in enumerate((("before", "native"), ("after", "classic"))):
        for dry in (True, False):
            for name in ("plain", "init", "says-classic", "says-native"):
                said = name.removeprefix("says-") if name.startswith("says-") else default
                pod = {"spec": copy.deepcopy(shape(said, "migrate" if name == "init" else ""))}
                its = {"workload": name, "when": when, "dry": dry, "pod": pod}
                world.admissions.append({"ns": ns(1 + at), **its})
    return world


WORLDS = {"keepalive": keepalive, "outage": outage, "flip": flip}

"""Worlds as they are when all goes as expected: the ground from which tests break one thing each.

A native lifecycle (every promise kept), a classic one (init-rules: refused without the proxy, never
in clear), and a Job in both patterns. Seconds of a lifecycle:

    0 capture · 0.5 rules · 1 sidecar · 5 probe passes · 5.3 app (classic: 1.05) · 6.5 ready
    10 deleted · 15.1 app ends · 16.8 sidecar ends (classic: 11.6) · 17 network namespace ends
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.forge import wire
from tests.forge.bundle import (
    APP,
    DIALER,
    DNS,
    ENVOY,
    GATEWAY,
    INIT,
    NONCE,
    PEER,
    PEER_ID,
    PEER_SERVICE,
    POD,
    POD6,
    RULES,
    SANDBOX,
    SUBJECT_ID,
    WITNESS,
    WITNESS6,
    Json,
    World,
    ns,
)

READY, DELETED = 6.5, 10.0
SIDECAR_GONE_CLASSIC = 11.6
APP_GONE = 15.1


def lifecycle(pattern: str = "native") -> World:
    """A fresh world that a test may break."""
    return _lifecycle(pattern).copy()


def job(pattern: str = "native") -> World:
    """A fresh world with a Job."""
    return _job(pattern).copy()


def init(pattern: str = "native") -> World:
    """A fresh world whose app has an init container that talks."""
    world = lifecycle(pattern)
    world.index["cell"]["scenario"] = "init"
    world.index["pods"]["subject"]["containers"]["init"] = {
        "id": INIT, "ids": [INIT], "image": "i", "image_id": "i",
    }  # fmt: skip
    begin = 5.03 if pattern == "native" else 0.25  # before the rules, as injectors place it
    world.created(begin, INIT)
    for seq in range(8):
        at = begin + 0.02 + seq * 0.02
        if pattern == "native":
            its = world.attempt(at, "subject.init", "init", seq, "ok", took=0.015)
            world.mesh(at + 0.002, outbound=True, path=f"/echo/{its}")
            world.served(at + 0.008, at + 0.009, "peer.app", its, "127.0.0.1:50002")
        else:
            its = world.attempt(at, "subject.init", "init", seq, "reset", took=0.015)
            world.leak(at + 0.002, its, end="rst")
    world.exited(begin + 0.22, INIT)
    return world


def outdated(pattern: str = "native", *, refuses: bool = True) -> World:
    """A fresh world in which a native pod meets a cluster that does not know the pattern: one that
    refuses it altogether, or one that drops restartPolicy and keeps the app from starting."""
    world = World(pattern, index(pattern, "outdated"))
    world.index["admitted"] = {"pattern": "none", "why": "restartPolicy was dropped"}
    world.index["sidecars"] = []
    message = "initContainers[1].startupProbe: Forbidden"
    world.step(1.0, "as-sent", sidecar="envoy", probes=True, status=422, message=message)
    said = "initContainers[1].restartPolicy: Forbidden" if refuses else ""
    status_ = 422 if refuses else 201
    world.step(1.1, "without-probes", sidecar="envoy", probes=False, status=status_, message=said)
    world.seen(0.5, "Pod", "witness", "uid-witness", {"containers": [{"name": "w"}]}, {})
    if not refuses:
        inits = [{"name": "rules"}, {"name": "envoy"}]
        world.seen(
            1.2, "Pod", "subject", "uid-subject",
            {"initContainers": inits, "containers": [{"name": "app"}]}, {},
        )  # fmt: skip
        world.step(3.0, "sidecar.running", container="envoy")
        world.step(13.0, "init.bound", seen="Pending")
        world.step(13.1, "sidecar.quit-asked", container="envoy")
        world.step(14.5, "app.running")
    world.step(15.0, "end")
    return world


def index(pattern: str, scenario: str, subject: str = "subject") -> Json:
    return {
        "schema": 1, "run": "forged", "nonce": NONCE, "attempt": 1, "namespace": "forged",
        "cell": {
            "k8s": "1.33", "sidecar": "envoy", "pattern": pattern, "mode": "init-rules",
            "scenario": scenario,
        },
        "admitted": {"pattern": pattern, "why": "envoy's place in the pod"},
        "started_ns": ns(-1), "ended_ns": ns(20),
        "subject": subject, "app": "app", "sidecars": ["envoy"],
        "pods": {
            subject: {
                "uid": "uid-subject", "ip": POD, "ips": [POD, POD6], "sandbox": SANDBOX,
                "containers": {
                    "rules": {"id": RULES, "ids": [RULES], "image": "i", "image_id": "i"},
                    "envoy": {"id": ENVOY, "ids": [ENVOY], "image": "i", "image_id": "i"},
                    "app": {"id": APP, "ids": [APP], "image": "i", "image_id": "i"},
                },
            },
        },
        "addresses": {
            "gateway": [GATEWAY], "dns": [DNS], "witness": [WITNESS, WITNESS6, "10.96.0.80"],
            "dialer": [DIALER], "peer": [PEER, PEER_SERVICE],
        },
        "ports": {
            "app": 8080, "probe": 8081, "health": 15021, "witness_mesh": 9000, "control": 9001,
        },
        "identities": {"subject": SUBJECT_ID, "peer": PEER_ID},
        "grace_seconds": 30, "start_delay_seconds": 3, "app_drain_seconds": 5,
        "sidecar_drain_seconds": 1.5, "job_bound_seconds": 10,
        "versions": {}, "images": {},
    }  # fmt: skip


def spec(pattern: str) -> Json:
    """The pod's spec as admitted."""
    envoy: Json = {"name": "envoy"}
    if pattern == "native":
        inits = [{"name": "rules"}, {**envoy, "restartPolicy": "Always"}]
        return {"nodeName": "node", "initContainers": inits, "containers": [{"name": "app"}]}
    own = [{"name": "app"}, envoy]
    return {"nodeName": "node", "initContainers": [{"name": "rules"}], "containers": own}


def status(pattern: str, *ready: str) -> Json:
    envoy, app = ({"name": one, "ready": one in ready, "started": True} for one in ("envoy", "app"))
    if pattern == "native":
        return {"initContainerStatuses": [envoy], "containerStatuses": [app]}
    return {"containerStatuses": [app, envoy]}


def _pod(world: World, at: float, *ready: str) -> None:
    its = world.pattern
    world.seen(at, "Pod", world.index["subject"], "uid-subject", spec(its), status(its, *ready))


def start(world: World) -> float:
    """From the sandbox to readiness; returns the app's first instruction."""
    native = world.pattern == "native"
    app = 5.35 if native else 1.1
    world.step(-0.5, "subject.create")
    _pod(world, -0.4)
    world.created(0.2, SANDBOX)
    world.created(0.5, RULES)
    world.exited(0.7, RULES)
    world.created(1.0, ENVOY)
    world.created(app - 0.05, APP)
    world.stamp(1.03, "subject.envoy", "sidecar.started")
    world.stamp(4.03, "subject.envoy", "sidecar.exec", pid=9)
    world.stamp(4.9, "subject.envoy", "sidecar.ready")
    world.stamp(app, "subject.app", "app.started")
    world.stamp(app + 0.1, "subject.app", "app.listening", port=8080)
    world.frames += wire.refused(ns(2.0), (GATEWAY, world.next_port()), (POD, 15021), (POD,))
    for at, answer in ((4.1, "503 Service Unavailable"), (5.0, "200 OK"), (6.0, "200 OK")):
        world.probe(at, answer)
    world.frames.append(
        (
            ns(app + 0.005),
            wire.framed(
                POD, DNS, 17, wire.udp((POD, 5353), (DNS, 53), wire.question("peer")), (POD,)
            ),
        )
    )
    _pod(world, 5.1, "envoy")
    _pod(world, READY, "envoy", "app")
    world.step(READY + 0.01, "subject.ready")
    return app


def _app_life(world: World, begin: float, proxy_gone: float) -> None:
    """The app's requests, from its first to its last."""
    for seq in range(int((APP_GONE - begin) * 5)):
        at = begin + 0.01 + seq * 0.2
        kind = "first" if seq == 0 else "steady" if at < DELETED else "drain"
        served = 5.0 < at < proxy_gone - 0.1
        world.egress(at, kind, seq, "ok" if served else "refused")
        if seq % 3 == 1:
            outcome = "closed" if served else "refused"
            world.attempt(at + 0.03, "subject.app", "mesh-witness", seq, outcome)


def _busy(world: World, proxy_gone: float) -> None:
    """What the peer and the dialer do."""
    for seq in range(12):
        at = 6.6 + seq * 0.5
        lost = at + 3 > proxy_gone and at < proxy_gone
        outcome = "ok" if not lost else "wrong"
        took = 3.0 if not lost else max(0.1, proxy_gone - at)
        if at > 12 or (at > DELETED and proxy_gone < 15):
            break
        kind = "inflight" if seq % 2 else "stream"
        its = world.attempt(at, "peer.app", kind, seq, outcome, target="10.96.0.60:80", took=took)
        _, port = world.mesh(at + 0.002, outbound=False, path=f"/slow/3/{its}")
        world.served(at + 0.01, at + took - 0.01, "subject.app", its, f"{PEER}:{port}")
    for seq in range(90):
        at = 0.3 + seq * 0.18
        listening = 5.0 < at < proxy_gone
        world.dial(at, "dial", seq, "reset" if listening else "refused")
    for seq in range(8):
        at = 5.6 + seq * 0.5
        world.dial(at, "dial-tls", seq, "closed")
    for seq in range(8):
        world.dial(5.8 + seq, "dial-probe", seq, "ok", port=8081)


def _stop(world: World) -> None:
    """From the deletion to the end of the network namespace."""
    native = world.pattern == "native"
    world.step(DELETED, "delete.asked")
    world.step(DELETED + 0.01, "delete.accepted")
    world.signalled(10.045, APP)
    world.stamp(10.05, "subject.app", "app.sigterm")
    if native:
        world.stamp(10.1, "subject.envoy", "sidecar.drain")  # a preStop hook of the sidecar's own
    told = 15.2 if native else 10.046
    world.signalled(told, ENVOY)
    world.stamp(told + 0.01, "subject.envoy", "sidecar.sigterm")
    world.stamp(told + 1.51, "subject.envoy", "sidecar.drained")
    world.stamp(told + 1.54, "subject.envoy", "sidecar.last")
    world.exited(told + 1.55, ENVOY)
    world.stamp(APP_GONE, "subject.app", "app.last")
    world.exited(APP_GONE + 0.01, APP)
    world.exited(16.9, SANDBOX, 137)
    world.step(17.2, "subject.gone")
    world.step(17.3, "sandbox.gone")


@cache
def _lifecycle(pattern: str) -> World:
    world = World(pattern, index(pattern, "lifecycle"))
    world.beacons(0.1, 17.0)
    begin = start(world)
    proxy_gone = 16.7 if pattern == "native" else SIDECAR_GONE_CLASSIC
    _app_life(world, begin, proxy_gone)
    _busy(world, proxy_gone)
    world.control(9.0)
    _stop(world)
    return world


@cache
def _job(pattern: str) -> World:
    world = World(pattern, index(pattern, "job", "subject-x7k2p"))
    world.index["ports"].pop("health")
    world.beacons(0.1, 25.0)
    _pod(world, 0.1)
    world.created(1.0, ENVOY)
    world.created(5.3, APP)
    world.stamp(5.35, "subject.app", "app.started")
    world.stamp(7.5, "subject.app", "app.last")
    world.exited(7.51, APP)
    world.step(0.0, "job.create")
    world.step(7.6, "job.main-exited")
    _job_seen(world, 5.2, active=1)
    if pattern == "native":
        world.signalled(7.7, ENVOY)
        world.exited(9.2, ENVOY)
        complete = 11.0
    else:
        world.step(17.6, "job.bound")
        world.step(17.61, "sidecar.quit-asked", container="envoy")
        world.exited(17.7, ENVOY)
        complete = 19.0
    _job_seen(world, complete, conditions=[{"type": "Complete", "status": "True"}])
    world.step(complete + 0.1, "job.complete")
    world.step(complete + 3, "end")
    return world


def _job_seen(world: World, at: float, **status_: Any) -> None:
    world.seen(at, "Job", "subject", "uid-job", {}, status_)


WORLDS = {
    "lifecycle": lifecycle, "job": job, "init": init,
    "outdated": outdated,
}  # fmt: skip

"""Worlds of the start: several sidecars, and sidecars that do not come up as they should."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.forge.bundle import SANDBOX, Json, World, ns
from tests.worlds import lifecycle

SIDECAR, SECOND, OTHER = "sidecar", "second", "other"
HEALED = 8.0


def ident(role: str, name: str, run: int = 0) -> str:
    """A container's id."""
    return hashlib.sha256(f"{role}.{name}.{run}".encode()).hexdigest()


def empty(pattern: str, scenario: str, sidecar: str = SIDECAR) -> World:
    """A world with its index, and no pod yet."""
    world = World(pattern, lifecycle.index(pattern, scenario))
    world.index["cell"] |= {"sidecar": "fixture", "mode": "default"}
    world.index |= {"pods": {}, "sidecars": [sidecar], "identities": {}}
    return world


def pod(world: World, role: str, spec: Json, *, runs: int = 1, at: float = 0.1) -> None:
    """A pod of the cell: in the index and, as it was admitted, in the watch."""
    names = [one["name"] for group in spec.values() if isinstance(group, list) for one in group]
    world.index["pods"][role] = {
        "uid": f"uid-{role}", "name": role, "ip": "10.244.0.7", "ips": ["10.244.0.7"],
        "sandbox": SANDBOX if role == "subject" else ident(role, ""),
        "containers": {
            name: {"id": "", "ids": [ident(role, name, run) for run in range(runs)], "image": "i"}
            for name in names
        },
    }  # fmt: skip
    status(world, at, role)
    world.watch[-1]["object"]["spec"] = spec
    world.created(at + 0.1, world.index["pods"][role]["sandbox"])


def status(world: World, at: float, role: str, **fields: Any) -> None:
    """A version of a pod."""
    spec: Json = next(
        (one["object"]["spec"] for one in world.watch if one["object"]["metadata"]["name"] == role),
        {},
    )
    world.seen(at, "Pod", role, f"uid-{role}", spec, fields)


def begin(world: World, at: float, role: str, name: str, run: int = 0) -> None:
    """A container is created, and takes its first instruction."""
    world.created(at, ident(role, name, run))
    event = "sidecar.started" if name in (SIDECAR, SECOND, OTHER) else "app.started"
    world.stamp(at + 0.05, f"{role}.{name}", event)


def end(
    world: World, at: float, role: str, name: str, *, told: float | None = None, code: int = 0
) -> None:
    """A container's last instruction; told: when it was signalled."""
    which = "sidecar" if name in (SIDECAR, SECOND, OTHER) else "app"
    if told is not None:
        world.signalled(told, ident(role, name))
        world.stamp(told + 0.005, f"{role}.{name}", f"{which}.sigterm")
    world.stamp(at, f"{role}.{name}", f"{which}.last", code=code)
    world.exited(at + 0.01, ident(role, name), code)


def ready(world: World, at: float, role: str, name: str, *, port: int = 0) -> None:
    """A sidecar is ready, and with a port the kubelet's probe passes a little later."""
    world.stamp(at, f"{role}.{name}", "sidecar.ready")
    if port:
        world.probe(at + 0.3, "200 OK", port=port)


def sequence(pattern: str = "native") -> World:
    """A fresh world in which two pods with several sidecars are started, and deleted at 12 s."""
    world = empty(pattern, "sequence")
    native = pattern == "native"
    names = ["before", SIDECAR, "between", SECOND, "after"]
    ports = {SIDECAR: 15021, SECOND: 15022}
    order = [{"name": name, "port": ports.get(name)} for name in (*names, "app")]
    world.step(-0.1, "order", containers=order)
    always = {"restartPolicy": "Always"} if native else {}
    sidecars = [{"name": SIDECAR, **always}, {"name": SECOND, **always}]
    if native:
        inits = [next((s for s in sidecars if s["name"] == n), {"name": n}) for n in names]
        spec = {"initContainers": inits, "containers": [{"name": "app"}]}
    else:
        inits = [{"name": n} for n in names if n not in ports]
        spec = {"initContainers": inits, "containers": [{"name": "app"}, *sidecars]}
    pod(world, "subject", spec)
    world.beacons(0.15, 18.0)
    for at, name in ((0.5, "before"), (5.0, "between"), (8.5, "after")):
        at = at if native else {"before": 0.5, "between": 0.8, "after": 1.1}[name]
        begin(world, at, "subject", name)
        end(world, at + 0.2, "subject", name)
    for at, name in ((1.0, SIDECAR), (5.5, SECOND)):
        begin(world, at if native else 1.4, "subject", name)
        ready(world, at + 2.5 if native else 4.5, "subject", name, port=ports[name])
    begin(world, 9.0 if native else 1.4, "subject", "app")
    _deleted(world, ("subject",) if not native else ("subject", "mixed"))
    end(world, 14.1, "subject", "app", told=12.1)
    end(world, 15.8 if native else 13.6, "subject", SECOND, told=14.2 if native else 12.1)
    end(world, 17.5 if native else 13.6, "subject", SIDECAR, told=15.9 if native else 12.1)
    if native:
        _mixed(world)
    return world


def _deleted(world: World, pods: tuple[str, ...]) -> None:
    for one in pods:
        world.step(12.0, "delete.asked", pod=one)
    world.step(12.02, "delete.accepted")
    world.step(18.1, "subject.gone")


def _mixed(world: World) -> None:
    spec = {
        "initContainers": [{"name": SIDECAR, "restartPolicy": "Always"}],
        "containers": [{"name": "app"}, {"name": SECOND}],
    }
    pod(world, "mixed", spec)
    begin(world, 1.0, "mixed", SIDECAR)
    ready(world, 4.0, "mixed", SIDECAR)
    begin(world, 4.5, "mixed", "app")
    begin(world, 4.6, "mixed", SECOND)
    ready(world, 6.6, "mixed", SECOND)
    end(world, 14.1, "mixed", "app", told=12.1)
    end(world, 13.6, "mixed", SECOND, told=12.11)
    end(world, 15.9, "mixed", SIDECAR, told=14.3)


def unready(pattern: str = "native") -> World:
    """A fresh world in which a sidecar is not ready before 8 s."""
    world = empty(pattern, "unready")
    pod(world, "subject", _spec(pattern, SIDECAR))
    world.beacons(0.15, 12.0)
    begin(world, 1.0, "subject", SIDECAR)
    refusals(world, 5.0)
    native = pattern == "native"
    shown(world, 7.0, "get pod subject", {"subject": "Init:0/1" if native else "Running"})
    world.step(7.5, "probe.corrected", status=422, message="may not be changed")
    world.step(HEALED, "healed")
    ready(world, HEALED + 0.1, "subject", SIDECAR)
    begin(world, 9.0 if native else 1.1, "subject", "app")
    if not native:
        for seq in range(20):
            its = world.attempt(1.3 + seq / 4, "subject.app", "steady", seq, "reset")
            world.leak(1.302 + seq / 4, its, end="rst")
    world.stamp(0.0, "witness.witness", "witness.listening")
    world.step(10.0, "subject.ready")
    world.step(11.0, "end")
    return world


def refusals(world: World, at: float, count: int = 4, uid: str = "uid-subject") -> None:
    """The Event that tells of failed startup probes."""
    world.seen(at, "Event", "subject.1", "uid-event", {}, {})
    world.watch[-1]["object"] |= {
        "involvedObject": {"uid": uid, "name": "subject"}, "reason": "Unhealthy", "count": count,
        "message": "Startup probe failed: HTTP probe failed with statuscode: 503",
    }  # fmt: skip


def shown(world: World, at: float, command: str, rows: dict[str, str]) -> None:
    """What kubectl get pods printed."""
    out = f"{'NAME':20}{'READY':8}{'STATUS':24}{'RESTARTS':18}AGE\n" + "".join(
        f"{name:20}{'1/2':8}{its:24}{'2 (3s ago)':18}9s\n" for name, its in rows.items()
    )
    line(world, at, command, out)


def line(world: World, at: float, command: str, out: str, code: int = 0) -> None:
    """A command that the scenario ran."""
    fields = {"began_ns": ns(at - 0.1), "command": f"kubectl {command}", "code": code}
    world.commands.append({"ns": ns(at), **fields, "out": out, "err": ""})


def _spec(pattern: str, *sidecars: str, **more: Any) -> Json:
    own: list[Json] = [{"name": one, **more} for one in sidecars]
    if pattern == "native":
        inits = [{**one, "restartPolicy": "Always"} for one in own]
        return {"initContainers": inits, "containers": [{"name": "app"}]}
    return {"initContainers": [], "containers": [{"name": "app"}, *own]}


CRASHING = {"subject": "Never", "crash-onfailure": "OnFailure", "crash-always": "Always"}


def failing(pattern: str = "native") -> World:
    """A fresh world in which sidecars crash until 8 s, one has no probe, one no period, and one is
    deleted at 3 s. As it would have to be: even what has no probe is waited for."""
    world = empty(pattern, "failing")
    native = pattern == "native"
    for role, policy in CRASHING.items():
        spec = {**_spec(pattern, OTHER, SIDECAR), "restartPolicy": policy}
        pod(world, role, spec, runs=3)
        begin(world, 0.5, role, OTHER)
        crash(world, role, 1.0, 0)
        again = native or policy != "Never"
        if again:
            crash(world, role, 2.5, 1)
            begin(world, 12.5, role, SIDECAR, 2)
            ready(world, 13.5, role, SIDECAR)
        begin(world, 14.2 if native else 1.1, role, "app")
    state = "Init:CrashLoopBackOff" if native else "CrashLoopBackOff"
    shown(world, 7.0, "get pods", dict.fromkeys(CRASHING, state))
    probed(world, "bare")
    begin(world, 5.0 if native else 1.1, "bare", "app")
    if native:
        probed(world, "unhurried", startupProbe={"periodSeconds": 10})
        begin(world, 4.9, "unhurried", "app")
        _early(world)
    world.step(HEALED, "healed")
    world.step(13.6, "crashing.ready")
    world.step(34.0, "end")
    return world


def crash(world: World, role: str, at: float, run: int) -> None:
    """A run of the crashing sidecar, and the version of the pod that tells of it."""
    begin(world, at, role, SIDECAR, run)
    world.stamp(at + 0.1, f"{role}.{SIDECAR}", "sidecar.last", code=3)
    world.exited(at + 0.11, ident(role, SIDECAR, run), 3)
    ended = {"terminated": {"reason": "Error", "exitCode": 3}}
    group = "initContainerStatuses" if world.pattern == "native" else "containerStatuses"
    status(world, at + 0.3, role, **{group: [{"name": SIDECAR, "state": {}, "lastState": ended}]})


def probed(world: World, role: str, **probe: Any) -> None:
    """A pod whose sidecar is ready at 4 s, with a startup probe or none."""
    pod(world, role, _spec(world.pattern, SIDECAR, **probe))
    begin(world, 1.0, role, SIDECAR)
    ready(world, 4.0, role, SIDECAR)


def _early(world: World) -> None:
    spec = {**_spec("native", SIDECAR, OTHER), "terminationGracePeriodSeconds": 30}
    pod(world, "early", spec)
    world.index["pods"]["early"]["containers"][OTHER]["ids"] = []
    world.index["pods"]["early"]["containers"]["app"]["ids"] = []
    begin(world, 1.0, "early", SIDECAR)
    world.step(3.0, "delete.asked", pod="early")
    end(world, 3.2, "early", SIDECAR, told=3.1)
    world.step(4.0, "subject.gone", pod="early")


WORLDS = {"sequence": sequence, "unready": unready, "failing": failing}

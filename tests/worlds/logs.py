"""Worlds of the log shippers: an app that writes numbered lines, a shipper, and a sink.

Built on the lifecycle's and the Job's worlds, whose sidecar is the shipper here. Ten lines a
second.
"""

from __future__ import annotations

from typing import Any

from tests.forge.bundle import APP, ENVOY, Json, World, ns
from tests.worlds import lifecycle
from tests.worlds.lifecycle import APP_GONE

RATE = 10
SECOND_LIFE = "f" * 64
SHIPPER = "7" * 64


def logs(pattern: str = "native") -> World:
    """A pod is deleted while its app writes: native loses nothing, classic what comes late."""
    world = _bare(lifecycle.lifecycle(pattern), "logs")
    begin = 5.35 if pattern == "native" else 1.1
    count = _writes(world, "subject", begin, APP_GONE, told=10.05)
    read = count if pattern == "native" else round((10.05 - begin) * RATE)
    ships(world, "subject", begin, 0, read)
    _sink(world, -3.0, 25.0, settled=18.0)
    return world


def job(pattern: str = "native") -> World:
    """A Job, which loses nothing in either pattern."""
    world = _bare(lifecycle.job(pattern), "logs-job")
    count = _writes(world, "subject", 5.35, 7.5)
    ships(world, "subject", 5.35, 0, count)
    _sink(world, -3.0, 25.0, settled=21.0)
    return world


def gate(pattern: str = "native") -> World:
    """A gate that waits for the sink, and an endpoint that answers as it comes."""
    world = logs(pattern)
    world.index["cell"]["scenario"] = "logs-gate"
    world.drop(world.stamps["sink.sink"], "sink.listening")
    world.stamp(4.5, "sink.sink", "sink.listening", port=8080)
    world.step(4.4, "subject.bound")
    _second_pod(world, "deaf", "native")
    world.step(1.1, "deaf.sidecar-runs")
    world.step(3.0, "deaf.app-runs")
    world.stamp(2.9, "deaf.app", "app.started", rate=RATE)
    return world


def deaf(world: World) -> World:
    """As above, but the endpoint is not answered."""
    world.drop(world.steps, "deaf.app-runs")
    del world.stamps["deaf.app"]
    world.step(11.1, "deaf.bound", seen="Pending")
    status = {"initContainerStatuses": [{"name": "envoy", "state": {"running": {}},
                                         "restartCount": 0}]}  # fmt: skip
    world.seen(1.0, "Pod", "deaf", "uid-deaf", lifecycle.spec("native"), status)
    for count in range(1, 9):
        failed_probe(world, 1.5 + count, count)
    return world


def failed_probe(world: World, at: float, count: int) -> None:
    """The kubelet's Event about its failed probe of the deaf pod's shipper."""
    body = {
        "metadata": {"name": "deaf.1", "uid": "uid-event"}, "reason": "Unhealthy", "count": count,
        "message": "Startup probe failed: connection refused",
        "involvedObject": {"uid": "uid-deaf", "name": "deaf"},
    }  # fmt: skip
    world.watch.append({"ns": ns(at), "type": "MODIFIED", "kind": "Event", "object": body})


def crash(pattern: str = "native") -> World:
    """The shipper is killed at 7.5, runs again at 7.9, and delivers what the sink had refused."""
    world = logs(pattern)
    world.index["cell"]["scenario"] = "logs-crash"
    world.stamps["sink.sink"] = []
    _sink(world, -3.0, 25.0, settled=18.0)
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append(SECOND_LIFE)
    world.runtime = [one for one in world.runtime if not _exit_of(one, ENVOY)]
    world.exited(7.55, ENVOY, 137)
    world.created(7.9, SECOND_LIFE)
    begin = 5.35 if pattern == "native" else 1.1
    count = len(world.lines("subject.app", "lines"))
    kept = round((6.5 - begin) * RATE)
    ships(world, "subject", begin, 0, kept)
    world.stamp(7.2, "sink.sink", "sink.refused", runs={"subject": [[kept, kept + 3]]}, bytes=9)
    world.step(6.9, "sink.told", what="refuse")
    world.step(7.5, "sidecar.kill-asked", container="envoy")
    world.step(8.0, "sidecar.restarted", lines=0)
    arrives(world, 8.5, "subject", kept - 2, kept + 12)
    ships(world, "subject", begin, kept + 13, count)
    world.step(9.5, "sidecar.resumed")
    return world


def starved(pattern: str = "native") -> World:
    """The app uses up the grace period and is killed; the shipper delivers all the same."""
    world = logs(pattern)
    world.index["cell"]["scenario"] = "logs-starved"
    world.drop(world.stamps["subject.app"], "app.last")
    world.runtime = [one for one in world.runtime if not _exit_of(one, APP)]
    world.exited(APP_GONE + 0.01, APP, 137)
    for line in world.watch:
        line["object"]["spec"] = {**line["object"]["spec"], "terminationGracePeriodSeconds": 5}
    _second_pod(world, "patient", pattern)
    count = _writes(world, "patient", 5.4, 14.0, told=10.05)
    ships(world, "patient", 5.4, 0, count)
    begin = 5.35 if pattern == "native" else 1.1
    ships(world, "subject", begin, 0, len(world.lines("subject.app", "lines")))
    world.step(17.5, "patient.gone")
    return world


def mesh(pattern: str = "native") -> World:
    """Two native sidecars, the proxy first: the shipper ends before it, and all is encrypted."""
    world = _bare(lifecycle.lifecycle(pattern), "logs-behind-mesh")
    world.index["sidecars"] = ["shipper"]
    containers = world.index["pods"]["subject"]["containers"]
    containers["shipper"] = {"id": SHIPPER, "ids": [SHIPPER], "image": "s", "image_id": "s"}
    for line in world.watch:
        spec = line["object"]["spec"]
        inits = spec.get("initContainers") or []
        shipper: Json = {"name": "shipper", "restartPolicy": "Always"}
        line["object"]["spec"] = {**spec, "initContainers": [*inits, shipper]}
    world.created(5.1, SHIPPER)
    world.signalled(15.12, SHIPPER)
    world.exited(15.16, SHIPPER)
    count = _writes(world, "subject", 5.35, APP_GONE, told=10.05)
    arrives(world, 15.15, "subject", 0, count - 1)
    _sink(world, -3.0, 25.0, settled=18.0)
    return world


def arrives(world: World, at: float, role: str, first: int, last: int) -> None:
    """A request of the shipper that the sink takes."""
    runs = {role: [[first, last]]}
    world.stamp(at, "sink.sink", "sink.received", runs=runs, new=last - first + 1, bytes=99)


def ships(world: World, role: str, begin: float, first: int, end: int) -> None:
    """The lines from first to before end, two at a time, 0.3 s behind their writing."""
    for low in range(first, end, 2):
        high = min(low + 1, end - 1)
        arrives(world, begin + high / RATE + 0.3, role, low, high)


def forget(world: World, role: str, first: int, last: int) -> None:
    """The sink never had these lines of a writer."""
    for line in world.lines("sink.sink", "sink.received"):
        kept = [
            [one, one]
            for low, high in line["runs"].get(role, ())
            for one in range(low, high + 1)
            if not first <= one <= last
        ]
        line["runs"] = {**line["runs"], role: kept} if role in line["runs"] else line["runs"]


def _bare(world: World, scenario: str) -> World:
    """A world without the requests of its fixtures."""
    world.index["cell"] |= {"scenario": scenario, "sidecar": "otel-collector", "mode": "default"}
    world.stamps = {}
    world.frames = [one for one in world.frames if b"cny." not in one[1]]
    return world


def _writes(world: World, role: str, begin: float, end: float, told: float | None = None) -> int:
    """A writer's record; returns how many lines it wrote."""
    who = f"{role}.app"
    world.stamp(begin, who, "app.started", rate=RATE)
    count = int((end - begin) * RATE)
    for seq in range(count):
        world.stamp(begin + 0.01 + seq / RATE, who, "lines", first=seq, last=seq)
    if told is not None:
        world.stamp(told, who, "app.sigterm")
    world.stamp(end, who, "app.last", lines=count)
    return count


def _sink(world: World, begin: float, end: float, *, settled: float) -> None:
    who = "sink.sink"
    world.stamp(begin, who, "sink.started")
    world.stamp(begin + 0.1, who, "sink.listening", port=8080)
    for beat in range(int((end - begin) * 2)):
        world.stamp(begin + 0.2 + beat / 2, who, "sink.up", held={}, active=0)
    world.stamp(settled, who, "sink.asked", held={}, active=0)


def _second_pod(world: World, role: str, pattern: str) -> None:
    containers: dict[str, Any] = {
        name: {"id": "", "ids": [], "image": "i", "image_id": ""} for name in ("envoy", "app")
    }
    world.index["pods"][role] = {
        "uid": f"uid-{role}", "ip": "10.244.0.44", "ips": [], "sandbox": "", "name": role,
        "containers": containers,
    }  # fmt: skip
    world.seen(0.5, "Pod", role, f"uid-{role}", lifecycle.spec(pattern), {})


def _exit_of(event: tuple[int, str, Json], ident: str) -> bool:
    return event[1] == "/tasks/exit" and event[2]["container_id"] == ident


def lines(world: World, role: str = "subject") -> int:
    """How many records of lines an app wrote."""
    return len(world.lines(f"{role}.app", "lines"))


WORLDS = {
    "logs": logs, "logs-job": job, "logs-gate": gate, "logs-crash": crash, "logs-starved": starved,
    "logs-behind-mesh": mesh,
}  # fmt: skip

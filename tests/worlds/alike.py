"""Worlds of what Kubernetes does for a sidecar as it does for regular containers: its ports, its
OOM score, another image, and the limit of its disk."""

from __future__ import annotations

from typing import Any

from tests.forge.bundle import POD, Json, World, ns
from tests.worlds import start
from tests.worlds.start import SIDECAR, ident

PORT, HOST_PORT, NODE = 15021, 23456, "node"
TAKEN = (
    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. "
    "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
)
IMAGE, AGAIN = "i", "i-again"
CAPACITY_KIB = 16 << 20
APP_MIB, SIDECAR_MIB = 288, 32
LIMIT, FILLED_MIB = "20Mi", 64
NAMES_THE_SIDECAR = (
    f'Container {SIDECAR} exceeded its local ephemeral storage limit "{LIMIT}". '  # as it is said
)


def ports(pattern: str = "native") -> World:
    """A fresh world in which a sidecar's port is found by its name, and taken on its node."""
    world = start.empty(pattern, "ports")
    for name, target in (("named", "health"), ("numbered", PORT)):
        spec = {"ports": [{"port": 80, "targetPort": target}]}
        world.seen(0.1, "Service", name, f"uid-{name}", spec, {})
    start.pod(world, "subject", spec_of(pattern, ports=[port()]), at=0.5)
    start.pod(world, "peer", {"containers": [{"name": "app"}]}, at=0.6)
    start.begin(world, 1.0, "subject", SIDECAR)
    start.begin(world, 4.5, "subject", "app")
    start.begin(world, 1.1, "peer", "app")
    bound(world, 5.0, "subject", phase="Running")
    slices(world, 5.1, ready=False)
    slices(world, 5.5)
    for at, service in ((6.0, "numbered"), (7.0, "named"), (8.0, "numbered")):
        ask(world, at, service, "200")
    start.pod(world, "twin", spec_of(pattern, ports=[port()]), at=9.0)
    for one in world.index["pods"]["twin"]["containers"].values():
        one["ids"] = []
    held(world, 9.1, TAKEN)
    world.step(9.2, "scheduled")
    return world


def port(**fields: Any) -> Json:
    """The sidecar's port."""
    number = {"containerPort": PORT, "hostPort": HOST_PORT}
    return {"name": "health", "protocol": "TCP", **number, **fields}


def bound(world: World, at: float, role: str, node: str = NODE, **status: Any) -> None:
    """A version of a pod that is on a node."""
    start.status(world, at, role, **status)
    its = world.watch[-1]["object"]
    its["spec"] = {**its["spec"], "nodeName": node}


def held(world: World, at: float, message: str) -> None:
    """The scheduler's word on the twin."""
    said = {"type": "PodScheduled", "status": "False", "message": message}
    start.status(world, at, "twin", phase="Pending", conditions=[said])


def slices(
    world: World, at: float, numbers: tuple[int, ...] = (PORT,), *, ready: bool = True
) -> None:
    """A version of the EndpointSlice of the Service that names the port."""
    made = {
        "metadata": {
            "name": "named-x", "uid": "uid-x",
            "labels": {"kubernetes.io/service-name": "named"},
        },
        "endpoints": [{"addresses": [POD], "conditions": {"ready": ready}}],
        "ports": [{"port": one, "name": ""} for one in numbers] or None,
    }  # fmt: skip
    line = {"ns": ns(at), "type": "MODIFIED", "kind": "EndpointSlice", "object": made}
    world.watch.append(line)


def ask(world: World, at: float, service: str, out: str, code: int = 0) -> None:
    """A request of the peer through a Service."""
    start.line(world, at, f"exec peer -- python3 -c '\nask' {service}", f"{out}\n", code)


def spec_of(pattern: str, **sidecar: Any) -> Json:
    """A pod's spec with an app and a sidecar."""
    own = {"name": SIDECAR, **sidecar}
    if pattern == "native":
        its = {**own, "restartPolicy": "Always"}
        return {"initContainers": [its], "containers": [{"name": "app"}]}
    return {"initContainers": [], "containers": [{"name": "app"}, own]}


def alike(pattern: str = "native") -> World:
    """A fresh world in which the kubelet treats a sidecar as it does the app. A classic one's score
    goes by its own request."""
    world = start.empty(pattern, "alike")
    for role, its in (("subject", pattern), ("twin", "classic")):
        start.pod(world, role, spec_with(its, IMAGE), at=0.5, runs=2 if role == "subject" else 1)
        for one in world.index["pods"][role]["containers"].values():
            one["image"] = AGAIN if role == "subject" else IMAGE
        for name in (SIDECAR, "app"):
            start.begin(world, 1.0, role, name)
    runs(world, 5.0)
    start.line(
        world, 5.1, "get node node -o jsonpath={.status.capacity.memory}", f"{CAPACITY_KIB}Ki"
    )
    scores(world, sidecar=983 if pattern == "native" else 999)
    world.step(6.0, "image.asked", image=AGAIN)
    runs(world, 6.1, image=AGAIN)
    renew(world, 7.0, "app")
    runs(world, 7.2, app=1, image=AGAIN)
    renew(world, 8.0, SIDECAR)
    runs(world, 8.2, app=1, sidecar=1, image=AGAIN)
    for at, role in ((12.0, "subject"), (12.5, "twin")):
        world.step(at, "disk.filled", pod=role, container=SIDECAR, mebibytes=FILLED_MIB)
        evict(world, at + 10, role)
    return world


def spec_with(pattern: str, image: str) -> Json:
    """A pod's spec with limits, and with an app that asks for more memory than its sidecar."""
    spec = spec_of(pattern)
    for one in (*spec["initContainers"], *spec["containers"]):
        sidecar = one["name"] == SIDECAR
        mebibytes = SIDECAR_MIB if sidecar else APP_MIB
        one["image"] = image
        one["resources"] = {
            "requests": {"memory": f"{mebibytes}Mi", "ephemeral-storage": "1Mi"},
            "limits": {"ephemeral-storage": LIMIT if sidecar else "1Gi"},
        }
    return spec


def runs(
    world: World, at: float, *, app: int = 0, sidecar: int = 0, image: str = IMAGE, **more: Any
) -> None:
    """A version of the subject whose containers run, each in so many-th life."""
    states: dict[str, list[Json]] = {"initContainerStatuses": [], "containerStatuses": []}
    for name, run in ((SIDECAR, sidecar), ("app", app)):
        native = name == SIDECAR and world.pattern == "native"
        one: Json = {"name": name, "containerID": f"containerd://{ident('subject', name, run)}"}
        if run:
            former = {"containerID": f"containerd://{ident('subject', name, run - 1)}"}
            one["lastState"] = {"terminated": former}
        states["initContainerStatuses" if native else "containerStatuses"].append(
            {**one, "state": {"running": {}}}
        )
    start.status(world, at, "subject", **states, **more)
    world.watch[-1]["object"]["spec"] = spec_with(world.pattern, image)


def renew(world: World, at: float, name: str) -> None:
    """A container of the subject ends, and is made anew of the other image."""
    start.end(world, at - 0.1, "subject", name, told=at - 0.5)
    start.begin(world, at + 0.1, "subject", name, 1)
    said = f'Container image "{AGAIN}" already present on machine'
    about = {"uid": "uid-subject", "fieldPath": f"spec.containers{{{name}}}"}
    told(world, at, "Pulled", said, about, f"event-{name}")


def scores(world: World, *, sidecar: int | str = 983, app: int | str = 983) -> None:
    """The containers' oom_score_adj, as they were read."""
    for at, name, score in ((5.3, SIDECAR, sidecar), (5.5, "app", app)):
        start.line(world, at, f"exec subject -c {name} -- cat /proc/1/oom_score_adj", f"{score}\n")


def evict(
    world: World, at: float, role: str, message: str = NAMES_THE_SIDECAR, phase: str = "Failed"
) -> None:
    """The kubelet evicts a pod: it says so, and the pod ends."""
    told(world, at - 2, "Evicted", message, {"uid": f"uid-{role}"}, f"evicted-{role}")
    status = {"reason": "Evicted", "message": message} if phase == "Failed" else {}
    start.status(world, at, role, phase=phase, **status)
    if role == "subject":
        world.watch[-1]["object"]["spec"] = spec_with(world.pattern, AGAIN)


def told(world: World, at: float, reason: str, message: str, about: Json, name: str) -> None:
    """An Event of the kubelet."""
    event = {"reason": reason, "message": message, "involvedObject": about}
    made = {"metadata": {"name": name, "uid": name}, **event}
    world.watch.append({"ns": ns(at), "type": "ADDED", "kind": "Event", "object": made})


def pass_over(world: World, *, used_mebibytes: float = 65.0, until: float = 58.0) -> None:
    """The subject runs on with its full disk, and is not evicted."""
    world.watch = [
        one
        for one in world.watch
        if one["object"]["metadata"]["name"] != "evicted-subject"
        and not (
            one["object"]["metadata"]["name"] == "subject"
            and one["object"]["status"].get("phase") == "Failed"
        )
    ]
    for at in (20.0, until):
        world.step(at, "disk.used", pod="subject", bytes=round(used_mebibytes * 2**20))
    runs(world, until - 1, app=1, sidecar=1, image=AGAIN)
    world.step(until + 0.1, "disk.bound", why="it was not evicted")


WORLDS = {"ports": ports, "alike": alike}

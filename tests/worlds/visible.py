"""Worlds of accounting and visibility: what a pod with a sidecar counts for, and what is shown."""

from __future__ import annotations

import json
from typing import Any

from tests.forge.bundle import Json, World, ns
from tests.worlds import start
from tests.worlds.start import SIDECAR, ident

LAYOUTS = {
    "no-init": {SIDECAR: 100, "app": 200},
    "init-before": {"init": 500, SIDECAR: 100, "app": 200},
    "init-behind": {SIDECAR: 100, "init": 500, "app": 200},
    "init-between": {SIDECAR: 100, "init": 300, "other": 150, "app": 200},
}
SIZES = {  # by hand: native, classic
    "no-init": (300, 300), "init-before": (500, 500), "init-behind": (600, 500),
    "init-between": (450, 450),
}  # fmt: skip
RESOURCE = "sidecar-conformance.io/forged"
UNITS = {"native": 6, "classic": 5}


def accounting(pattern: str = "native") -> World:
    """A fresh world in which a pod goes through admission and scheduling."""
    world = start.empty(pattern, "accounting")
    for limited, qos in (
        ("both", "Guaranteed"), ("app-only", "Burstable"), ("sidecar-only", "Burstable"),
        ("neither", "BestEffort"),
    ):  # fmt: skip
        answer(world, "class", {SIDECAR: 1, "app": 1}, {"qosClass": qos}, limited=limited)
    for container, policy in (("app", "Always"), ("app", "Never"), ("init", "OnFailure")):
        asked = {"container": container, "policy": policy}
        refuse(world, "policy", f"{container}.restartPolicy: Forbidden", **asked)
    answer(world, "limit", {SIDECAR: 0, "app": 200}, asked_milli=None, default_milli=50)
    answer(world, "limit", {SIDECAR: 50, "app": 200}, asked_milli=None, default_milli=50)
    answer(world, "limit", {SIDECAR: 700, "app": 200}, asked_milli=700, most_milli=700)
    said = "maximum cpu usage per Container is 700m, but limit is 701m"
    refuse(world, "limit", said, asked_milli=701, most_milli=700)
    for layout, milli in LAYOUTS.items():
        size = SIZES[layout][pattern == "classic"]
        said = f"exceeded quota: quota, requested: requests.cpu={size}m, used: requests.cpu=0"
        refuse(world, "quota", said, layout=layout, quota_milli=size - 1)
        answer(world, "quota", milli, layout=layout, quota_milli=size)
    size = SIZES["init-behind"][pattern == "classic"]
    world.step(2.0, "quota.used", cpu=f"{size}m")
    _node(world, size)
    return world


def _node(world: World, size: int) -> None:
    units = UNITS[world.pattern]
    spec = spec_of(world.pattern, LAYOUTS["init-behind"])
    for one in (*spec["initContainers"], *spec["containers"]):
        asked = one["resources"]["requests"]
        asked[RESOURCE] = str(int(asked["cpu"][:-1]) // 100)
    start.pod(world, "subject", spec, at=1.5)
    world.step(0.9, "node.offer-asked", resource=RESOURCE, units=units - 1)
    world.step(1.0, "node.offers", resource=RESOURCE, units=units - 1)
    held = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": f"0/1 nodes are available: 1 Insufficient {RESOURCE}.",
    }  # fmt: skip
    start.status(world, 2.5, "subject", conditions=[held])
    world.step(3.0, "node.offer-asked", resource=RESOURCE, units=units)
    world.step(3.1, "node.offers", resource=RESOURCE, units=units)
    placed = {**held, "status": "True", "message": ""}
    start.status(world, 3.2, "subject", conditions=[placed])
    world.watch[-1]["object"]["spec"] = {**spec, "nodeName": "node"}
    world.step(3.3, "scheduled")
    described(world, f"{size}m", units)


def described(world: World, cpu: str, units: int) -> None:
    """What kubectl describe node printed."""
    world.commands.clear()
    out = (
        "Non-terminated Pods:          (2 in total)\n"
        "  Namespace    Name      CPU Requests  CPU Limits  Memory Requests  Memory Limits  Age\n"
        f"  forged       subject   {cpu} (30%)    0 (0%)      32Mi (0%)        0 (0%)         9s\n"
        "Allocated resources:\n"
        "  Resource                           Requests     Limits\n"
        "  cpu                                1250m (62%)  0 (0%)\n"
        f"  {RESOURCE}      {units}            {units}\n"
    )
    start.line(world, 4.0, "describe node node", out)


def answer(
    world: World, what: str, milli: dict[str, int], status: Json | None = None, **asked: Any
) -> None:
    """A pod that the API server admitted."""
    spec = spec_of(world.pattern, milli)
    found = {"spec": spec, "status": status or {}}
    _sent(world, what, 201, "", **asked, object=found)


def refuse(world: World, what: str, message: str, **asked: Any) -> None:
    """A pod that the API server refused."""
    _sent(world, what, 422 if what == "policy" else 403, message, **asked)


def _sent(world: World, what: str, code: int, message: str, **more: Any) -> None:
    line = {"what": what, "real": False, "status": code, "message": message, **more}
    world.answers.append({"ns": ns(0.5) + len(world.answers), **line})


def spec_of(pattern: str, milli: dict[str, int]) -> Json:
    inits: list[Json] = []
    own: list[Json] = []
    for name, its in milli.items():
        asked = {"requests": {"cpu": f"{its}m"}} if its else {}
        one: Json = {"name": name, "resources": asked}
        sidecar = name in (SIDECAR, "other")
        if name == "app" or (sidecar and pattern == "classic"):
            own.append(one)
        else:
            inits.append({**one, "restartPolicy": "Always"} if sidecar else one)
    return {"initContainers": inits, "containers": own}


def visible(pattern: str = "native") -> World:
    """A fresh world in which tools look at a pod, whose sidecar crashes and takes 96 MiB. As it
    would have to be: an old agent finds the sidecar among the containerStatuses."""
    world = start.empty(pattern, "visible")
    native = pattern == "native"
    own = {"name": SIDECAR, **({"restartPolicy": "Always"} if native else {})}
    spec = {
        "initContainers": [own] if native else [],
        "containers": [{"name": "app"}] if native else [{"name": "app"}, own],
    }
    start.pod(world, "subject", spec)
    world.index["pods"]["subject"]["containers"][SIDECAR]["ids"] = [
        ident("subject", SIDECAR, run) for run in range(2)
    ]
    start.begin(world, 1.0, "subject", SIDECAR)
    start.begin(world, 2.0, "subject", "app")
    looked(world, 3.0, sidecar=True)
    if native:
        get = "get pod subject -o 'jsonpath="
        start.line(world, 3.2, f"{get}{{….restartPolicy}}'", "Always")
        start.line(world, 3.3, f"{get}{{.spec.initContainers[*].name}}'", SIDECAR)
        state = json.dumps({"running": {"startedAt": "2026-11-22T17:45:01Z"}})
        start.line(world, 3.4, f"{get}{{.status.initContainerStatuses[*].state}}'", state)
    table(world, 3.6, "2/2")
    world.step(4.0, "sidecar.asked", path="/unready")
    looked(world, 4.8, sidecar=False)
    table(world, 4.9, "1/2")
    world.step(5.0, "sidecar.asked", path="/ready")
    looked(world, 5.5, sidecar=True)
    table(world, 5.9, "2/2")
    world.exited(6.0, ident("subject", SIDECAR), 137)
    start.begin(world, 6.5, "subject", SIDECAR, 1)
    world.stamp(7.0, f"subject.{SIDECAR}", "sidecar.allocate", mebibytes=96)
    metrics(world, sidecar=110.0, pod=125.0)
    told(world, restarts=1, mebibytes=124.0)
    world.step(12.0, "delete.asked")
    start.end(world, 14.1, "subject", "app", told=12.1)
    world.extra["followed.txt"] = f"sidecar.started {ns(6.5)}\nsidecar.sigterm {ns(14.2)}\n"
    return world


def looked(world: World, at: float, *, sidecar: bool) -> None:
    """A version of the pod, with a sidecar that is ready or not."""
    running = {"running": {"startedAt": "2026-11-22T17:45:01Z"}}
    its = {"name": SIDECAR, "ready": sidecar, "started": True, "state": running}
    app = {"name": "app", "ready": True, "started": True, "state": running}
    native = world.pattern == "native"
    start.status(
        world, at, "subject",
        initContainerStatuses=[its] if native else [],
        containerStatuses=[app] if native else [app, its],
        conditions=[{"type": "Ready", "status": str(sidecar)}],
    )  # fmt: skip


def table(world: World, at: float, ready: str) -> None:
    """What kubectl get pod printed."""
    head = "NAME      READY   STATUS    RESTARTS   AGE"
    out = f"{head}\nsubject   {ready}     Running   0          9s\n"
    start.line(world, at, "get pod subject", out)


def metrics(world: World, *, sidecar: float | None, pod: float, app: float | None = 14.0) -> None:
    """The kubelet's metrics (MiB); None: nothing of that container."""
    where = 'namespace="forged",pod="subject"'
    lines = []
    for name, mebibytes in (("app", app), (SIDECAR, sidecar)):
        if mebibytes is not None:
            labels = f'container="{name}",{where}'
            size = mebibytes * 2**20
            lines.append(f"container_memory_working_set_bytes{{{labels}}} {size:.0f} 1700000000000")
            lines.append(f"container_cpu_usage_seconds_total{{{labels}}} 0.21 1700000000000")
    lines.append(f"pod_memory_working_set_bytes{{{where}}} {pod * 2**20:.0f} 1700000000000")
    world.extra["metrics.prom"] = "".join(f"{line}\n" for line in lines)


def told(world: World, *, restarts: int, mebibytes: float) -> None:
    """What the old agent says."""
    line = {"containers": ["app"], "restarts": restarts, "memory_bytes": mebibytes * 2**20}
    world.extra["naive.jsonl"] = json.dumps({"ns": ns(10), **line}) + "\n"


WORLDS = {"accounting": accounting, "visible": visible}

"""Worlds about the end of pods: several pods of one cell, told to go at second 10.

As they are when every promise is kept. Container ids are made from the pod's role and the
container's name.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from conformance.model import Finding
from tests.forge.bundle import PEER, Json, World, ns
from tests.worlds import lifecycle
from tests.worlds.lifecycle import DELETED, spec

SECOND = "second"


def ident(role: str, container: str) -> str:
    """A container's id."""
    return hashlib.sha256(f"{role}.{container}".encode()).hexdigest()


def world(pattern: str, scenario: str, subject: str = "subject") -> World:
    """A cell without any pod; of a mesh."""
    made = World(pattern, lifecycle.index(pattern, scenario, subject))
    made.index["pods"] = {}
    return made


def without_mesh(made: World) -> World:
    """The same cell with a plain sidecar: nobody carries, or sends, anything."""
    made.index["identities"] = {}
    for who, lines in made.stamps.items():
        made.stamps[who] = [one for one in lines if not one["event"].startswith("request.")]
    return made


class Pod:
    """One pod of a world, from its start to its end."""

    def __init__(
        self, made: World, role: str, *sidecars: str, begin: float = 1.0, name: str = ""
    ) -> None:
        self.world, self.role, self.name = made, role, name or role
        self.seq = 0
        ids = {
            one: {"id": ident(role, one), "ids": [ident(role, one)]} for one in ("app", *sidecars)
        }
        made.index["pods"][self.name] = {
            "uid": f"uid-{role}", "ip": "10.244.0.7", "ips": ["10.244.0.7"], "sandbox": "",
            "containers": ids,
        }  # fmt: skip
        for place, one in enumerate((*sidecars, "app")):
            made.created(begin + place / 10, ident(role, one))
            program = "app" if one == "app" else "sidecar"
            self.stamp(begin + 0.05 + place / 10, one, f"{program}.started")
        made.seen(begin, "Pod", self.name, f"uid-{role}", spec(made.pattern), {"phase": "Running"})

    def stamp(self, at: float, container: str, event: str, **fields: Any) -> None:
        self.world.stamp(at, f"{self.role}.{container}", event, **fields)

    def deleted(self, at: float = DELETED, *, grace: int = 30) -> None:
        self.world.step(at, "delete.asked", pod=self.role, grace=grace)
        self.world.step(at + 0.02, "delete.accepted", pod=self.role)

    def told(self, at: float, container: str, signal: str = "terminated") -> None:
        """containerd announces a signal, and the program feels it."""
        self.world.signalled(at, ident(self.role, container), signal)
        program = "app" if container == "app" else "sidecar"
        self.stamp(at + 0.005, container, f"{program}.sigterm")

    def ended(self, at: float, container: str, status: int = 0) -> None:
        """The container exits; unless it was killed, its program tells of its last instruction."""
        program = "app" if container == "app" else "sidecar"
        if status != 137:
            self.stamp(at - 0.005, container, f"{program}.last")
        self.world.exited(at, ident(self.role, container), status)

    def hook(self, begin: float, end: float | None, container: str) -> None:
        self.stamp(begin, container, "hook.begin")
        if end is not None:
            self.stamp(end, container, "hook.end")

    def drains(self, begin: float, end: float, outcome: str = "ok") -> None:
        """The app sends ten requests a second."""
        at = begin
        while at < end - 0.05:
            self.world.attempt(at, f"{self.role}.app", "drain", self.seq, outcome)
            self.seq += 1
            at += 0.1

    def removed(self, at: float, phase: str = "Succeeded") -> None:
        """Its object goes."""
        uid, status = f"uid-{self.role}", {"phase": phase}
        self.world.seen(at, "Pod", self.name, uid, spec(self.world.pattern), status)
        self.world.watch[-1]["type"] = "DELETED"


def shown(found: Finding) -> tuple[str, str]:
    return found.observed, found.hazard


def move(world: World, role: str, container: str, event: str, at: float) -> None:
    """A stamp comes at another time."""
    (line,) = world.lines(f"{role}.{container}", event)
    line["mono_ns"] += ns(at) - line["ns"]
    line["ns"] = ns(at)


def signalled(world: World, role: str, container: str, at: float) -> None:
    """containerd announces the signal at another time, and the program feels it then."""
    its = ident(role, container)
    world.journal = [one for one in world.journal if its not in one[1]]
    world.signalled(at, its)
    program = "app" if container == "app" else "sidecar"
    move(world, role, container, f"{program}.sigterm", at + 0.005)


def unannounced(world: World, role: str, container: str) -> None:
    """containerd's announcement is lost: the signal was felt, and may have been sent before."""
    its = ident(role, container)
    world.journal = [one for one in world.journal if its not in one[1]]


def exited(world: World, role: str, container: str, at: float, status: int = 0) -> None:
    its = ident(role, container)
    world.unexited(its)
    program = "app" if container == "app" else "sidecar"
    world.drop(world.stamps[f"{role}.{container}"], f"{program}.last")
    world.exited(at, its, status)


def lose(world: World, role: str, after: float) -> None:
    """What the app sends from then on is refused."""
    for line in world.lines(f"{role}.app", "request.end"):
        if line["ns"] > ns(after):
            line["outcome"] = "refused"


def sidecar_crashes(world: World, role: str, at: float) -> None:
    """While its pod's app goes on, and nobody told it to end."""
    its = ident(role, "envoy")
    world.journal = [one for one in world.journal if its not in one[1]]
    world.drop(world.stamps[f"{role}.envoy"], "sidecar.sigterm")
    exited(world, role, "envoy", at, 1)


def hooks(pattern: str = "native") -> World:
    """The subject's hooks wait; those of the other two do what the article says, to no effect."""
    made = world(pattern, "hooks")
    pod = Pod(made, "subject", "envoy")
    pod.deleted()
    pod.hook(10.05, 12.06, "app")
    pod.hook(10.06, 20.07, "envoy")
    pod.told(12.07, "app")
    pod.drains(12.1, 15.0)
    pod.ended(15.1, "app")
    pod.told(20.1, "envoy")
    pod.ended(21.6, "envoy")
    pod.removed(22.2)
    for role, shift in (("quit", 0.05), ("asleep", 0.1)):
        pod = Pod(made, role, "envoy")
        pod.deleted(DELETED + shift)
        pod.hook(10.1 + shift, None, "envoy")
        pod.stamp(10.3 + shift, "envoy", "hook.quit")
        pod.told(10.12 + shift, "app")
        pod.drains(10.2 + shift, 15.0)
        pod.ended(15.1 + shift, "app")
        pod.told(15.2 + shift, "envoy")
        pod.ended(16.8 + shift, "envoy")
        pod.removed(17.5)
    made.step(23.0, "end")
    return made


def grace(pattern: str = "native") -> World:
    """The subject uses 6 s of grace up, healed has 30, and prompt needs none."""
    made = world(pattern, "grace")
    pod = Pod(made, "subject", "envoy", SECOND)
    pod.deleted(grace=6)
    pod.hook(10.06, None, "app")
    for place, name in enumerate(("app", "envoy", SECOND)):
        pod.told(16.06 + place / 100, name)
    pod.drains(16.1, 17.5)
    pod.drains(17.6, 18.0, "refused")
    pod.ended(17.6, "envoy")
    pod.ended(18.09, "app", 137)
    pod.ended(18.1, SECOND, 137)
    pod.removed(18.9)
    pod = Pod(made, "healed", "envoy", SECOND)
    pod.deleted()
    pod.hook(10.06, 19.07, "app")
    pod.told(19.08, "app")
    pod.drains(19.1, 24.0)
    pod.ended(24.1, "app")
    pod.told(24.2, SECOND)
    pod.ended(27.2, SECOND)
    pod.told(27.3, "envoy")
    pod.ended(28.9, "envoy")
    pod.removed(29.5)
    pod = Pod(made, "prompt", "envoy", SECOND)
    pod.deleted()
    for place, name in enumerate(("app", SECOND, "envoy")):
        pod.told(10.1 + place / 5, name)
        pod.ended(10.15 + place / 5, name)
    pod.removed(11.2)
    made.step(30.0, "end")
    return made


def killed(pattern: str = "native") -> World:
    """A Job whose sidecars end with 137 and 143."""
    made = world(pattern, "killed", "subject-x7k2p")
    pod = Pod(made, "subject", "envoy", SECOND, name="subject-x7k2p")
    made.step(0.5, "job.create")
    pod.ended(5.0, "app")
    made.step(5.1, "job.main-exited")
    pod.told(5.2, SECOND)
    pod.ended(5.3, SECOND, 143)
    pod.told(5.4, "envoy")
    pod.ended(8.4, "envoy", 137)
    made.seen(8.9, "Pod", pod.name, "uid-subject", spec(pattern), {"phase": "Succeeded"})
    job_ends(made, "Complete")
    made.step(9.3, "job.finished")
    return made


def job_ends(made: World, how: str, why: str = "BackoffLimitExceeded") -> None:
    made.watch = [one for one in made.watch if one["kind"] != "Job"]
    made.seen(2.0, "Job", "subject", "uid-job", {}, {"active": 1})
    reason = why if how == "Failed" else "CompletionsReached"
    status: Json = {"conditions": [{"type": how, "status": "True", "reason": reason}]}
    made.seen(9.2, "Job", "subject", "uid-job", {}, status)


def eviction(pattern: str = "native") -> World:
    """Two pods with time enough, and one without."""
    made = world(pattern, "eviction")
    for role, limit in (("subject", 12), ("preempted", 30)):
        pod = Pod(made, role, "envoy")
        pod.deleted(grace=limit)
        pod.told(10.05, "app")
        pod.ended(14.1, "app")
        pod.told(14.2, "envoy")
        pod.ended(15.8, "envoy")
        pod.removed(16.4)
    pod = Pod(made, "hurried", "envoy")
    pod.deleted(grace=3)
    pod.told(10.05, "app")
    pod.ended(13.1, "app", 137)
    pod.told(13.05, "envoy")
    pod.ended(14.6, "envoy")
    pod.removed(15.2)
    made.step(17.0, "end")
    return made


def drain(pattern: str = "native") -> World:
    """kubectl drains the node at 10; the budget lets the hurried pod go when the other is gone."""
    made = world(pattern, "drain")
    for role, told in (("subject", 10.0), ("hurried", 20.0)):
        pod = Pod(made, role, "envoy")
        pod.deleted(grace=8)
        made.seen(told, "Pod", role, f"uid-{role}", spec(pattern), {"phase": "Running"})
        made.watch[-1]["object"]["metadata"]["deletionTimestamp"] = "2026-11-22T17:45:11Z"
        pod.told(told + 0.05, "app")
        if role == "subject":
            pod.ended(14.1, "app")
            pod.told(14.2, "envoy")
            pod.ended(15.8, "envoy")
            pod.removed(16.4)
        else:
            pod.told(28.05, "envoy")
            pod.ended(28.1, "app", 137)
            pod.ended(29.6, "envoy")
            pod.removed(30.2)
    refused = (
        'error when evicting pods/"hurried" -n "forged" (will retry after 5s): Cannot evict pod as '
        "it would violate the pod's disruption budget.\n"
    )
    made.commands.append(
        {
            "ns": ns(30.3), "began_ns": ns(10.0), "code": 0, "err": refused * 2,
            "command": "kubectl drain node --pod-selector=drained=forged",
            "out": "node/node cordoned\npod/subject evicted\npod/hurried evicted\n",
        }
    )  # fmt: skip
    made.step(31.0, "end")
    return made


def terminating(pattern: str = "native") -> World:
    """Two sidecars die at the same moment; one pod is being deleted."""
    made = world(pattern, "terminating")
    pod, twin = Pod(made, "subject", "envoy"), Pod(made, "twin", "envoy")
    pod.deleted()
    pod.told(10.05, "app")
    for one in (pod, twin):
        one.stamp(11.0, "envoy", "sidecar.crash")
        made.exited(11.01, ident(one.role, "envoy"), 137)
    again = ident("twin", "envoy again")
    made.index["pods"]["twin"]["containers"]["envoy"]["ids"].append(again)
    made.created(12.1, again)
    twin.stamp(12.2, "envoy", "sidecar.started")
    pod.ended(20.1, "app")
    pod.removed(20.9)
    made.step(22.0, "end")
    return made


def endpoints(pattern: str = "native") -> World:
    """A pod leaves its Service after 0.4 s, and the late one after 4.5."""
    made = world(pattern, "endpoints")
    made.index["app_drain_seconds"] = 9
    pod, _ = Pod(made, "subject", "envoy"), Pod(made, "standby", "envoy")
    pod.deleted()
    pod.told(10.05, "app")
    for kind, leaves in (("quick", 10.4), ("late", 14.5)):
        for seq in range(120):
            at = 7.0 + seq / 10
            to = "subject" if at < leaves and seq % 2 else "standby"
            its = made.attempt(at, "peer.app", kind, seq, "ok")
            made.served(at + 0.005, at + 0.006, f"{to}.app", its, PEER)
    pod.ended(19.1, "app")
    pod.told(19.2, "envoy")
    pod.ended(20.8, "envoy")
    pod.removed(21.5)
    made.step(22.0, "end")
    return made


def restart(pattern: str = "native") -> World:
    """A service of the node is away from 11 to 13; the subject's main crashes at 14."""
    made = world(pattern, "kubelet")
    pod, drained = Pod(made, "subject", "envoy"), Pod(made, "drained", "envoy")
    drained.deleted(grace=20)
    drained.told(10.05, "app")
    made.restarted = ns(11.5)
    made.step(11.0, "restart.begin", unit="kubelet")
    made.step(12.0, "restart.end", unit="kubelet")
    made.step(13.0, "restart.answers", unit="kubelet")
    made.extra["kubelet.log"] = "".join(
        json.dumps({"__REALTIME_TIMESTAMP": str(ns(at) // 1000), "_PID": pid, "MESSAGE": "I"})
        + "\n"
        for at, pid in ((9.0, "600"), (10.9, "600"), (11.8, "700"), (20.0, "700"))
    )
    gap = {"ns": ns(10.9), "until_ns": ns(13), "what": "containerd's event stream"}
    made.extra["gaps.jsonl"] = json.dumps(gap) + "\n"
    pod.stamp(14.0, "app", "app.crash")
    made.exited(14.01, ident("subject", "app"), 137)
    again = ident("subject", "app again")
    made.index["pods"]["subject"]["containers"]["app"]["ids"].append(again)
    made.created(15.2, again)
    pod.stamp(15.3, "app", "app.started")
    drained.ended(22.1, "app")
    drained.told(22.2, "envoy")
    drained.ended(23.8, "envoy")
    drained.removed(24.4)
    pod.deleted(25.0)
    made.signalled(25.05, again)
    pod.stamp(25.06, "app", "app.sigterm")
    pod.stamp(27.1, "app", "app.last")
    made.exited(27.11, again)
    pod.told(27.2, "envoy")
    pod.ended(28.8, "envoy")
    pod.removed(29.4)
    made.step(30.0, "end")
    return made


WORLDS = {
    "hooks": hooks, "grace": grace, "killed": killed, "eviction": eviction, "drain": drain,
    "terminating": terminating, "endpoints": endpoints, "kubelet": restart, "runtime": restart,
}  # fmt: skip

"""Worlds of a CNI plugin that comes late: four pods, all of them captured (see lifecycle.py).

0 subject and guarded · 1 sidecar · 5.35 app (classic: 1.1) · 10 plugin asked for · 11 there
11.2 late · 17 late ready · 21 guarded deleted · 22 healed · 28 healed ready · 32 end
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.forge.bundle import Json, World, clear_request
from tests.worlds import lifecycle, move, start
from tests.worlds.start import ident, shown

ASKED, THERE, END = 10.0, 11.0, 32.0
GUARDED, LATE, HEALED = "guarded", "late", "healed"
BEFORE = ["ptp", "portmap", "sidecar-capture"]
BEHIND = ["ptp", "portmap", "sidecar-redirect", "sidecar-capture"]
REFUSED = (0.8, 3.5, 15.0)  # when the guarded pod's validation begins; it takes 1.5 s


@dataclass
class Race(World):
    """The subject's world; of the others it holds the packets."""

    others: dict[str, World] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        super().write(folder)
        for role, other in self.others.items():
            for line in other.agent:
                if line["event"] == "added":
                    line["sandbox"] = self.index["pods"][role]["sandbox"]
            move.add_capture(self, other, folder)
        return folder

    def chain(self, at: float, role: str, plugins: list[str]) -> None:
        """What made a pod's network, and what the plugin says of it."""
        self.step(at, "chain", pod=role, plugins=plugins)
        if "sidecar-redirect" in plugins:
            self.stamp(at - 0.1, f"{role}.rules", "sidecar.rules", action="set", by="cni")

    def make(self, at: float, role: str, plugins: list[str], *, guard: bool, runs: int = 1) -> None:
        """A pod is asked for, and its network is made."""
        self.step(at, f"{role}.create")
        self.chain(at + 0.3, role, plugins)
        start.pod(self, role, shape(self.pattern, guard=guard), runs=runs, at=at + 0.1)

    def validated(self, at: float, role: str, run: int, *, passes: bool) -> None:
        """A run of a pod's guard."""
        took, event = (0.1, "validation.passed") if passes else (1.5, "validation.failed")
        self.created(at, ident(role, "validation", run))
        self.stamp(at + 0.05, f"{role}.validation", "validation.started", target="10.244.0.1:15002")
        self.stamp(at + took - 0.01, f"{role}.validation", event, seen="", tries=1)
        self.exited(at + took, ident(role, "validation", run), 0 if passes else 126)

    def app(self, at: float, role: str) -> None:
        """A pod's app begins."""
        self.created(at - 0.05, ident(role, "app"))
        self.stamp(at, f"{role}.app", "app.started")

    def leaks(self, role: str, begin: float, end: float) -> None:
        """A pod's app sends in clear, and is turned away."""
        packets = self if role == "subject" else self.others[role]
        for seq in range(int((end - begin) * 5)):
            at = begin + seq * 0.2
            its = self.attempt(at, f"{role}.app", "steady" if seq else "first", seq, "closed")
            packets.leak(at + 0.002, its, end="rst")

    def works(self, role: str, begin: float, end: float) -> None:
        """A pod's app is answered, by way of its proxy."""
        for seq in range(int((end - begin) * 5)):
            at = begin + seq * 0.2
            its = self.attempt(at, f"{role}.app", "steady" if seq else "first", seq, "ok")
            self.others[role].mesh(at + 0.002, outbound=True, path=f"/echo/{its}")


def shape(pattern: str, *, guard: bool) -> Json:
    """A pod's spec as admitted: no container of its own sets rules."""
    guards: list[Json] = [{"name": "validation"}] if guard else []
    envoy: Json = {"name": "envoy"}
    if pattern == "native":
        inits = [*guards, {**envoy, "restartPolicy": "Always"}]
        return {"initContainers": inits, "containers": [{"name": "app"}]}
    return {"initContainers": guards, "containers": [{"name": "app"}, envoy]}


def race(pattern: str = "native") -> Race:
    """A fresh world as it is expected: what nothing guards leaks, and what is guarded waits."""
    world = _without_the_app(pattern)
    begin = 5.35 if pattern == "native" else 1.1
    world.app(begin, "subject")
    world.leaks("subject", begin + 0.02, 31.0)
    first = clear_request(world.lines("subject.app", "request.begin")[0]["token"])
    world.witnessed(6.0, 9000, first)
    return world


def kept(pattern: str = "native") -> Race:
    """A fresh world in which something keeps the app of a pod that nothing redirects."""
    world = _without_the_app(pattern)
    created = next(one for one in world.steps if one["step"] == "subject.create")
    created["ns"] -= 15 * 10**9
    world.index["pods"]["subject"]["containers"]["app"]["ids"] = []
    return world


def _without_the_app(pattern: str) -> Race:
    """Everything but what becomes of the subject's app."""
    world = Race(pattern, lifecycle.index(pattern, "cni-race"))
    world.index["pods"] = {}
    world.make(0.0, "subject", BEFORE, guard=False)
    world.beacons(0.2, END)
    world.stamp(4.9, "subject.envoy", "sidecar.ready")
    for role, begin, end in ((GUARDED, 0.3, 21.4), (LATE, 11.3, END), (HEALED, 21.8, END)):
        world.others[role] = World(pattern, lifecycle.index(pattern, "cni-race", role))
        world.others[role].beacons(begin, end)
    world.make(0.1, GUARDED, BEFORE, guard=True, runs=len(REFUSED))
    world.index["pods"][GUARDED]["containers"]["app"]["ids"] = []
    for run, at in enumerate(REFUSED):
        world.validated(at, GUARDED, run, passes=False)
    shown(world, 8.0, "get pods", {"subject": "Running", GUARDED: "Init:CrashLoopBackOff"})
    world.step(ASKED, "plugin.asked")
    world.step(THERE, "plugin.arrived")

    world.make(11.2, LATE, BEHIND, guard=False)
    _at_work(world, LATE, 16.5, ready=17.0, seen=20.0)
    world.step(21.0, "delete.asked", pod=GUARDED, grace=30)
    world.step(21.5, "guarded.gone")
    world.make(21.6, HEALED, BEHIND, guard=True)
    world.validated(22.3, HEALED, 0, passes=True)
    _at_work(world, HEALED, 27.5, ready=28.0, seen=31.0)
    world.step(31.5, "subject.seen")
    world.control(31.6)
    world.step(END, "end")
    return world


def _at_work(world: Race, role: str, begin: float, **steps: Any) -> None:
    world.app(begin, role)
    world.works(role, begin + 0.02, steps["seen"])
    for name, at in steps.items():
        world.step(at, f"{role}.{name}")
    world.others[role].control(steps["seen"] + 0.2)


WORLDS = {"cni-race": race}

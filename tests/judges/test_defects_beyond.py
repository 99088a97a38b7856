"""Worlds with one defect each, of what is not a plain lifecycle: log shippers, Jobs, moves,
outages, a plugin that comes late, certificates, hooks. Beside each that must not pass stands one
that must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.forge.bundle import ENVOY, POD, World, clear_request, ns, token
from tests.forge.defects import (
    BROKEN,
    HOLDS,
    NOT,
    OPEN,
    PEER_APP,
    Break,
    Case,
    arrive_later,
    both,
    each,
    heard,
    holds_more,
    judged_rightly,
    nothing,
    of_kind,
    received_from,
    refused_of,
    stamped,
    without,
)
from tests.worlds import cni, jobs, lifecycle, logs, mesh, move, skew

ELSEWHERE = "10.244.7.77"


def third_life(at: float) -> Break:
    """The shipper ends once more, and is made anew."""

    def change(world: World) -> None:
        world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append("8" * 64)
        world.exited(at - 0.1, logs.SECOND_LIFE, 1)
        world.created(at, "8" * 64)

    return change


def grace(seconds: int, role: str = "subject") -> Break:
    """The grace period in the pod's spec."""

    def change(world: World) -> None:
        for line in of_kind(world, "Pod"):
            if line["object"]["metadata"]["uid"] == f"uid-{role}":
                line["object"]["spec"] = {
                    **line["object"]["spec"], "terminationGracePeriodSeconds": seconds,
                }  # fmt: skip

    return change


def of_job(name: str, **changes: Any) -> Break:
    """Every version of a Job says something else; of its template: policy."""

    def change(world: World) -> None:
        for line in of_kind(world, "Job", name):
            spec = json.loads(json.dumps(line["object"]["spec"]))
            if "policy" in changes:
                spec["template"]["spec"]["restartPolicy"] = changes["policy"]
            line["object"]["spec"] = spec

    return change


def ends_at(name: str, at: float) -> Break:
    """A Job's condition was received at another time."""

    def change(world: World) -> None:
        for line in of_kind(world, "Job", name):
            if line["object"]["status"].get("conditions"):
                line["ns"] = ns(at)
                for one in line["object"]["status"]["conditions"]:
                    one["lastTransitionTime"] = jobs.whole_second(at)
        world.watch.sort(key=lambda one: int(one["ns"]))

    return change


def main_ends(pod: str, code: int) -> Break:
    """By the runtime a main ended with another code."""

    def change(world: World) -> None:
        ids = world.index["pods"][pod]["containers"]["app"]["ids"]
        for _, topic, body in world.runtime:
            if topic == "/tasks/exit" and body["container_id"] == ids[-1]:
                body["exit_status"] = code

    return change


def does(pod: str, how: str) -> Break:
    def change(world: World) -> None:
        world.lines(f"{pod}.app", "workaround.begin")[0]["how"] = how

    return change


def stepped(at: float, name: str, **fields: Any) -> Break:
    return lambda world: world.step(at, name, **fields)


def resaid(name: str, at: float) -> Break:
    """A step was at another time."""

    def change(world: World) -> None:
        for line in world.steps:
            if line["step"] == name:
                line["ns"] = ns(at)

    return change


def pod_seen(at: float, name: str, spec: dict[str, Any]) -> Break:
    return lambda world: world.seen(at, "Pod", name, f"uid-{name}", spec, {})


def dry_later(when: str, at: float) -> Break:
    def change(world: mesh.Flip) -> None:
        for one in world.admissions:
            if one["when"] == when and one["dry"]:
                one["ns"] = ns(at)

    return change


def only(*workloads: str) -> Break:
    def change(world: mesh.Flip) -> None:
        world.admissions = [one for one in world.admissions if one["workload"] in workloads]

    return change


def admitted_otherwise(pattern: str) -> Break:
    """The watch shows the pod of a real admission as another one than the answer said."""

    def change(world: mesh.Flip) -> None:
        for one in world.admissions:
            if not one["dry"]:
                name = f"{one['workload']}-{one['when']}"
                one["pod"]["metadata"] = {"name": name, "uid": f"uid-{name}"}
        world.seen(2.2, "Pod", "plain-after", "uid-plain-after", mesh.shape(pattern), {})

    return change


def kubelet(version: str) -> Break:
    """cell.json has another version of the old node's kubelet."""

    def change(world: World) -> None:
        nodes = {skew.OLD: {"kubelet": version}, skew.NEW: {"kubelet": "v1.29.14"}}
        world.index["versions"]["nodes"] = nodes

    return change


def shown(*serials: str) -> Break:
    """The certificates that the proxies were shown, in turn."""

    def change(world: World) -> None:
        for who in ("peer.envoy", "subject.envoy"):
            world.logs[who] = [one for one in world.logs[who] if "peer_serial" not in one]
        for place, serial in enumerate(serials):
            mesh.show(world, mesh.IN_USE + 0.4 * place, serial, 50100 + place)

    return change


def sidecar_anew(at: float, role: str = "subject") -> Break:
    def change(world: World) -> None:
        world.index["pods"][role]["containers"]["envoy"]["ids"].append("9" * 64)
        world.unexited(ENVOY)
        world.exited(at - 0.2, ENVOY, 1)
        world.created(at, "9" * 64)
        world.exited(16.75, "9" * 64)

    return change


def unanswered(who: str, *kinds: str, since: float = 0) -> Break:
    """What a side sent was never answered rightly, from a time on."""

    def change(world: World) -> None:
        for one in world.stamps[who]:
            if one["event"] == "request.end" and one["kind"] in kinds and one["ns"] >= ns(since):
                one["outcome"] = "reset"

    return change


def hook(world: World) -> World:
    """The lifecycle's own hook is what is judged."""
    world.index["cell"]["scenario"] = "drain"
    for seq in range(40):
        world.attempt(6.6 + seq * 0.2, "peer.app", "quick", seq, "ok", target="10.96.0.60:80")
    return world


def drained(pattern: str = "native") -> World:
    return hook(lifecycle.lifecycle(pattern))


def late_heard(role: str) -> Break:
    its = token("steady", 5, role)
    return lambda world: world.witnessed(18.0 if role == "late" else 29.0, 9000,
                                         clear_request(its), remote="10.244.9.9")  # fmt: skip


def chained(role: str, plugins: list[str]) -> Break:
    return lambda world: world.step(9.0, "chain", pod=role, plugins=plugins)


LAST, FIRST, CRASH, STARVED = "logs.last", "logs.first", "logs.crash", "logs.starved"
FAILURE, RESTARTS, POLICIES = "job.failure", "job.sidecar-restarts", "job.policies"
WORK, FLIP, SKEW = "job.workarounds", "move.pattern-flip", "move.kubelet-skew"
ROLLOUT, UPGRADE, PLANE, INJECT = "move.rollout", "move.upgrade", "plane.outage", "inject.outage"
ROTATION, STALE, RACE = "plane.rotation", "stop.stale-prestop", "start.cni-race"
GUARD = "start.cni-validation"
APP = "subject.app"

CASES: list[Case] = [
    # --- log shippers
    ("lines from the pod itself", LAST, logs.logs, "native", received_from(POD), HOLDS),
    ("lines through the node", LAST, logs.logs, "native", received_from("10.244.0.1"), HOLDS),
    ("lines from an address that nobody has", LAST, logs.logs, "native",
     received_from(ELSEWHERE), OPEN),
    ("first lines from an address that nobody has", FIRST, logs.logs, "native",
     received_from(ELSEWHERE, 0), OPEN),
    ("the last lines come as the shipper ends", LAST, logs.logs, "native",
     arrive_later(1.5), HOLDS),
    ("the last lines come three seconds after the shipper's end", LAST, logs.logs, "native",
     arrive_later(5.0), OPEN),
    ("the sink counts as many as it received", LAST, logs.logs, "native", holds_more(0), HOLDS),
    ("the sink counts fewer than it received", LAST, logs.logs, "native", holds_more(-5), OPEN),
    ("the sink counts more than it received", LAST, logs.logs, "native", holds_more(5), OPEN),
    ("a shipper that goes on", CRASH, logs.crash, "native", nothing, HOLDS),
    ("a shipper that crashes once more, unasked", CRASH, logs.crash, "native",
     third_life(9.2), OPEN),
    ("nothing of the pod's was refused before the crash", CRASH, logs.crash, "native",
     refused_of("other"), OPEN),
    ("the app used up its grace period", STARVED, logs.starved, "native", grace(5), HOLDS),
    ("the app was killed long before its grace period was over", STARVED, logs.starved, "native",
     both(grace(30), lambda w: logs.forget(w, "subject", 90, 200)), OPEN),
    # --- Jobs
    ("Jobs under Never that fail", FAILURE, jobs.jobs, "native", nothing, HOLDS),
    ("a Job that should be under Never is not", FAILURE, jobs.jobs, "native",
     of_job("fails", policy="OnFailure"), OPEN),
    ("a Job failed before its mains had", FAILURE, jobs.jobs, "native", ends_at("fails", 3.0),
     OPEN),
    ("a Job failed a moment after its last main", FAILURE, jobs.jobs, "native",
     ends_at("fails", 19.5), HOLDS),
    ("a sidecar's restart is not held against its Job", RESTARTS, jobs.jobs, "native", nothing,
     HOLDS),
    ("the Job with the crash is not under OnFailure", RESTARTS, jobs.jobs, "native",
     of_job("crashed-on-failure", policy="Never"), OPEN),
    ("the control is not under Never", RESTARTS, jobs.jobs, "native",
     of_job("crashed-never", policy="OnFailure"), OPEN),
    ("complete, though its main failed", RESTARTS, jobs.jobs, "native",
     main_ends("crashed-on-failure-1", 7), OPEN),
    ("complete, though its last try failed", POLICIES, jobs.jobs, "native",
     main_ends("restarts-and-completes-1", 7), OPEN),
    ("each workaround completes its Job", WORK, jobs.workarounds, "classic", nothing, HOLDS),
    ("a main took another way than its Job's", WORK, jobs.workarounds, "classic",
     does("quitpod", "kill"), OPEN),
    ("complete before its main's exit", WORK, jobs.workarounds, "classic", ends_at("quit", 6.0),
     OPEN),
    ("complete as its main exits", WORK, jobs.workarounds, "classic", ends_at("quit", 8.2), HOLDS),
    ("its main is still at its work when its sidecar has gone", WORK, jobs.workarounds, "classic",
     main_ends("quitpod", 0), HOLDS),
    # --- moves
    ("a move under load", ROLLOUT, move.rollout, "native", nothing, HOLDS),
    ("the new pod sent nothing for three seconds", ROLLOUT, move.rollout, "native",
     both(without(APP, "steady", 6.0, 9.4), without(APP, "mesh-witness", 6.0, 9.4)), OPEN),
    ("the new pod sent nothing for a second", ROLLOUT, move.rollout, "native",
     both(without(APP, "steady", 6.5, 7.5), without(APP, "mesh-witness", 6.5, 7.5)), HOLDS),
    ("the peer's app was asked past both proxies", ROLLOUT, move.rollout, "native",
     stamped(7.3, token("steady", 4), f"{POD}:41000", PEER_APP), NOT),
    ("the peer's app was asked by its own proxy", ROLLOUT, move.rollout, "native",
     stamped(7.3, token("steady", 4), "127.0.0.1:41000", PEER_APP), HOLDS),
    ("another control plane", UPGRADE, move.upgrade, "native", nothing, HOLDS),
    ("the witness alone heard the pod that comes", UPGRADE, move.upgrade, "native",
     heard(7.2, token("mesh-witness", 99)), BROKEN),
    ("the new pod sent nothing for three seconds of an upgrade", UPGRADE, move.upgrade, "native",
     both(without(APP, "steady", 6.0, 9.4), without(APP, "mesh-witness", 6.0, 9.4)), OPEN),
    ("dry runs say what comes", FLIP, mesh.flip, "native", nothing, HOLDS),
    ("what should say before says it after", FLIP, mesh.flip, "native", dry_later("before", 2.5),
     OPEN),
    ("what is told of after was asked for before, too", FLIP, mesh.flip, "native",
     dry_later("after", 0.9), HOLDS),
    ("nobody who left it to the mesh and said so was asked", FLIP, mesh.flip, "native",
     only("plain", "init"), OPEN),
    ("one of each sort was asked", FLIP, mesh.flip, "native", only("plain", "says-native"), HOLDS),
    ("the watch shows another pod than was answered", FLIP, mesh.flip, "native",
     admitted_otherwise("native"), OPEN),
    ("the watch shows the pod that was answered", FLIP, mesh.flip, "native",
     admitted_otherwise("classic"), HOLDS),
    ("an old kubelet", SKEW, skew.skew, "native", kubelet("v1.28.15"), HOLDS),
    ("the index knows of no old kubelet", SKEW, skew.skew, "native", kubelet("v1.29.14"), OPEN),
    # --- outages
    ("no pod was made", INJECT, mesh.outage, "native", nothing, HOLDS),
    ("the pod that was refused was made", INJECT, mesh.outage, "native",
     pod_seen(1.4, "refused", {"containers": [{"name": "app"}]}), NOT),
    ("the naked pod had a sidecar later", INJECT, mesh.outage, "native",
     pod_seen(3.0, "naked", lifecycle.spec("native")), OPEN),
    ("the naked pod is seen again", INJECT, mesh.outage, "native",
     pod_seen(3.0, "naked", {"containers": [{"name": "app"}]}), HOLDS),
    ("the running lose nothing", PLANE, mesh.outage, "native", nothing, HOLDS),
    ("the plane was down after it was asked back", PLANE, mesh.outage, "native",
     resaid("plane.down", 9.0), OPEN),
    ("the new pod was made before the outage", PLANE, mesh.outage, "native",
     resaid("subject.create", 0.6), OPEN),
    ("its sidecar had been ready before it missed its plane", PLANE, mesh.outage, "native",
     lambda world: world.stamp(3.0, "subject.envoy", "sidecar.ready"), OPEN),
    # --- a mesh's own
    ("certificates are replaced", ROTATION, mesh.keepalive, "native", nothing, HOLDS),
    ("two certificates, shown in turn again and again", ROTATION, mesh.keepalive, "native",
     shown("a0", "b1", "a0", "b1", "a0", "b1"), OPEN),
    ("three certificates, one after the other", ROTATION, mesh.keepalive, "native",
     shown("a0", "a0", "b1", "b1", "c2", "c2"), HOLDS),
    ("the proxy was made anew, with a new certificate", ROTATION, mesh.keepalive, "native",
     sidecar_anew(8.4), OPEN),
    ("a hook that costs nothing", STALE, drained, "native", nothing, HOLDS),
    ("what the pod sent was never answered, which tells nothing of the hook", STALE, drained,
     "native", unanswered(APP, "first", "steady", "drain"), HOLDS),
    ("what the pod sent was not answered after the hook", STALE, drained, "native",
     unanswered(APP, "drain"), BROKEN),
    # --- a plugin that comes late
    ("it leaks without the plugin", RACE, cni.race, "native", nothing, BROKEN),
    ("the witness heard the pod that was made with it", RACE, cni.race, "native",
     late_heard("late"), OPEN),
    ("the guard keeps them, and the healed one works", GUARD, cni.race, "native", nothing, HOLDS),
    ("the witness heard the healed one", GUARD, cni.race, "native", late_heard("healed"), NOT),
    ("a second chain of the pod's has the plugin", RACE, cni.race, "native",
     chained("subject", cni.BEHIND), OPEN),
    ("the same chain is told twice", RACE, cni.race, "native", chained("subject", cni.BEFORE),
     BROKEN),
]  # fmt: skip


@each(CASES)
def test_one_defect(tmp_path: Path, case: Case) -> None:
    judged_rightly(case, tmp_path)

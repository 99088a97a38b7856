"""Worlds with one defect each: the right verdict, and beside each that must not pass one that must.

A case is (behaviour, world, what is changed, the verdicts that are right).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forge.bundle import (
    DIALER,
    ENVOY,
    PEER,
    POD,
    World,
    clear_request,
    ns,
    token,
)
from tests.worlds import cni, crash, jobs, leaks, lifecycle, logs, mesh, move, skew

Break = Callable[[Any], object]
HOLDS, BROKEN, OPEN = ("holds",), ("broken",), ("inconclusive",)
NOT = ("broken", "inconclusive")
APP, PEER_APP, DIALS = "subject.app", "peer.app", "dialer.dialer"


def nothing(_: World) -> None:
    """The world as it is."""


def answered(at: float, body: bytes, *, kind: str = "dial", seq: int = 888_888) -> Break:
    """An answer of the app's port to the dialer, on the wire alone."""
    its = token(kind, seq, "dialer")

    def change(world: World) -> None:
        ends = (DIALER, world.next_port()), (POD, 8080)
        world.talk(at, *ends, (0, clear_request(its)), (1, body.replace(b"TOKEN", its.encode())))

    return change


def stamped(at: float, its: str, remote: str, who: str = APP) -> Break:
    """A request that a server says it served, and nobody says he sent."""
    return lambda world: world.served(at, at + 0.01, who, its, remote)


def recorded(**fields: Any) -> Break:
    """A further record of the sidecar's own."""

    def change(world: World) -> None:
        lines = world.logs["subject.envoy"]
        inbound = next(one for one in lines if one["direction"] == "inbound")
        lines.append({**inbound, **fields})

    return change


def without(who: str, kind: str, begin: float, end: float) -> Break:
    """Nothing of a kind was tried in a time, and what was is numbered without a gap."""

    def change(world: World) -> None:
        lines = world.stamps[who]
        begun = [one for one in lines if one["event"] == "request.begin" and one["kind"] == kind]
        gone = {one["token"] for one in begun if ns(begin) <= one["ns"] < ns(end)}
        for name in world.stamps:
            world.stamps[name] = [one for one in world.stamps[name] if one.get("token") not in gone]

    return change


def peer(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Break:
    """The peer's app wrote something else."""

    def forge(world: World) -> None:
        world.stamps[PEER_APP] = change(world.stamps[PEER_APP])

    return forge


def of_kind(world: World, kind: str, name: str = "") -> list[dict[str, Any]]:
    return [
        one
        for one in world.watch
        if one["kind"] == kind and name in ("", one["object"]["metadata"]["name"])
    ]


def again(world: World, kind: str, **changes: Any) -> dict[str, Any]:
    """A further version of the last object of a kind, received right after it."""
    last = json.loads(json.dumps(of_kind(world, kind)[-1]))
    last["ns"] += 1_000_000
    for path, value in changes.items():
        at = last["object"]
        *way, end = path.split("__")
        for step in way:
            at = at.setdefault(step, {})
        at[end] = value
    world.watch.append(last)
    return dict(last)


def job_condition(**fields: Any) -> Break:
    """The condition that ends the Job says more."""

    def change(world: World) -> None:
        for one in of_kind(world, "Job"):
            for condition in one["object"]["status"].get("conditions") or ():
                condition.update(fields)

    return change


def job_seen(at: float) -> Break:
    """The Job's end was received at another time."""

    def change(world: World) -> None:
        for one in of_kind(world, "Job"):
            if one["object"]["status"].get("conditions"):
                one["ns"] = ns(at)
        world.watch.sort(key=lambda one: int(one["ns"]))

    return change


def both(*changes: Break) -> Break:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


def late_by_receipt(transition: str) -> Break:
    return both(job_condition(lastTransitionTime=transition), job_seen(24.0))


def other_job(name: str, uid: str, at: float) -> Break:
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}

    def change(world: World) -> None:
        world.seen(at, "Job", name, uid, {}, complete)
        world.watch.sort(key=lambda one: int(one["ns"]))

    return change


def visits_in_clear(at: float) -> Break:
    return lambda world: world.leak(at, token("visit", 999, "visitor"))


def sooner(who: str, event: str, seconds: float) -> Break:
    """Stamps of a sort are earlier than they were."""

    def change(world: World) -> None:
        for one in world.stamps[who]:
            if one["event"] == event:
                one["ns"] -= int(seconds * 1e9)
                one["mono_ns"] -= int(seconds * 1e9)

    return change


def later(who: str, event: str, seconds: float) -> Break:
    return sooner(who, event, -seconds)


def second_life(at: float) -> Break:
    """The sidecar's container ended, and another was created."""

    def change(world: World) -> None:
        world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append("9" * 64)
        world.exited(at - 0.1, ENVOY, 1)
        world.created(at, "9" * 64)

    return change


def says(who: str, event: str, **fields: Any) -> Break:
    """A program says something else."""

    def change(world: World) -> None:
        for one in world.stamps[who]:
            if one["event"] == event:
                one.update(fields)

    return change


def heard(at: float, its: str) -> Break:
    """The listener outside the mesh got a request in clear, from no known address."""
    return lambda world: world.witnessed(at, 9000, clear_request(its), remote="10.244.9.9")


OK_TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\nTOKEN"
OK_GZIP = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08abc"
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
EVIL = "spiffe://elsewhere/x"
BYPASS, MUTUAL, STOP = "inbound.bypass", "mutual.identity", "stop.no-plaintext"
EGRESS, FIRST, COMPLETES = "stop.app-egress", "start.first-request", "job.completes"
EPHEMERAL = "leak.ephemeral"

Case = tuple[str, str, Callable[..., Any], str, Break, tuple[str, ...]]
CASES: list[Case] = [
    # --- proof of a breach stands alone
    ("no dial is answered", BYPASS, lifecycle.lifecycle, "native", nothing, HOLDS),
    ("an answer on the wire to no dial on record", BYPASS, lifecycle.lifecycle, "native",
     answered(12.0, OK_TOKEN), BROKEN),
    ("an answer without a token", BYPASS, lifecycle.lifecycle, "native",
     answered(12.0, OK_GZIP), BROKEN),
    ("a refusal in HTTP is no answer of the app's", BYPASS, lifecycle.lifecycle, "native",
     answered(12.0, DENIED), HOLDS),
    ("the app served a dial that nobody recorded", BYPASS, lifecycle.lifecycle, "native",
     stamped(12.0, token("dial", 888_888, "dialer"), f"{DIALER}:6"), BROKEN),
    ("the app served its peer", BYPASS, lifecycle.lifecycle, "native",
     stamped(12.0, token("quick", 888_888, "peer"), f"{PEER}:6"), HOLDS),
    ("a crash's dial answered on the wire alone", "crash.bypass", crash.crash, "native",
     answered(11.0, OK_TOKEN), BROKEN),
    ("an answer long before the crash", "crash.bypass", crash.crash, "native",
     answered(7.5, OK_TOKEN), HOLDS),
    ("served to an unknown identity, from elsewhere", MUTUAL, lifecycle.lifecycle, "native",
     recorded(peer_uri=EVIL, downstream_remote="10.244.0.77:5555"), BROKEN),
    ("an unknown identity was turned away", MUTUAL, lifecycle.lifecycle, "native",
     recorded(peer_uri=EVIL, downstream_remote="10.244.0.77:5555", response_code=403), HOLDS),
    ("served to the peer, from elsewhere", MUTUAL, lifecycle.lifecycle, "native",
     recorded(downstream_remote="10.244.0.77:5555"), HOLDS),
    # --- witnesses
    ("the peer's app was asked past both proxies", STOP, lifecycle.lifecycle, "native",
     stamped(12.0, token("drain", 31), f"{POD}:41000", PEER_APP), OPEN),
    ("the peer's app was asked by its own proxy", STOP, lifecycle.lifecycle, "native",
     stamped(12.0, token("drain", 31), "127.0.0.1:41000", PEER_APP), HOLDS),
    # --- gaps between windows
    ("nothing of the visitor's is in clear", EPHEMERAL, leaks.ephemeral, "native", nothing, HOLDS),
    ("in clear before the proxy's end", EPHEMERAL, leaks.ephemeral, "native",
     visits_in_clear(12.0), BROKEN),
    ("classic: in clear after the proxy's end, beside the app", EPHEMERAL, leaks.ephemeral,
     "classic", visits_in_clear(13.5), BROKEN),
    ("classic: nothing is in clear", EPHEMERAL, leaks.ephemeral, "classic", nothing, HOLDS),
    # --- density
    ("the drain without a pause", EGRESS, lifecycle.lifecycle, "native", nothing, HOLDS),
    ("the drain with a pause of a second", EGRESS, lifecycle.lifecycle, "native",
     without(APP, "drain", 12.0, 13.0), HOLDS),
    ("the drain with a pause of three seconds", EGRESS, lifecycle.lifecycle, "native",
     without(APP, "drain", 11.0, 14.0), OPEN),
    ("nothing was tried for most of the drain", STOP, lifecycle.lifecycle, "native",
     both(without(APP, "drain", 10.5, 14.6), without(APP, "mesh-witness", 10.5, 14.6)), OPEN),
    ("little was tried for a second", STOP, lifecycle.lifecycle, "native",
     without(APP, "drain", 12.0, 13.0), HOLDS),
    # --- somebody else's fault
    ("classic: the first request is refused, and the peer lives", FIRST, lifecycle.lifecycle,
     "classic", nothing, BROKEN),
    ("classic: the peer had ended before", FIRST, lifecycle.lifecycle, "classic",
     peer(lambda lines: [{**lines[0], "ns": ns(0.5), "event": "app.last"}, *lines]), OPEN),
    ("classic: the drain is refused, and the peer lives", EGRESS, lifecycle.lifecycle, "classic",
     nothing, BROKEN),
    ("classic: the peer was told to end before", EGRESS, lifecycle.lifecycle, "classic",
     peer(lambda lines: [*lines, {**lines[-1], "ns": ns(12.0), "event": "app.sigterm"}]), OPEN),
    ("the first request is number 0", FIRST, lifecycle.lifecycle, "native", nothing, HOLDS),
    # --- the gate
    ("the sidecar itself answers the probe", "start.order", lifecycle.lifecycle, "native",
     nothing, HOLDS),
    ("another server answers before the proxy was started", "start.order", lifecycle.lifecycle,
     "native", both(later("subject.envoy", "sidecar.exec", 2.0),
                    later("subject.envoy", "sidecar.ready", 2.0)), NOT),
    ("the sidecar had a second life, which answered nothing before the app", "start.order",
     lifecycle.lifecycle, "native", second_life(5.28), NOT),
    ("the sidecar has a second life after the app's begin", "start.order", lifecycle.lifecycle,
     "native", second_life(8.0), HOLDS),
    # --- Jobs
    ("a Job that completes", COMPLETES, lifecycle.job, "native", nothing, HOLDS),
    ("complete and failed", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job", status__conditions=[
         {"type": "Failed", "status": "True"}, {"type": "Complete", "status": "True"}]), OPEN),
    ("complete, and then not", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job", status={"active": 1}), OPEN),
    ("complete twice over", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job"), HOLDS),
    ("another Job of the name", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job", metadata__uid="uid-other"), OPEN),
    ("a Job of another name", COMPLETES, lifecycle.job, "native",
     other_job("backup", "uid-backup", 7.55), HOLDS),
    ("classic: a Job of another name completes", COMPLETES, lifecycle.job, "classic",
     other_job("backup", "uid-backup", 8.5), BROKEN),
    ("complete before the main's exit", COMPLETES, lifecycle.job, "native", job_seen(7.0), OPEN),
    ("complete in time, and told late", COMPLETES, lifecycle.job, "native",
     late_by_receipt("2026-11-18T11:06:51Z"), HOLDS),
    ("complete late", COMPLETES, lifecycle.job, "native", job_seen(24.0), BROKEN),
    ("the limits of a Job were changed", "job.failure", jobs.jobs, "native",
     lambda world: again(world, "Job", spec__backoffLimit=77), OPEN),
    ("Jobs that fail", "job.failure", jobs.jobs, "native", nothing, HOLDS),
    ("one quota", "job.spillover", jobs.quota, "native", nothing, HOLDS),
    ("the quota was changed", "job.spillover", jobs.quota, "native",
     lambda world: again(world, "ResourceQuota", status__hard={"pods": "9"}), OPEN),
    ("another quota", "job.spillover", jobs.quota, "native",
     lambda world: again(world, "ResourceQuota", metadata__name="other"), OPEN),
    ("the CronJob's policy was changed", "job.cronjob", jobs.cronjob, "native",
     lambda world: again(world, "CronJob", spec__concurrencyPolicy="Allow"), OPEN),
    ("one policy", "job.cronjob", jobs.cronjob, "native", nothing, HOLDS),
    # --- logs
    ("every line arrives", "logs.last", logs.logs, "native", nothing, HOLDS),
    ("lines at the sink before they were written", "logs.last", logs.logs, "native",
     sooner("sink.sink", "sink.received", 3.0), OPEN),
    ("lines at the sink as they were written", "logs.last", logs.logs, "native",
     sooner("sink.sink", "sink.received", 0.05), HOLDS),
    ("the writer says that it wrote more", "logs.first", logs.logs, "native",
     says("subject.app", "app.last", lines=9999), OPEN),
    # --- moves
    ("a move without a loss", "move.rollout", move.rollout, "native", nothing, HOLDS),
    ("the witness alone heard the pod that goes", "move.rollout", move.rollout, "native",
     heard(7.2, token("mesh-witness", 99, "former")), BROKEN),
    ("the witness heard the control", "move.rollout", move.rollout, "native",
     heard(7.2, token("control", 99, "former")), HOLDS),
    ("each workload is admitted four times", "move.pattern-flip", mesh.flip, "native",
     nothing, HOLDS),
    ("the old node runs nothing", "move.kubelet-skew", skew.skew, "native", nothing, HOLDS),
    ("the old node runs something, by its own stamp", "move.kubelet-skew", skew.skew, "native",
     lambda world: world.stamp(8.2, "subject.envoy", "sidecar.started"), NOT),
    # --- a plugin that comes late
    ("the app never began", "start.cni-race", cni.kept, "native", nothing, HOLDS),
    ("the app never began, and the peer served it", "start.cni-race", cni.kept, "native",
     stamped(8.0, token("steady", 3, "subject"), "127.0.0.1:5", PEER_APP), NOT),
    # --- an outage
    ("the running lose nothing", "plane.outage", mesh.outage, "native", nothing, HOLDS),
    # --- specs
    ("a later version of the pod has another pattern", "stop.order", lifecycle.lifecycle, "native",
     lambda world: again(world, "Pod", spec=lifecycle.spec("classic")), OPEN),
]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "made", "pattern", "change", "right"),
    [case[1:] for case in CASES],
    ids=[f"{case[1]}: {case[0]}".replace(" ", "-") for case in CASES],
)
def test_one_defect(
    tmp_path: Path,
    behaviour: str,
    made: Callable[..., Any],
    pattern: str,
    change: Break,
    right: tuple[str, ...],
) -> None:
    world = made(pattern)
    change(world)
    found = world.judged(behaviour, tmp_path)
    assert found.observed in right, found.reason
    assert "The judge failed" not in found.reason

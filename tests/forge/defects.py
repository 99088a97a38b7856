"""Ways to break one thing in a good world, by name, and the verdicts that may follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.forge.bundle import DIALER, ENVOY, POD, World, clear_request, ns, token

Break = Callable[[Any], object]
HOLDS, BROKEN, OPEN = ("holds",), ("broken",), ("inconclusive",)
NOT = ("broken", "inconclusive")
Case = tuple[str, str, Callable[..., Any], str, Break, tuple[str, ...]]
"""What is broken, the behaviour, what makes the world, the pattern, how it is broken, and what may
be observed then."""
APP, PEER_APP, DIALS = "subject.app", "peer.app", "dialer.dialer"


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """A test for each case, named after behaviour and defect."""
    return pytest.mark.parametrize(
        "case", cases, ids=[f"{case[1]}: {case[0]}".replace(" ", "-") for case in cases]
    )


def judged_rightly(case: Case, folder: Path) -> None:
    """One defect in a good world, and one of the verdicts that may follow."""
    _, behaviour, made, pattern, change, right = case
    world = made(pattern)
    change(world)
    found = world.judged(behaviour, folder)
    assert found.observed in right, found.reason
    assert "The judge failed" not in found.reason


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


S = 1_000_000_000
SINK = "sink.sink"


def received_from(remote: str, first: int = 3) -> Break:
    """Some of the app's lines came to the sink from an address."""

    def change(world: World) -> None:
        for line in world.lines(SINK, "sink.received")[first : first + 3]:
            line["remote"] = f"{remote}:5000"

    return change


def arrive_later(by: float) -> Break:
    """The last lines came later."""

    def change(world: World) -> None:
        for line in world.lines(SINK, "sink.received")[-4:]:
            line["ns"] += int(by * S)
            line["mono_ns"] += int(by * S)

    return change


def holds_more(number: int) -> Break:
    """The sink says at the end how many lines of the app it holds."""

    def change(world: World) -> None:
        held = sum(
            high - low + 1
            for line in world.lines(SINK, "sink.received")
            for low, high in line["runs"].get("subject", ())
        )
        for line in world.lines(SINK, "sink.asked"):
            line["held"] = {"subject": held + number}

    return change


def refused_of(role: str) -> Break:
    """What the sink refused before the crash was another pod's."""

    def change(world: World) -> None:
        for line in world.lines(SINK, "sink.refused"):
            line["runs"] = {role: next(iter(line["runs"].values()))}

    return change

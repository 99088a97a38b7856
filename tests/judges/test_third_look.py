"""Judges looked at a third time: worlds that passed though something was broken or nothing
was tried, hazards that another cause had made, and beside each a world that is right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import ENVOY, World, ns
from tests.worlds import crash, jobs, leaks, lifecycle, logs, mesh

Break = Callable[[World], object]
RELEASED = 18.0  # the ephemeral container is alone, and has tried ten times


def as_it_is(_: World) -> None:
    """Nothing is changed."""


# --- inject.outage


def answered(how: Callable[[dict[str, Any]], object]) -> Break:
    """What the API server said to the pod that was refused."""

    def change(world: World) -> None:
        (line,) = (one for one in world.steps if one.get("pod") == "refused")
        how(line)

    return change


def moved(step: str, at: float, **which: str) -> Break:
    def change(world: World) -> None:
        for line in world.steps:
            if line["step"] == step and all(line.get(key) == its for key, its in which.items()):
                line["ns"] = ns(at)

    return change


def owners_blame(message: str = "", name: str = "") -> Break:
    def change(world: World) -> None:
        for line in world.watch:
            if line["object"].get("reason") == "FailedCreate":
                if message:
                    line["object"]["message"] = message
                if name:
                    line["object"]["involvedObject"]["name"] = name

    return change


DENIED = 'admission webhook "policy.example" denied the request: no such label'
ANOTHER = 'Error creating: failed calling webhook "policy.example": connection refused'

# --- logs.crash


def taken_before_the_crash(world: World) -> None:
    """The sink was asked again, and took what it had refused; then the shipper was killed."""
    (refused,) = world.lines("sink.sink", "sink.refused")
    ((first, last),) = refused["runs"]["subject"]
    logs.arrives(world, 7.3, "subject", first, last)


def half_of_it_taken(world: World) -> None:
    (refused,) = world.lines("sink.sink", "sink.refused")
    ((first, _),) = refused["runs"]["subject"]
    logs.arrives(world, 7.3, "subject", first, first + 1)


# --- job.completes


def complete_beside_its_sidecar(world: World) -> None:
    """The controller came late, and not because of the sidecar, which runs on."""
    world.unexited(ENVOY)
    world.exited(60.0, ENVOY)


# --- leak.ephemeral


def blind_beside_the_app(world: World) -> None:
    """After the proxy's end, while the app was still draining."""
    world.drop_beacon(130)


def silent(begin: float, end: float) -> Break:
    """The ephemeral container tries nothing for a while."""

    def change(world: World) -> None:
        for line in list(world.stamps["subject.visitor"]):
            if line["event"].startswith("request.") and ns(begin) < line["ns"] < ns(end):
                world.stamps["subject.visitor"].remove(line)

    return change


# --- job.sidecar-restarts


def counted(world: World) -> None:
    jobs.failed_by_its_sidecar(world)


def bears(limit: int) -> Break:
    def change(world: World) -> None:
        for line in world.watch:
            if line["kind"] == "Job" and line["object"]["metadata"]["name"].startswith("crashed"):
                line["object"]["spec"]["backoffLimit"] = limit

    return change


def failed_first(reason: str, *, deleted: bool) -> Break:
    """The pod had failed before its Job had; because somebody deleted it, or not."""

    def change(world: World) -> None:
        counted(world)
        pods = [
            one for one in world.watch if one["object"]["metadata"]["name"].endswith("failure-2")
        ]
        last: dict[str, Any] = copy.deepcopy(pods[-1])
        last["ns"] = ns(9.8)
        last["object"]["status"] |= {"phase": "Failed", "reason": reason}
        if deleted:
            last["object"]["metadata"]["deletionTimestamp"] = "2026-11-18T00:00:00Z"
        world.watch.append(last)

    return change


def main_was_not_well(world: World) -> None:
    ids = world.index["pods"]["crashed-on-failure-1"]["containers"]["app"]["ids"]
    world.unexited(ids[-1])
    world.exited(12.0, ids[-1], 1)
    ids.append("fe" * 32)
    world.created(12.5, ids[-1])
    world.exited(12.9, ids[-1])
    # The sidecar's life covers the second try, too.


# --- job.policies


def sidecar_restarted_too(owner: str) -> Break:
    """The sidecar of a Job's pod crashed once, beside the main that goes on failing."""

    def change(world: World) -> None:
        for line in world.watch:
            owners = line["object"]["metadata"].get("ownerReferences") or ({"name": ""},)
            if line["kind"] == "Pod" and owners[0]["name"] == owner:
                for status in line["object"]["status"].get("initContainerStatuses", ()):
                    status["restartCount"] = 1

    return change


# --- job.deadline


def removed_unseen(world: World) -> None:
    """The watch was away while the Job failed, and saw it go: who took it is not known."""
    world.watch = [
        one
        for one in world.watch
        if one["object"]["metadata"]["name"] != "bounded"
        or one["type"] == "DELETED"
        or "conditions" not in one["object"]["status"]
    ]
    world.step(90.0, "stuck", why="it was not seen to fail")


def second_pod_ran(world: World) -> None:
    """The first pod of the Job waited and was lost; the next one's app started at once."""
    jobs.pod(world, "bounded", "bounded-2", mains=[(6.0, 9.0, 143)], sidecars=[(5.0, 11.0, 0)])


# --- crash.bypass


def turned_away_on_the_way(world: World) -> None:
    """While the sidecar is away its pod is not ready, and a Service leads nowhere: all but a few
    dials are turned away before they come to the pod. Before and after that they come."""
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]

    def came(at: int) -> bool:
        away = ns(10.2) < at < ns(15.0)
        return not away or any(ns(few) < at < ns(few + 0.1) for few in (12.2, 14.0))

    world.frames = [one for one in world.frames if dialer not in one[1][26:34] or came(one[0])]
    for number in range(8):
        world.dial(15.05 + number * 0.03, "dial", 900 + number, "refused")


# --- crash.liveness


def failed_before(world: World) -> None:
    """Its probe failed once while it started, and not since; the kubelet had its own reason."""
    for one in world.watch:
        if one["object"].get("reason") == "Unhealthy":
            one["ns"] = ns(4.0)


def stopped_for(message: str) -> Break:
    def change(world: World) -> None:
        for one in world.watch:
            if one["object"].get("reason") == "Killing":
                one["object"]["message"] = message

    return change


def without(reason: str) -> Break:
    def change(world: World) -> None:
        world.watch = [one for one in world.watch if one["object"].get("reason") != reason]

    return change


CASES: list[tuple[str, Callable[[], World], Break, str, str]] = [
    ("inject.outage", mesh.outage, as_it_is, "holds", ""),
    (
        "inject.outage", mesh.outage,
        answered(lambda line: line.update(status=403, message=DENIED)),
        "inconclusive", "for another reason than its injector",
    ),
    ("inject.outage", mesh.outage, owners_blame(ANOTHER), "inconclusive", "made no pod"),
    ("inject.outage", mesh.outage, owners_blame(name="other"), "inconclusive", "made no pod"),
    (
        "inject.outage", mesh.outage, moved("pod.created", 13.0, pod="naked"),
        "inconclusive", "not known to be down when pods were asked for: naked",
    ),
    (
        "inject.outage", mesh.outage, moved("plane.down", 1.25),
        "inconclusive", "asked for: sheltered, refused",
    ),
    ("logs.crash", logs.crash, half_of_it_taken, "holds", ""),
    ("logs.crash", logs.crash, taken_before_the_crash, "inconclusive", "nothing was at stake"),
    ("job.completes", lambda: lifecycle.job("classic"), as_it_is, "broken", "never-completes"),
    (
        "job.completes", lambda: lifecycle.job("classic"), complete_beside_its_sidecar,
        "inconclusive", "before its sidecar had ended",
    ),
    ("leak.ephemeral", lambda: leaks.ephemeral("classic"), as_it_is, "holds", ""),
    (
        "leak.ephemeral", lambda: leaks.ephemeral("classic"), blind_beside_the_app,
        "inconclusive", "capture blind in the ending window",
    ),
    (
        "leak.ephemeral", lambda: leaks.ephemeral("classic"), silent(12.0, 14.5),
        "inconclusive", "tried nothing for 2.",
    ),
    ("leak.ephemeral", leaks.ephemeral, silent(12.0, 13.5), "holds", ""),
    ("leak.ephemeral", leaks.ephemeral, silent(RELEASED, 30), "inconclusive", "tried nothing"),
    ("leak.ephemeral", leaks.ephemeral, silent(19.7, 30), "holds", ""),
    ("job.sidecar-restarts", jobs.jobs, as_it_is, "holds", ""),
    ("job.sidecar-restarts", jobs.jobs, bears(6), "inconclusive", "it was not used up"),
    ("job.sidecar-restarts", jobs.jobs, main_was_not_well, "inconclusive", "was not well"),
    ("job.sidecar-restarts", jobs.jobs, counted, "broken", "failed-by-sidecar"),
    (
        "job.sidecar-restarts", jobs.jobs, failed_first("", deleted=True),
        "broken", "failed-by-sidecar",
    ),
    (
        "job.sidecar-restarts", jobs.jobs, failed_first("Evicted", deleted=False),
        "inconclusive", "had failed (Evicted) before anybody deleted it",
    ),
    ("job.policies", jobs.jobs, as_it_is, "holds", ""),
    (
        "job.policies", jobs.jobs, sidecar_restarted_too("restarts-and-fails"),
        "inconclusive", "whose failed it cannot be told",
    ),
    ("job.policies", jobs.jobs, sidecar_restarted_too("restarts-and-completes"), "holds", ""),
    ("job.deadline", jobs.deadline, as_it_is, "holds", ""),
    ("job.deadline", jobs.deadline, removed_unseen, "inconclusive", "who removed it?"),
    ("job.deadline", jobs.deadline, second_pod_ran, "inconclusive", "nothing was waiting"),
    ("crash.bypass", crash.crash, as_it_is, "holds", ""),
    (
        "crash.bypass", crash.crash, turned_away_on_the_way,
        "inconclusive", "while it had no sidecar (crash)",
    ),
    ("crash.liveness", crash.liveness, as_it_is, "holds", ""),
    ("crash.liveness", crash.liveness, without("Killing"), "holds", ""),
    ("crash.liveness", crash.liveness, failed_before, "inconclusive", "since it was made to"),
    (
        "crash.liveness", crash.liveness,
        stopped_for("Container envoy definition changed, will be restarted"),
        "inconclusive", "says of why: Container envoy definition changed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "made", "breaks", "observed", "said"),
    CASES,
    ids=[f"{one[0]}: {one[4] or one[3]}" for one in CASES],
)
def test_what_a_verdict_rests_on(
    behaviour: str,
    made: Callable[[], World],
    breaks: Break,
    observed: str,
    said: str,
    tmp_path: Path,
) -> None:
    world = made()
    breaks(world)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == observed, found.reason
    assert said in (found.hazard if observed == "broken" else found.reason)

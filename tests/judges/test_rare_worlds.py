"""Answers that need a world of their own: each is inconclusive, and says for what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, clear_request, ns, token
from tests.judges.test_judge import world_of
from tests.worlds import across, between, crash, jobs, leaks, lifecycle, logs, mesh, move, stop
from tests.worlds.doubts import inconclusive
from tests.worlds.mesh import Flip
from tests.worlds.move import Move

Break = Callable[[World], object]


def drop_versions(world: World, role: str, field: str) -> None:
    """The watch missed the versions of a pod whose metadata have this."""
    world.watch = [
        one for one in world.watch
        if one["object"]["metadata"]["uid"] != f"uid-{role}"
        or field not in one["object"]["metadata"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "made"), [("stop.eviction", stop.drain), ("move.drain", across.drain)]
)
def test_a_pod_that_was_never_told_to_go(
    tmp_path: Path, behaviour: str, made: Callable[[], World]
) -> None:
    world = made()
    drop_versions(world, "hurried", "deletionTimestamp")
    inconclusive(world, behaviour, tmp_path, "the watch never told that hurried was to go")


def test_pods_that_were_drained_from_two_nodes(tmp_path: Path) -> None:
    world = across.drain()
    for one in world.watch:
        if one["object"]["metadata"]["uid"] == "uid-hurried":
            one["object"]["spec"] = {**one["object"]["spec"], "nodeName": "third"}
    inconclusive(world, "move.drain", tmp_path, "were not on one node")


def without_tls(world: Move) -> None:
    """Of the former pod nothing is seen but the deliberate leak."""
    world.former.frames = [
        one
        for one in world.former.frames
        if one[1][12:14] == b"\x88\xb5" or ns(-4) <= one[0] < ns(-3.92)
    ]


def test_a_former_pod_without_tls(tmp_path: Path) -> None:
    world = move.rollout()
    without_tls(world)
    inconclusive(world, "move.rollout", tmp_path, "no TLS was seen on the former pod")


def test_an_ephemeral_container_that_came_with_the_deletion(tmp_path: Path) -> None:
    world = leaks.ephemeral()
    lines = world.stamps["subject.visitor"]
    early = {one.get("token") for one in lines if one["ns"] < ns(lifecycle.DELETED)} - {None}
    world.stamps["subject.visitor"] = [one for one in lines if one.get("token") not in early]
    inconclusive(world, "leak.ephemeral", tmp_path, "sent nothing before the deletion")


def one_native_sidecar(world: World) -> None:
    for line in world.watch:
        inits = line["object"]["spec"]["initContainers"]
        line["object"]["spec"]["initContainers"] = [
            {key: its for key, its in one.items() if one["name"] != "envoy" or key == "name"}
            for one in inits
        ]


def probe_never_answered(world: World) -> None:
    world.frames = [one for one in world.frames if b"200 OK" not in one[1]]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (one_native_sidecar, "the native sidecars are shipper"),
        (probe_never_answered, "the kubelet's probe is not in the capture"),
    ],
)
def test_a_shipper_without_its_proxy(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = logs.mesh()
    doubtful(world)
    inconclusive(world, "logs.behind-mesh", tmp_path, said)


def admitted_twice(world: Flip) -> None:
    world.admissions.append(world.admissions[-1])


def mixed_up(world: Flip) -> None:
    line = next(one for one in world.admissions if one["when"] == "before" and not one["dry"])
    line["ns"] = max(one["ns"] for one in world.admissions) + 1


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [(admitted_twice, "which counts?"), (mixed_up, "is mixed up in time")],
)
def test_admissions_that_cannot_be_told_apart(
    tmp_path: Path, doubtful: Callable[[Flip], None], said: str
) -> None:
    world = mesh.flip()
    doubtful(world)
    inconclusive(world, "move.pattern-flip", tmp_path, said)


def test_an_app_that_tried_no_longer_than_a_sidecar_drains(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.index["sidecar_drain_seconds"] = 8
    inconclusive(world, "stop.no-plaintext", tmp_path, "would have lived as long (it drains for 8.")


def test_an_index_without_sidecars(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.index["sidecars"] = []
    inconclusive(world, "stop.order", tmp_path, "cell.json names none")


@pytest.mark.parametrize("behaviour", ["stop.order", "see.sidecarless"])
def test_an_index_of_a_pod_that_nobody_saw(tmp_path: Path, behaviour: str) -> None:
    world = world_of(behaviour)
    world.index["subject"] = "nobody"
    inconclusive(world, behaviour, tmp_path, "the pod under test, nobody, was never seen")


def test_a_pod_that_no_node_had(tmp_path: Path) -> None:
    world = world_of("start.cost")
    for line in world.watch:
        spec = line["object"].get("spec") or {}
        line["object"]["spec"] = {key: its for key, its in spec.items() if key != "nodeName"}
    inconclusive(world, "start.cost", tmp_path, "the pod was never seen with a node")


def test_a_first_request_that_was_not_the_first(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    text = json.dumps(world.stamps).replace(token("first", 0), token("first", 3))
    world.stamps = json.loads(text)
    inconclusive(world, "start.first-request", tmp_path, "is not the app's first act")


def in_flight(world: World) -> list[str]:
    """The tokens of what the app was answering at the deletion, by its own record."""
    begun = {one["token"] for one in world.lines("subject.app", "served", phase="begin")
             if one["ns"] < ns(lifecycle.DELETED)}  # fmt: skip
    return [
        one["token"]
        for one in world.lines("subject.app", "served", phase="end")
        if one["ns"] > ns(lifecycle.DELETED) and one["token"] in begun
    ]


def one_never_arrived(world: World) -> None:
    its = in_flight(world)[0]
    world.drop(world.stamps["subject.app"], "served", token=its)
    (end,) = world.lines("peer.app", "request.end", token=its)
    end["outcome"] = "reset"


def ends_unrecorded(world: World) -> None:
    for its in in_flight(world)[:2]:
        world.drop(world.stamps["subject.app"], "served", token=its, phase="end")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (one_never_arrived, "1 requests failed that were under way when the pod was deleted"),
        (ends_unrecorded, "2 requests were answered, and the app's own record has no end of them"),
    ],
)
def test_requests_in_flight_of_which_only_one_side_tells(
    tmp_path: Path, doubtful: Break, said: str
) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    inconclusive(world, "stop.in-flight", tmp_path, said)


def of_peer(world: World) -> None:
    """The index knows the peer's containers, too."""
    containers = {one: {"ids": [letter * 64]} for one, letter in (("app", "6"), ("envoy", "7"))}
    world.index["pods"]["peer"] = {"uid": "uid-peer", "containers": containers}


def peer_fell_silent(world: World) -> None:
    of_peer(world)
    world.stamps["peer.app"] = []


def peers_proxy_ended(world: World) -> None:
    of_peer(world)
    world.exited(11.5, "7" * 64, 137)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (peer_fell_silent, "the peer gave no sign of life around the losses"),
        (peers_proxy_ended, "envoy of the peer had ended when requests were lost"),
    ],
)
def test_losses_that_may_be_the_peers(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle("classic")
    doubtful(world)
    inconclusive(world, "stop.app-egress", tmp_path, said)


def test_losses_beside_a_peer_that_lived(tmp_path: Path) -> None:
    world = lifecycle.lifecycle("classic")
    of_peer(world)
    world.exited(19.0, "7" * 64, 137)
    for at in range(6, 19):
        world.stamp(at, "peer.app", "kept.piece", connection="pool.peer.0", kind="pool", bytes=1)
    found = world.judged("stop.app-egress", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "refused"), found.reason


def test_a_pod_without_its_own_container(tmp_path: Path) -> None:
    world = between.between()
    for line in world.watch:
        if line["object"]["metadata"]["uid"] == "uid-near":
            line["object"]["spec"] = {**line["object"]["spec"], "containers": []}
    inconclusive(world, "see.sidecarless", tmp_path, "near was admitted without its own container")


def test_nobody_looked_for_failed_pods(tmp_path: Path) -> None:
    world = world_of("move.kubelet-skew")
    world.commands[0]["command"] = "kubectl get pods"
    inconclusive(world, "move.kubelet-skew", tmp_path, "nobody looked for failed pods")


def first_run_failed(world: World) -> None:
    for line in world.watch:
        for one in line["object"].get("status", {}).get("conditions", ()):
            one["type"] = "Failed"


def test_a_first_run_that_failed_says_nothing_of_the_next(tmp_path: Path) -> None:
    world = jobs.cronjob()
    first_run_failed(world)
    inconclusive(world, "job.cronjob", tmp_path, "the first run failed")


def test_a_job_that_failed_before_its_deadline(tmp_path: Path) -> None:
    world = jobs.deadline()
    for line in world.watch:
        for one in line["object"].get("status", {}).get("conditions", ()):
            if one["type"] == "Failed":
                one["lastTransitionTime"] = jobs.whole_second(5)
    inconclusive(world, "job.deadline", tmp_path, "the Job failed before its deadline")


def test_one_crash_says_nothing_of_those_that_are_repeated(tmp_path: Path) -> None:
    world = crash.backoff()
    world.steps = [one for one in world.steps if one.get("crash") in (None, "first crash")]
    for ident in crash.IDS[2:]:
        crash.without(world, ident)
    world.unexited(crash.SECOND)
    inconclusive(world, "crash.backoff", tmp_path, "one crash is none that is repeated")


def test_two_crashes_where_one_is_judged(tmp_path: Path) -> None:
    world = crash.crash()
    inconclusive(world, "crash.startup-gate", tmp_path, "2 crashes were made where one is judged")


def test_a_sidecar_that_never_came_back(tmp_path: Path) -> None:
    world = crash.liveness()
    crash.without(world, crash.SECOND)
    inconclusive(world, "crash.startup-gate", tmp_path, "no container of the sidecar was created")


def test_another_ones_token_that_the_witness_alone_had_from_the_pod(tmp_path: Path) -> None:
    """Not on the port of the mesh, and no token of its own: that it came from the pod is enough."""
    world = lifecycle.lifecycle()
    world.witnessed(12.0, 9001, clear_request(token("quick", 7, "peer")))
    found = world.judged("stop.no-plaintext", tmp_path)
    assert found.observed == "broken", found.reason
    assert found.measured["witness_only_leaks"] == 1


def test_a_job_whose_success_is_told_before_its_end(tmp_path: Path) -> None:
    """Kubernetes sets SuccessCriteriaMet first: it is no end."""
    world = stop.killed()
    ((*_, status),) = [[one["object"]["status"] for one in world.watch if one["kind"] == "Job"]]
    first = {"type": "SuccessCriteriaMet", "status": "True", "reason": "CompletionsReached"}
    status["conditions"] = [first, *status["conditions"]]
    found = world.judged("stop.exit-code", tmp_path)
    assert found.observed == "holds", found.reason
    assert any("Complete" in one.text for one in found.evidence)

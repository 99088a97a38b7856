"""plane.outage and inject.outage: what is made while the control plane is down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import APP, Json, World, ns
from tests.worlds import mesh

PLANE, INJECT = "plane.outage", "inject.outage"
Break = Callable[[World], object]


def step(world: World, name: str, **fields: object) -> Json:
    return next(
        one
        for one in world.steps
        if one["step"] == name and all(one.get(key) == value for key, value in fields.items())
    )


def moved(event: str, at: float) -> Break:
    """The app is created, or said to have begun, at another time."""

    def of(world: World) -> None:
        by = ns(at) - world.lines("subject.app", event)[0]["ns"]
        for one in world.stamps["subject.app"]:
            one["ns"] += by
            one["mono_ns"] += by
        world.runtime = [
            (when if body.get("container_id") != APP else ns(at), topic, body)
            for when, topic, body in world.runtime
        ]

    return of


class TestPlane:
    def test_the_new_pod_waits(self, tmp_path: Path) -> None:
        found = mesh.outage().judged(PLANE, tmp_path)
        assert found.observed == "holds", found.reason
        assert found.measured["failed_probes"] == 3
        assert found.measured["outage_seconds"] == 7
        assert found.measured["ready_after_the_plane_seconds"] == 3

    def test_a_classic_app_runs_and_is_refused(self, tmp_path: Path) -> None:
        found = mesh.outage("classic").judged(PLANE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "refused"), found.reason

    def test_a_hook_that_gives_up_tells_as_much_as_failed_probes(self, tmp_path: Path) -> None:
        world = mesh.outage("classic")
        for line in world.watch:
            if line["object"].get("reason") == "Unhealthy":
                line["object"] |= {"reason": "FailedPostStartHook", "message": "it failed"}
        found = world.judged(PLANE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "refused"), found.reason

    def test_other_losses_of_the_app_that_runs(self, tmp_path: Path) -> None:
        world = mesh.outage("classic")
        for one in world.lines("subject.app", "request.end")[:1]:
            one["outcome"] = "reset"
        assert world.judged(PLANE, tmp_path).hazard == "lost-request"

    def test_a_native_app_that_runs_all_the_same_is_broken(self, tmp_path: Path) -> None:
        world = mesh.outage()
        moved("app.started", 3.0)(world)
        for one in world.lines("subject.app", "request.end"):
            one["outcome"] = "refused"
        found = world.judged(PLANE, tmp_path)
        assert found.hazard == "refused", found.reason

    @pytest.mark.parametrize("who", ["running.app", "peer.app"])
    @pytest.mark.parametrize("at", [0.7, 5.0, 13.0])
    def test_a_running_pod_that_loses_a_request(self, tmp_path: Path, who: str, at: float) -> None:
        world = mesh.outage()
        world.attempt(at, who, "steady", 999, "closed")
        found = world.judged(PLANE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "lost-request")

    def test_a_request_that_hangs_is_lost(self, tmp_path: Path) -> None:
        world = mesh.outage()
        its = world.attempt(2.0, "running.app", "steady", 999, "ok")
        world.drop(world.stamps["running.app"], "request.end", token=its)
        assert world.judged(PLANE, tmp_path).hazard == "lost-request"

    def test_a_request_lost_before_the_outage_is_another_matter(self, tmp_path: Path) -> None:
        world = mesh.outage()
        world.attempt(0.3, "peer.app", "quick", 999, "closed")
        assert world.judged(PLANE, tmp_path).observed == "holds"

    def test_a_first_request_that_fails_after_the_wait(self, tmp_path: Path) -> None:
        world = mesh.outage()
        world.lines("subject.app", "request.end", kind="first")[0]["outcome"] = "refused"
        assert world.judged(PLANE, tmp_path).hazard == "lost-request"

    def test_a_pod_that_never_recovers(self, tmp_path: Path) -> None:
        world = mesh.outage()
        world.drop(world.steps, "subject.ready")
        world.step(17.0, "stuck", why="pod subject Ready did not come")
        assert world.judged(PLANE, tmp_path).hazard == "never-ready"

    @pytest.mark.parametrize(
        "doubtful",
        [
            moved("app.started", 8.0),  # just when the control plane was asked for
            lambda world: world.drop(world.steps, "plane.down"),
            lambda world: world.drop(world.steps, "plane.up-asked"),
            lambda world: world.drop(world.steps, "subject.ready"),
            lambda world: step(world, "control-planes").update(subject="default"),
            lambda world: step(world, "control-planes").update(peer="default"),
            # Nothing waited for anything: a slow start, and no more.
            lambda world: world.watch.__setitem__(
                slice(None), [one for one in world.watch if one["kind"] != "Event"]
            ),
            lambda world: world.drop(world.stamps["subject.envoy"], "sidecar.unserved"),
            lambda world: world.stamps.pop("running.app"),
            # It ran, and asked for nothing: who does not ask sees no error.
            lambda world: world.drop(world.stamps["running.app"], "request.begin"),
            lambda world: world.drop(world.stamps["peer.app"], "request.begin"),
        ],
    )
    def test_what_cannot_carry_a_verdict(self, tmp_path: Path, doubtful: Break) -> None:
        world = mesh.outage()
        doubtful(world)
        assert world.judged(PLANE, tmp_path).observed == "inconclusive"

    def test_a_sidecar_that_missed_its_control_plane_later_proves_nothing(
        self, tmp_path: Path
    ) -> None:
        world = mesh.outage()
        world.lines("subject.envoy", "sidecar.unserved")[0].update(
            ns=ns(9.0), mono_ns=world.lines("subject.envoy", "sidecar.ready")[0]["mono_ns"]
        )
        assert world.judged(PLANE, tmp_path).observed == "inconclusive"

    def test_another_pods_probes_prove_nothing(self, tmp_path: Path) -> None:
        world = mesh.outage()
        for one in world.watch:
            if one["kind"] == "Event":
                one["object"]["involvedObject"]["uid"] = "uid-other"
        assert world.judged(PLANE, tmp_path).observed == "inconclusive"

    def test_answers_during_the_outage_say_that_there_was_none(self, tmp_path: Path) -> None:
        world = mesh.outage("classic")
        world.lines("subject.app", "request.end")[3]["outcome"] = "ok"
        assert world.judged(PLANE, tmp_path).observed == "inconclusive"


def own(world: World, at: float, spec: Json) -> None:
    """A pod of one of the owners comes to be."""
    world.seen(at, "Pod", "sheltered-x", "uid-s", spec, {})
    owner = {"kind": "ReplicaSet", "name": "sheltered"}
    world.watch[-1]["object"]["metadata"]["ownerReferences"] = [owner]


NAKED = {"containers": [{"name": "app"}]}


class TestInject:
    @pytest.mark.parametrize("pattern", ["classic", "native"])
    def test_refused_and_named(self, tmp_path: Path, pattern: str) -> None:
        found = mesh.outage(pattern).judged(INJECT, tmp_path)
        assert found.observed == "holds", found.reason
        assert "ReplicaSet and Job say why" in found.reason

    def test_a_pod_made_without_a_sidecar_under_fail(self, tmp_path: Path) -> None:
        world = mesh.outage()
        own(world, 1.5, NAKED)
        found = world.judged(INJECT, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "naked")

    def test_a_naked_pod_taken_for_a_meshed_one(self, tmp_path: Path) -> None:
        world = mesh.outage()
        step(world, "naked.admitted").update(pattern="native", why="by mistake")
        assert world.judged(INJECT, tmp_path).hazard == "unnoticed"

    @pytest.mark.parametrize(
        "doubtful",
        [
            lambda world: own(world, 1.5, {"containers": [{"name": "app"}, {"name": "envoy"}]}),
            lambda world: step(world, "pod.created", pod="refused").update(status=201),
            lambda world: step(world, "pod.created", pod="refused").update(message="quota"),
            lambda world: world.watch.pop(0),  # the ReplicaSet's word
            lambda world: world.watch.pop(1),  # the Job's
            lambda world: world.watch[0]["object"].update(message="exceeded quota"),
            lambda world: world.watch[2]["object"]["spec"]["containers"].append({"name": "envoy"}),
            lambda world: world.watch.pop(2),  # the naked pod itself
            lambda world: world.drop(world.steps, "naked.admitted"),
            lambda world: world.drop(world.steps, "pod.created", pod="naked"),
            lambda world: step(world, "control-planes").update(subject="default"),
        ],
    )
    def test_what_cannot_carry_a_verdict(self, tmp_path: Path, doubtful: Break) -> None:
        world = mesh.outage()
        doubtful(world)
        assert world.judged(INJECT, tmp_path).observed == "inconclusive"

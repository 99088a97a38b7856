"""What the kubelet does for a sidecar as for the app: its score, its image, and its disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import Json, World, ns
from tests.worlds import alike
from tests.worlds.alike import AGAIN, IMAGE
from tests.worlds.start import SIDECAR

SCORE, IMAGES, DISK = "account.oom-score", "move.image", "account.ephemeral-storage"
PATTERNS = ("native", "classic")
Break = Callable[[World], object]


@pytest.mark.parametrize("behaviour", [SCORE, IMAGES, DISK])
def test_a_sidecar_that_is_treated_as_the_app_is(behaviour: str, tmp_path: Path) -> None:
    found = alike.alike().held(behaviour, tmp_path)
    assert found.observed == "holds", found.reason


@pytest.mark.parametrize("behaviour", [IMAGES, DISK])
def test_a_classic_sidecar_too(behaviour: str, tmp_path: Path) -> None:
    found = alike.alike("classic").held(behaviour, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_classic_sidecars_score_goes_by_its_own_request(tmp_path: Path) -> None:
    found = alike.alike("classic").held(SCORE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "killed-first"), found.reason


# --- the score


def scored(sidecar: int | str, app: int | str = 983) -> World:
    world = alike.alike()
    world.commands = [one for one in world.commands if "oom_score_adj" not in one["command"]]
    alike.scores(world, sidecar=sidecar, app=app)
    return world


@pytest.mark.parametrize("score", [998, 984])
def test_a_sidecar_that_is_taken_before_the_app(score: int, tmp_path: Path) -> None:
    found = scored(score).held(SCORE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "killed-first"), found.reason
    assert found.measured == {"sidecar": score, "app": 983, "by_the_sidecars_own_request": 999}


def test_a_sidecar_that_is_taken_later_than_the_app(tmp_path: Path) -> None:
    assert scored(900).judged(SCORE, tmp_path).observed == "holds"


def asks_for_as_much(world: World) -> None:
    asked(world, SIDECAR)["memory"] = "288Mi"


def asks_for_nothing(world: World) -> None:
    """The app: then its score is not what was read."""
    asked(world, "app").pop("memory")


def another_container_is_there(world: World) -> None:
    for spec in specs(world):
        spec["containers"].append({"name": "third"})


def score_was_not_read(world: World) -> None:
    world.commands = [one for one in world.commands if f"-c {SIDECAR} " not in one["command"]]


def reading_failed(world: World) -> None:
    next(one for one in world.commands if f"-c {SIDECAR} " in one["command"])["code"] = 1


def size_of_the_node_is_not_known(world: World) -> None:
    world.commands = [one for one in world.commands if "capacity" not in one["command"]]


def specs(world: World, pod: str = "subject") -> list[Json]:
    return [
        one["object"]["spec"] for one in world.watch if one["object"]["metadata"]["name"] == pod
    ]


def container(spec: Json, name: str) -> Json:
    found = (*spec.get("initContainers", ()), *spec["containers"])
    its: Json = next(one for one in found if one["name"] == name)
    return its


def asked(world: World, name: str) -> Json:
    its: Json = container(specs(world)[0], name)["resources"]["requests"]
    return its


@pytest.mark.parametrize(
    "doubtful",
    [
        asks_for_as_much, asks_for_nothing, another_container_is_there, score_was_not_read,
        reading_failed, size_of_the_node_is_not_known,
    ],
)  # fmt: skip
@pytest.mark.parametrize("score", [983, 998])
def test_a_score_without_proof_is_inconclusive(doubtful: Break, score: int, tmp_path: Path) -> None:
    world = scored(score)
    doubtful(world)
    assert world.judged(SCORE, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("score", ["", "none", "98 3"])
def test_a_score_that_is_no_number_is_inconclusive(score: str, tmp_path: Path) -> None:
    assert scored(score).judged(SCORE, tmp_path).observed == "inconclusive"


# --- the image


def old_image(waited: float = 20.0) -> World:
    """The sidecar runs on as it was, beside an app with the other image."""
    world = alike.alike()
    world.watch = [one for one in world.watch if not _of_new_sidecar(one)]
    its = world.index["pods"]["subject"]["containers"][SIDECAR]
    first, second = its["ids"]
    its["ids"] = [first]
    world.runtime = [one for one in world.runtime if one[2].get("container_id") != second]
    world.unexited(first)
    world.stamps[f"subject.{SIDECAR}"] = world.stamps[f"subject.{SIDECAR}"][:1]
    alike.runs(world, 7.2 + waited - 0.5, app=1, image=AGAIN)
    world.step(7.2 + waited, "image.bound", why="it was not restarted")
    return world


def _of_new_sidecar(line: Json) -> bool:
    its = line["object"]
    if line["kind"] == "Event":
        return bool(its["metadata"]["name"] == f"event-{SIDECAR}")
    started = its.get("status", {}).get("initContainerStatuses", ())
    return any(one.get("lastState") for one in started)


def test_a_sidecar_that_keeps_its_old_image(tmp_path: Path) -> None:
    found = old_image().held(IMAGES, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "old-image"), found.reason
    assert "ran on in its old container for 20 s more" in found.reason


def app_was_not_restarted(world: World) -> None:
    world.watch = [one for one in world.watch if one["object"]["metadata"]["name"] != "event-app"]


def spec_names_the_old_image(world: World) -> None:
    for spec in specs(world):
        container(spec, SIDECAR)["image"] = IMAGE


def nothing_was_asked(world: World) -> None:
    world.drop(world.steps, "image.asked")


def bound_is_not_on_record(world: World) -> None:
    world.drop(world.steps, "image.bound")


def sidecar_does_not_run(world: World) -> None:
    for one in world.watch[-1]["object"]["status"]["initContainerStatuses"]:
        one["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}


def pod_is_being_deleted(world: World) -> None:
    world.watch[-1]["object"]["metadata"]["deletionTimestamp"] = "2026-11-22T17:45:01Z"


@pytest.mark.parametrize(
    "doubtful",
    [
        app_was_not_restarted, spec_names_the_old_image, nothing_was_asked, bound_is_not_on_record,
        sidecar_does_not_run, pod_is_being_deleted,
    ],
)  # fmt: skip
def test_an_old_image_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = old_image()
    doubtful(world)
    found = world.judged(IMAGES, tmp_path)
    assert found.observed == "inconclusive", found.reason


def test_a_sidecar_that_was_not_waited_for(tmp_path: Path) -> None:
    assert old_image(waited=10).judged(IMAGES, tmp_path).observed == "inconclusive"


def made_of_the_old_image(world: World) -> None:
    """A new container, which is not said to be of the other image: it may have crashed."""
    for one in world.watch:
        if one["object"]["metadata"]["name"] == f"event-{SIDECAR}":
            one["object"]["message"] = one["object"]["message"].replace(AGAIN, IMAGE)


def never_ran(world: World) -> None:
    """The image is there, and no container of it runs."""
    for one in world.watch:
        for its in one["object"].get("status", {}).get("initContainerStatuses", ()):
            if its.get("lastState"):
                its["state"] = {"waiting": {"reason": "CreateContainerError"}}


@pytest.mark.parametrize(
    "doubtful", [made_of_the_old_image, never_ran, app_was_not_restarted, nothing_was_asked]
)
def test_a_new_container_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = alike.alike()
    doubtful(world)
    assert world.judged(IMAGES, tmp_path).observed == "inconclusive"


# --- the disk


def full() -> World:
    """The subject is passed over by the kubelet."""
    world = alike.alike()
    alike.pass_over(world)
    return world


def test_a_disk_that_nobody_looks_at(tmp_path: Path) -> None:
    found = full().held(DISK, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-evicted"), found.reason
    assert "has 65 MiB on its disk" in found.reason
    assert "ran on for 36 s after another pod was evicted" in found.reason


def said(world: World, pod: str, message: str) -> None:
    _event(world, f"evicted-{pod}")["message"] = message


def _event(world: World, name: str) -> Json:
    its: Json = next(
        one["object"] for one in world.watch if one["object"]["metadata"]["name"] == name
    )
    return its


def without(world: World, name: str) -> None:
    world.watch = [one for one in world.watch if one["object"]["metadata"]["name"] != name]


def test_a_pod_that_is_called_succeeded(tmp_path: Path) -> None:
    """Seen on 1.33: its containers ended with 0, and its status does not tell of an eviction."""
    world = alike.alike()
    alike.pass_over(world)
    world.steps = [one for one in world.steps if one["step"] not in ("disk.used", "disk.bound")]
    alike.evict(world, 60.0, "subject", phase="Succeeded")
    found = world.held(DISK, tmp_path)
    assert (found.observed, found.measured["phase"]) == ("holds", "Succeeded"), found.reason


def test_a_message_that_does_not_name_the_sidecar(tmp_path: Path) -> None:
    world = alike.alike()
    message = "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. "
    said(world, "subject", message)
    assert world.judged(DISK, tmp_path).hazard == "unnamed"


def evicted_for_memory(world: World) -> None:
    said(world, "subject", "The node was low on resource: memory. ")


def twin_was_evicted_for_memory(world: World) -> None:
    said(world, "twin", "The node was low on resource: memory. ")


def twin_was_not_evicted(world: World) -> None:
    without(world, "evicted-twin")


def twin_did_not_end(world: World) -> None:
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "twin":
            one["object"]["status"].pop("phase", None)


def disk_was_not_filled(world: World) -> None:
    world.drop(world.steps, "disk.filled", pod="subject")


def twins_disk_was_not_filled(world: World) -> None:
    world.drop(world.steps, "disk.filled", pod="twin")


def little_was_written(world: World) -> None:
    for one in world.steps:
        if one["step"] == "disk.filled":
            one["mebibytes"] = 10


def limit(world: World, pod: str, name: str, value: str | None) -> None:
    for spec in specs(world, pod):
        limits = container(spec, name)["resources"]["limits"]
        limits.pop("ephemeral-storage", None)
        if value:
            limits["ephemeral-storage"] = value


def sidecar_has_no_limit(world: World) -> None:
    limit(world, "subject", SIDECAR, None)


def twin_has_less(world: World) -> None:
    limit(world, "twin", SIDECAR, "10Mi")


def app_has_no_limit(world: World) -> None:
    """Then the pod's own limit is the sidecar's."""
    limit(world, "subject", "app", None)


def app_has_little(world: World) -> None:
    limit(world, "subject", "app", "30Mi")


EITHER = [
    twin_was_evicted_for_memory, twin_was_not_evicted, twin_did_not_end, disk_was_not_filled,
    twins_disk_was_not_filled, little_was_written, sidecar_has_no_limit, twin_has_less,
    app_has_no_limit, app_has_little,
]  # fmt: skip


@pytest.mark.parametrize("doubtful", [*EITHER, evicted_for_memory])
def test_an_eviction_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = alike.alike()
    doubtful(world)
    found = world.judged(DISK, tmp_path)
    assert found.observed == "inconclusive", found.reason


def bound_was_not_reached(world: World) -> None:
    world.drop(world.steps, "disk.bound")


def nothing_was_told_of_the_disk(world: World) -> None:
    world.drop(world.steps, "disk.used")


def disk_was_told_of_once(world: World) -> None:
    world.steps.remove(next(one for one in world.steps if one["step"] == "disk.used"))


def disk_was_below_its_limit_at_last(world: World) -> None:
    [one for one in world.steps if one["step"] == "disk.used"][-1]["bytes"] = 1 << 20


def evicted_twin_came_late(world: World) -> None:
    """Until then the kubelet may not have looked."""
    for one in world.watch:
        its = one["object"]
        if its["metadata"]["name"] == "twin" and its["status"].get("phase"):
            one["ns"] = ns(45)


def sidecar_had_ended(world: World) -> None:
    for one in world.watch[-1]["object"]["status"]["initContainerStatuses"]:
        one["state"] = {"terminated": {"exitCode": 0}}


@pytest.mark.parametrize(
    "doubtful",
    [
        *EITHER, bound_was_not_reached, nothing_was_told_of_the_disk, disk_was_told_of_once,
        disk_was_below_its_limit_at_last, evicted_twin_came_late, sidecar_had_ended,
    ],
)  # fmt: skip
def test_a_full_disk_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = full()
    doubtful(world)
    found = world.judged(DISK, tmp_path)
    assert found.observed == "inconclusive", found.reason

"""job.cronjob and job.spillover: a tick and a pod that did not come, and whose fault it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World, ns
from tests.worlds import jobs

CRONJOB, SPILLOVER = "job.cronjob", "job.spillover"
Break = Callable[[World], object]


def of_kind(world: World, kind: str) -> list[dict[str, object]]:
    return [one for one in world.watch if one["kind"] == kind]


def forget(world: World, kind: str) -> None:
    world.watch = [one for one in world.watch if one["kind"] != kind]


# --- job.cronjob ----------------------------------------------------------------------------------


def test_a_native_cronjob_ticks_again(tmp_path: Path) -> None:
    found = jobs.cronjob().judged(CRONJOB, tmp_path)
    assert found.observed == "holds"
    assert found.measured["ticks_apart_seconds"] == 60


def test_a_classic_cronjob_is_refused_its_tick(tmp_path: Path) -> None:
    found = jobs.cronjob("classic").judged(CRONJOB, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-ticks")


def allows_concurrency(world: World) -> None:
    """Such a CronJob ticks, whatever its runs do."""
    for one in of_kind(world, "CronJob"):
        one["object"]["spec"]["concurrencyPolicy"] = "Allow"  # type: ignore[index]


def second_came_first(world: World) -> None:
    for one in of_kind(world, "Job"):
        if one["object"]["metadata"]["name"] == "subject-2":  # type: ignore[index]
            one["ns"] = ns(7.0)


def sidecar_had_crashed(world: World) -> None:
    """Before the main ended: the run had nothing left to wait for."""
    (ident,) = world.index["pods"]["subject-1-a"]["containers"]["sidecar"]["ids"]
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != ident]
    world.created(1.0, ident)
    world.exited(2.0, ident, 1)


def main_failed(world: World) -> None:
    (ident,) = world.index["pods"]["subject-1-a"]["containers"]["app"]["ids"]
    for _, topic, body in world.runtime:
        if topic == "/tasks/exit" and body["container_id"] == ident:
            body["exit_status"] = 1


def never_again(world: World) -> None:
    jobs.drop_job(world, "subject-2")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (allows_concurrency, "concurrencyPolicy is Allow"),
        (second_came_first, "Forbid does nothing"),
        (sidecar_had_crashed, "no sidecar ran beside"),
        (main_failed, "no main ended with 0"),
        (never_again, "no second run"),
        (lambda world: forget(world, "CronJob"), "concurrencyPolicy is unknown"),
        (lambda world: forget(world, "Job"), "never ran"),
    ],
)
def test_ticks_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.cronjob()
    doubtful(world)
    found = world.judged(CRONJOB, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def controller_was_slow(world: World) -> None:
    """It never said that it would not tick: the tick may just not have been due."""
    forget(world, "Event")


def refused_while_the_main_ran(world: World) -> None:
    for one in of_kind(world, "Event"):
        one["ns"] = ns(4.0)


def second_came_unasked(world: World) -> None:
    for one in of_kind(world, "Job"):
        if one["object"]["metadata"]["name"] == "subject-2":  # type: ignore[index]
            one["ns"] = ns(19.5)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (controller_was_slow, "no tick was refused"),
        (refused_while_the_main_ran, "no tick was refused"),
        (second_came_unasked, "Forbid does nothing"),
        (never_again, "no second run"),
    ],
)
def test_missed_ticks_whose_cause_is_not_proven(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.cronjob("classic")
    doubtful(world)
    found = world.judged(CRONJOB, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- job.spillover --------------------------------------------------------------------------------


def test_native_jobs_leave_their_places(tmp_path: Path) -> None:
    found = jobs.quota().judged(SPILLOVER, tmp_path)
    assert found.observed == "holds"
    assert found.measured["refusals"] == 0


def test_classic_jobs_fill_the_quota(tmp_path: Path) -> None:
    found = jobs.quota("classic").judged(SPILLOVER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "quota-full")


def no_quota(world: World) -> None:
    forget(world, "ResourceQuota")


def quota_that_counts_nothing(world: World) -> None:
    """Its controller had not come to it yet: nothing was limited."""
    for one in of_kind(world, "ResourceQuota"):
        one["object"]["status"]["used"] = {"pods": "0"}  # type: ignore[index]


def room_for_three(world: World) -> None:
    for one in of_kind(world, "ResourceQuota"):
        one["object"]["status"]["hard"] = {"pods": "3"}  # type: ignore[index]


def third_never_came(world: World) -> None:
    world.watch = [
        one for one in world.watch if one["object"]["metadata"]["name"] != "third-1"
    ]  # fmt: skip


def third_came_too_soon(world: World) -> None:
    """While the others were still there: the quota limited nothing."""
    for one in world.watch:
        if one["object"]["metadata"]["name"] == "third-1":
            one["ns"] = ns(5.5)
    for step in world.steps:
        if step["step"] == "job.create" and step.get("job") == "third":
            step["ns"] = ns(5.4)


def told_to_quit(world: World) -> None:
    world.step(7.0, "sidecar.quit-asked", pod="second-1", container="sidecar")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (no_quota, "no quota for 2 pods"),
        (quota_that_counts_nothing, "no quota for 2 pods"),
        (room_for_three, "room: 3"),
        (third_never_came, "never got its pod"),
        (third_came_too_soon, "was submitted before Job first had left"),
        (told_to_quit, "had not ended when its sidecar was told to quit"),
    ],
)
def test_quotas_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.quota()
    doubtful(world)
    found = world.judged(SPILLOVER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def third_comes(after: float) -> Break:
    """The third Job's pod came so many seconds after the Job was submitted."""

    def change(world: World) -> None:
        for one in world.watch:
            if one["object"]["metadata"]["name"] == "third-1":
                one["ns"] += ns(17.5 + after) - ns(18.0)

    return change


def counted(*lines: tuple[float, int]) -> Break:
    """What the quota was seen to count, and when."""

    def change(world: World) -> None:
        forget(world, "ResourceQuota")
        for at, used in lines:
            status = {"hard": {"pods": "2"}, "used": {"pods": str(used)}}
            jobs.seen(world, at, "ResourceQuota", "room", status=status)

    return change


@pytest.mark.parametrize("after", [0.1, 0.9, 1.1, 3.0, 40.0])
def test_a_slow_cluster_refuses_nobody(tmp_path: Path, after: float) -> None:
    """The quota counted nobody any more when the third Job was submitted."""
    world = jobs.quota()
    third_comes(after)(world)
    found = world.judged(SPILLOVER, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["pod_after_seconds"] == pytest.approx(after, abs=0.06)


@pytest.mark.parametrize(
    "lines",
    [
        ((0.1, 0), (1.1, 1), (4.1, 2)),
        ((0.1, 0), (1.1, 1), (4.1, 2), (5.0, 1)),
        ((0.1, 0), (1.1, 1), (4.1, 2), (5.0, 1), (17.6, 0)),
        ((0.1, 0), (17.6, 1)),  # it counted nobody yet, by what had been received
    ],
)
def test_a_late_pod_may_have_been_refused_before(
    tmp_path: Path, lines: tuple[tuple[float, int], ...]
) -> None:
    """Whose event was lost: the quota was not seen to be empty when the Job was submitted."""
    world = jobs.quota()
    counted(*lines)(world)
    assert world.judged(SPILLOVER, tmp_path / "at once").observed == "holds"
    third_comes(1.1)(world)
    found = world.judged(SPILLOVER, tmp_path / "late")
    assert found.observed == "inconclusive", found.reason
    assert "the quota was not seen to be empty before" in found.reason


def test_a_quota_that_was_counted_late_is_no_sidecars_doing(tmp_path: Path) -> None:
    """Both Jobs had ended; the third was refused all the same, and got its pod a second later."""
    world = jobs.quota()
    words = "exceeded quota: room, requested: pods=1, used: pods=2, limited: pods=2"
    jobs.event(world, 17.7, "FailedCreate", "Job", "third", words)
    third_comes(1.2)(world)
    found = world.judged(SPILLOVER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "refused after the Jobs before it had ended" in found.reason


def test_a_pod_that_was_refused_for_another_reason(tmp_path: Path) -> None:
    """The quota was empty; somebody else turned the pod away, and then no more."""
    world = jobs.quota()
    words = 'admission webhook "sidecar-injector" denied the request'
    jobs.event(world, 17.7, "FailedCreate", "Job", "third", words)
    third_comes(1.2)(world)
    found = world.judged(SPILLOVER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "for another reason than want of room" in found.reason


def never_ended(world: World) -> None:
    """The second Job's sidecar holds it, and the third finds room all the same."""
    for one in list(world.watch):
        if one["kind"] == "Job" and one["object"]["metadata"]["name"] == "second":
            one["object"]["status"].pop("conditions", None)


def test_a_job_that_never_ended_had_left_no_place(tmp_path: Path) -> None:
    world = jobs.quota()
    never_ended(world)
    found = world.judged(SPILLOVER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "Job second never ended, and yet nothing was refused" in found.reason


def refused_for_its_spec(world: World) -> None:
    """The third was refused, but not for want of room."""
    for one in of_kind(world, "Event"):
        one["object"]["message"] = "Invalid value"  # type: ignore[index]


def quit_before_the_refusal(world: World) -> None:
    for one in of_kind(world, "Event"):
        one["ns"] = ns(21.0)


def only_slow(world: World) -> None:
    (ident,) = world.index["pods"]["second-1"]["containers"]["sidecar"]["ids"]
    world.signalled(16.0, ident)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (refused_for_its_spec, "for another reason than want of room"),
        (quit_before_the_refusal, "did not come in this order"),
        (only_slow, "slow, and not held"),
    ],
)
def test_full_quotas_whose_cause_is_not_proven(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = jobs.quota("classic")
    doubtful(world)
    found = world.judged(SPILLOVER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

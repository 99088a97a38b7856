"""move.old-cluster, move.webhook: a field dropped in silence, proven by what freed the pod."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import World
from tests.worlds import jobs, lifecycle

OLD, WEBHOOK = "move.old-cluster", "move.webhook"


def test_a_refusal_is_what_is_promised(tmp_path: Path) -> None:
    found = lifecycle.outdated().judged(OLD, tmp_path)
    assert found.observed == "holds"
    assert found.measured["refused_with_probes"] is True


def test_a_dropped_field_is_broken_and_says_how_to_see_it(tmp_path: Path) -> None:
    found = lifecycle.outdated(refuses=False).judged(OLD, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "field-dropped")
    assert found.measured["held_seconds"] == pytest.approx(10.1)
    assert "restartPolicy" in str(found.measured["detect"])


def kept(world: World) -> None:
    """This cluster knows the pattern: the pod keeps its sidecar."""
    world.watch[-1]["object"]["spec"]["initContainers"][1]["restartPolicy"] = "Always"


def never_seen(world: World) -> None:
    del world.watch[-1]


def app_started_by_itself(world: World) -> None:
    """Before the sidecar was told to quit: something else held it."""
    next(one for one in world.steps if one["step"] == "app.running")["ns"] -= 5_000_000_000


def app_never_started(world: World) -> None:
    world.drop(world.steps, "app.running")


def never_asked(world: World) -> None:
    world.drop(world.steps, "sidecar.quit-asked")


def no_bound(world: World) -> None:
    world.drop(world.steps, "init.bound")


@pytest.mark.parametrize(
    "broken",
    [kept, never_seen, app_started_by_itself, app_never_started, never_asked, no_bound],
)
def test_a_hang_without_its_cause_is_inconclusive(
    broken: Callable[[World], None], tmp_path: Path
) -> None:
    world = lifecycle.outdated(refuses=False)
    broken(world)
    assert world.judged(OLD, tmp_path).observed == "inconclusive"


def test_a_refused_pod_that_was_seen_is_inconclusive(tmp_path: Path) -> None:
    world = lifecycle.outdated()
    world.seen(2.0, "Pod", "subject", "uid-subject", {"containers": [{"name": "app"}]}, {})
    assert world.judged(OLD, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, 'pods "subject" is forbidden: exceeded quota: room'),
        (403, "error looking up service account forged/default: not found"),
        (500, "Internal error occurred: failed calling webhook: connection refused"),
    ],
)
def test_a_refusal_for_another_reason_promises_nothing(
    tmp_path: Path, status: int, message: str
) -> None:
    world = lifecycle.outdated()
    for one in world.steps:
        if one["step"] in ("as-sent", "without-probes"):
            one |= {"status": status, "message": message}
    found = world.judged(OLD, tmp_path)
    assert found.observed == "inconclusive"
    assert "another reason" in found.reason


def test_a_refusal_of_the_probes_alone_promises_nothing(tmp_path: Path) -> None:
    world = lifecycle.outdated()
    world.drop(world.steps, "without-probes")
    assert world.judged(OLD, tmp_path).observed == "inconclusive"


def test_a_classic_pod_says_nothing(tmp_path: Path) -> None:
    assert lifecycle.outdated("classic").judged(OLD, tmp_path).observed == "inconclusive"


# --- the same by a webhook ------------------------------------------------------------------------


def test_what_a_webhook_took_and_is_refused_is_noticed(tmp_path: Path) -> None:
    assert jobs.webhook().judged(WEBHOOK, tmp_path).observed == "holds"


def test_what_a_webhook_took_unnoticed_is_broken(tmp_path: Path) -> None:
    found = jobs.webhook(refuses=False).judged(WEBHOOK, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "field-dropped")
    assert "stamps/webhook.webhook.jsonl" in {one.file for one in found.evidence}


def dropped_without_it(world: World) -> None:
    """The cluster itself does not know the pattern."""
    next(one for one in world.steps if one.get("when") == "before")["restart_policy"] = ""


def dropped_after_it(world: World) -> None:
    next(one for one in world.steps if one.get("when") == "after")["restart_policy"] = ""


def never_asked_for_real(world: World) -> None:
    world.drop(world.stamps["webhook.webhook"], "webhook.asked", dry_run=False)


def took_nothing(world: World) -> None:
    for one in world.stamps["webhook.webhook"]:
        one["removed"] = []


def never_tried_after(world: World) -> None:
    world.drop(world.steps, "dry-run", when="after")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (dropped_without_it, "before the webhook"),
        (dropped_after_it, "after the webhook"),
        (never_asked_for_real, "not asked"),
        (took_nothing, "took nothing"),
        (never_tried_after, "only"),
        (app_started_by_itself, "something else held it"),
        (kept, "nothing was dropped"),
    ],
)
def test_a_loss_that_may_be_another_one_s_doing_is_inconclusive(
    doubtful: Callable[[World], None], said: str, tmp_path: Path
) -> None:
    world = jobs.webhook(refuses=False)
    doubtful(world)
    found = world.judged(WEBHOOK, tmp_path)
    assert found.observed == "inconclusive"
    assert said in found.reason

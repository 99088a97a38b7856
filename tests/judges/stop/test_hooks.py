"""The end of pods: hooks, grace periods, exit codes, evictions, crashes on the way, endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.model import Finding
from tests.forge.bundle import PEER, World, ns
from tests.worlds import stop as worlds
from tests.worlds.stop import ident, job_ends

Break = Callable[[World], object]


def judged(behaviour: str, world: World, folder: Path) -> Finding:
    return world.judged(behaviour, folder)


def shown(found: Finding) -> tuple[str, str]:
    return found.observed, found.hazard


def move(world: World, role: str, container: str, event: str, at: float) -> None:
    """A stamp comes at another time."""
    (line,) = world.lines(f"{role}.{container}", event)
    line["mono_ns"] += ns(at) - line["ns"]
    line["ns"] = ns(at)


def signalled(world: World, role: str, container: str, at: float) -> None:
    """containerd announces the signal at another time, and the program feels it then."""
    its = ident(role, container)
    world.journal = [one for one in world.journal if its not in one[1]]
    world.signalled(at, its)
    program = "app" if container == "app" else "sidecar"
    move(world, role, container, f"{program}.sigterm", at + 0.005)


def unannounced(world: World, role: str, container: str) -> None:
    """containerd's announcement is lost: the signal was felt, and may have been sent before."""
    its = ident(role, container)
    world.journal = [one for one in world.journal if its not in one[1]]


def exited(world: World, role: str, container: str, at: float, status: int = 0) -> None:
    its = ident(role, container)
    world.unexited(its)
    program = "app" if container == "app" else "sidecar"
    world.drop(world.stamps[f"{role}.{container}"], f"{program}.last")
    world.exited(at, its, status)


def lose(world: World, role: str, after: float) -> None:
    """What the app sends from then on is refused."""
    for line in world.lines(f"{role}.app", "request.end"):
        if line["ns"] > ns(after):
            line["outcome"] = "refused"


# --- hooks

CONCURRENT, WORKAROUND = "stop.prestop-concurrent", "stop.prestop-workaround"
QUIT, SLEEP = "stop.stale-prestop-quit", "stop.stale-prestop-sleep"


def test_hooks_that_overlap(tmp_path: Path) -> None:
    found = judged(CONCURRENT, worlds.hooks(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["apart_ms"] == pytest.approx(10, abs=0.1)


def at_its_own_turn(world: World) -> None:
    move(world, "subject", "envoy", "hook.begin", 15.2)
    move(world, "subject", "envoy", "hook.end", 20.05)


def test_a_hook_that_waits_for_its_turn(tmp_path: Path) -> None:
    world = worlds.hooks()
    at_its_own_turn(world)
    assert shown(judged(CONCURRENT, world, tmp_path)) == ("broken", "one-after-another")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.drop(world.stamps["subject.envoy"], "hook.begin"),
        lambda world: world.drop(world.stamps["subject.app"], "hook.end"),
        lambda world: move(world, "subject", "envoy", "hook.begin", 13.0),  # after the app's hook
        lambda world: signalled(world, "subject", "envoy", 10.055),  # a signal before all hooks
        lambda world: world.drop(world.steps, "delete.asked", pod="subject"),
    ],
)
def test_hooks_that_nothing_can_be_said_of(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.hooks()
    doubtful(world)
    assert judged(CONCURRENT, world, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_the_workaround_works(tmp_path: Path, pattern: str) -> None:
    found = judged(WORKAROUND, worlds.hooks(pattern), tmp_path)
    assert found.observed == "holds"
    assert found.measured["lost"] == 0


def test_the_workaround_of_a_plain_sidecar(tmp_path: Path) -> None:
    assert judged(WORKAROUND, worlds.without_mesh(worlds.hooks()), tmp_path).observed == "holds"


def test_a_request_lost_behind_the_workaround(tmp_path: Path) -> None:
    world = worlds.hooks()
    lose(world, "subject", 14.0)
    assert shown(judged(WORKAROUND, world, tmp_path)) == ("broken", "lost-request")


def test_a_sidecar_signalled_in_spite_of_its_hook(tmp_path: Path) -> None:
    world = worlds.without_mesh(worlds.hooks())
    signalled(world, "subject", "envoy", 13.0)
    assert shown(judged(WORKAROUND, world, tmp_path)) == ("broken", "wrong-order")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: move(world, "subject", "envoy", "hook.end", 14.0),  # it saved nothing
        lambda world: world.drop(world.stamps["subject.envoy"], "hook.end"),  # it never ran
        lambda world: world.drop(world.stamps["subject.app"], "request.end"),
    ],
)
def test_a_workaround_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.hooks()
    doubtful(world)
    assert judged(WORKAROUND, world, tmp_path).observed == "inconclusive"


def quits(world: World, role: str) -> None:
    """The sidecar ends by its hook, unsignalled."""
    world.journal = [one for one in world.journal if ident(role, "envoy") not in one[1]]
    world.drop(world.stamps[f"{role}.envoy"], "sidecar.sigterm")
    exited(world, role, "envoy", 10.4)


@pytest.mark.parametrize(("behaviour", "role"), [(QUIT, "quit"), (SLEEP, "asleep")])
def test_the_articles_hooks_take_the_proxy(tmp_path: Path, behaviour: str, role: str) -> None:
    world = worlds.hooks()
    quits(world, role)
    lose(world, role, 10.4)
    found = judged(behaviour, world, tmp_path)
    assert shown(found) == ("broken", "lost-request")
    assert found.measured["lost"] > 40


@pytest.mark.parametrize(("behaviour", "role"), [(QUIT, "quit"), (SLEEP, "asleep")])
def test_the_articles_hooks_take_a_plain_sidecar(tmp_path: Path, behaviour: str, role: str) -> None:
    world = worlds.without_mesh(worlds.hooks())
    quits(world, role)
    assert shown(judged(behaviour, world, tmp_path)) == ("broken", "sidecar-gone")


def test_a_signal_behind_the_hook_is_not_the_cause(tmp_path: Path) -> None:
    """Where there is no order, the kubelet signals as soon as the hook is over."""
    world = worlds.hooks("classic")
    move(world, "quit", "envoy", "hook.quit", 10.3)
    signalled(world, "quit", "envoy", 10.32)
    exited(world, "quit", "envoy", 10.5)
    lose(world, "quit", 10.5)
    assert shown(judged(QUIT, world, tmp_path)) == ("broken", "lost-request")


def test_a_sidecar_that_was_signalled_is_no_doing_of_its_hook(tmp_path: Path) -> None:
    world = worlds.hooks()
    signalled(world, "quit", "envoy", 10.2)
    exited(world, "quit", "envoy", 11.7)
    lose(world, "quit", 11.7)
    assert shown(judged(QUIT, world, tmp_path)) == ("broken", "wrong-order")


def crashes_beside_its_hook(world: World) -> None:
    quits(world, "quit")
    exited(world, "quit", "envoy", 10.4, 137)
    lose(world, "quit", 10.4)


def gone_before_its_hook(world: World) -> None:
    quits(world, "quit")
    move(world, "quit", "envoy", "hook.begin", 10.6)
    lose(world, "quit", 10.4)


@pytest.mark.parametrize(
    "doubtful",
    [
        crashes_beside_its_hook,
        gone_before_its_hook,
        lambda world: world.drop(world.stamps["quit.envoy"], "hook.begin"),  # it never ran
        lambda world: world.drop(world.stamps["quit.envoy"], "hook.quit"),  # and told nobody
        lambda world: move(world, "quit", "envoy", "hook.quit", 15.3),  # or too late
        lambda world: quits(world, "quit"),  # gone early, and nothing was lost
        lambda world: lose(world, "quit", 12.0),  # lost, and the sidecar was there
        lambda world: world.drop(world.stamps["quit.app"], "request.end"),
        lambda world: world.drop(world.steps, "delete.asked", pod="quit"),
    ],
)
def test_a_stale_hook_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.hooks()
    doubtful(world)
    assert judged(QUIT, world, tmp_path).observed == "inconclusive"


# --- the grace period

SHORT, TOTAL = "stop.short-grace", "stop.total-time"


def test_a_grace_period_that_is_used_up(tmp_path: Path) -> None:
    found = judged(SHORT, worlds.grace(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["short_lost"] == 4
    assert found.measured["healed_lost"] == 0
    assert found.measured["signalled_after_seconds"] == {
        "app": 6.0, "envoy": 6.01, "second": 6.02,
    }  # fmt: skip
    assert found.measured["exit_codes"] == {"app": 137, "envoy": 0, "second": 137}


def test_a_grace_period_of_a_plain_sidecar(tmp_path: Path) -> None:
    assert judged(SHORT, worlds.without_mesh(worlds.grace()), tmp_path).observed == "holds"


def all_sidecars_at_the_deletion(world: World) -> None:
    """As 1.28; the kubelet comes late, so that it looks like the end of the grace period."""
    for name in ("envoy", "second"):
        signalled(world, "subject", name, 16.07)
    move(world, "subject", "app", "hook.begin", 16.06)
    signalled(world, "subject", "app", 22.07)
    exited(world, "subject", "app", 24.1, 137)


def in_turn(world: World) -> None:
    signalled(world, "subject", "envoy", 18.2)
    exited(world, "subject", "envoy", 19.8)


def second_is_spared(world: World) -> None:
    exited(world, "subject", "second", 19.1)


def second_is_killed_late(world: World) -> None:
    exited(world, "subject", "second", 24.1, 137)


def second_is_killed_at_once(world: World) -> None:
    exited(world, "subject", "second", 16.2, 137)


def grace_that_is_not_given(world: World) -> None:
    """All are signalled at the deletion, and killed 2 s later."""
    for place, name in enumerate(("app", "envoy", "second")):
        signalled(world, "subject", name, 10.2 + place / 100)
    exited(world, "subject", "envoy", 11.8)
    exited(world, "subject", "app", 12.22, 137)
    exited(world, "subject", "second", 12.23, 137)
    its = world.stamps["subject.app"]
    world.stamps["subject.app"] = [one for one in its if one["ns"] < ns(12.2)]
    gone(world, "subject", 13.0)


def signals_that_come_late(world: World) -> None:
    """One 1.7 s behind the others, and before any of them had an effect."""
    exited(world, "subject", "envoy", 17.75)
    signalled(world, "subject", "second", 17.7)
    exited(world, "subject", "second", 19.75, 137)


def lost_all_the_same(world: World) -> None:
    lose(world, "healed", 22.0)


@pytest.mark.parametrize(
    ("wrong", "hazard"),
    [
        (all_sidecars_at_the_deletion, "wrong-order"),
        (in_turn, "one-after-another"),
        (second_is_spared, "not-killed"),
        (second_is_killed_late, "late"),
        (second_is_killed_at_once, "late"),
        (grace_that_is_not_given, "early"),
        (lost_all_the_same, "lost-request"),
    ],
)
def test_a_grace_period_that_ends_otherwise(tmp_path: Path, wrong: Break, hazard: str) -> None:
    world = worlds.grace()
    wrong(world)
    found = judged(SHORT, world, tmp_path)
    assert shown(found) == ("broken", hazard), found.reason


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.stamp(15.9, "subject.app", "hook.end"),  # the app had time enough
        lambda world: exited(world, "subject", "second", 21.5, 137),  # killed 3.5 s late
        signals_that_come_late,
        lambda world: signalled(world, "healed", "second", 20.0),
        lambda world: signalled(world, "healed", "envoy", 25.0),
        lambda world: unannounced(world, "subject", "second"),
        lambda world: world.drop(world.stamps["healed.app"], "request.end"),
        lambda world: world.drop(world.steps, "delete.asked", pod="healed"),
    ],
)
def test_a_grace_period_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.grace()
    doubtful(world)
    assert judged(SHORT, world, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_deletions_in_time(tmp_path: Path, pattern: str) -> None:
    found = judged(TOTAL, worlds.grace(pattern), tmp_path)
    assert found.observed == "holds"
    assert found.measured["subject_last_exit_seconds"] == pytest.approx(8.1)
    assert found.measured["prompt_gone_seconds"] == pytest.approx(1.2)


def grace_twice(world: World) -> None:
    exited(world, "subject", "second", 22.2, 137)


def waits_for_nobody(world: World) -> None:
    """A sidecar whose turn never comes: it is killed when the grace period is over."""
    exited(world, "prompt", "envoy", 42.0, 137)
    gone(world, "prompt", 42.5)


def gone(world: World, role: str, at: float) -> None:
    (line,) = (
        one for one in world.watch
        if one["type"] == "DELETED" and one["object"]["metadata"]["name"] == role
    )  # fmt: skip
    line["ns"] = ns(at)


def gone_unseen(world: World, role: str) -> None:
    world.watch = [one for one in world.watch if one["object"]["metadata"]["name"] != role]


def tries_again(world: World) -> None:
    """The kubelet failed, and said so."""
    gone(world, "subject", 30.0)
    kubelet_says(world, 18.3, '"Error syncing pod" podUID="uid-subject"')


def kubelet_says(world: World, at: float, error: str) -> None:
    line = {
        "__REALTIME_TIMESTAMP": str(ns(at) // 1000),
        "MESSAGE": f"E1122 21:12:42 626 x.go:1] {error}",
    }
    world.extra["kubelet.log"] = json.dumps(line) + "\n"


def housekeeping(world: World) -> None:
    """The machine is slow; and an error's line about the pod is none of its failures."""
    gone(world, "prompt", 19.5)
    said = '"RemoveStaleState: removing container" podUID="uid-prompt" containerName="app"'
    kubelet_says(world, 13.3, said)


def failed_before_it_had_ended(world: World) -> None:
    """What the kubelet failed at while containers ran does not keep it from removing the pod."""
    gone(world, "prompt", 19.5)
    kubelet_says(world, 10.1, '"Error syncing pod" podUID="uid-prompt"')


@pytest.mark.parametrize("wrong", [grace_twice, waits_for_nobody, tries_again])
def test_deletions_that_take_too_long(tmp_path: Path, wrong: Break) -> None:
    world = worlds.grace()
    wrong(world)
    found = judged(TOTAL, world, tmp_path)
    assert shown(found) == ("broken", "late"), found.reason


def begun_late(world: World) -> None:
    """Everything comes ten seconds after the deletion."""
    for step in world.steps:
        if step["step"].startswith("delete"):
            step["ns"] -= 10_000_000_000


@pytest.mark.parametrize(
    "doubtful",
    [
        begun_late,
        lambda world: exited(world, "subject", "second", 21.5, 137),  # slow, or wrong
        lambda world: exited(world, "prompt", "envoy", 17.0),
        lambda world: gone(world, "subject", 30.0),  # the kubelet does not say why
        lambda world: gone_unseen(world, "healed"),
        housekeeping,
        failed_before_it_had_ended,
    ],
)
def test_deletions_that_are_only_slow(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.grace()
    doubtful(world)
    assert judged(TOTAL, world, tmp_path).observed == "inconclusive"


# --- exit codes

EXIT = "stop.exit-code"


def test_bad_ends_of_sidecars_fail_no_job(tmp_path: Path) -> None:
    found = judged(EXIT, worlds.killed(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["exit_codes"] == {"app": 0, "envoy": 137, "second": 143}


def test_a_job_that_fails_for_its_sidecars(tmp_path: Path) -> None:
    world = worlds.killed("classic")
    job_ends(world, "Failed")
    world.watch[-3]["object"]["status"]["phase"] = "Failed"
    assert shown(judged(EXIT, world, tmp_path)) == ("broken", "job-failed")


def test_a_complete_job_of_a_failed_pod(tmp_path: Path) -> None:
    world = worlds.killed()
    world.watch[-3]["object"]["status"]["phase"] = "Failed"
    assert shown(judged(EXIT, world, tmp_path)) == ("broken", "job-failed")


def failed_for_its_deadline(world: World) -> None:
    job_ends(world, "Failed", "DeadlineExceeded")
    world.watch[-3]["object"]["status"]["phase"] = "Failed"


def evicted(world: World) -> None:
    """The node ran out of something: its codes are as they were to be, and say nothing."""
    job_ends(world, "Failed")
    world.watch[-3]["object"]["status"] |= {"phase": "Failed", "reason": "Evicted"}


def pod_ends_unseen(world: World) -> None:
    """The watch broke off before the pod's last phase."""
    world.watch[-3]["object"]["status"]["phase"] = "Running"


@pytest.mark.parametrize(
    "doubtful",
    [
        failed_for_its_deadline,
        evicted,
        pod_ends_unseen,
        lambda world: exited(world, "subject", "envoy", 8.4, 0),  # it ended well
        lambda world: exited(world, "subject", "app", 5.0, 1),  # the main failed by itself
        lambda world: world.watch.pop(),  # the Job never ended
    ],
)
def test_exit_codes_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.killed()
    doubtful(world)
    assert judged(EXIT, world, tmp_path).observed == "inconclusive"


# --- eviction

EVICTION = "stop.eviction"


def test_evictions_in_order(tmp_path: Path) -> None:
    found = judged(EVICTION, worlds.eviction(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["hurried_signal_after_seconds"] == pytest.approx(3)


def late_kubelet_signals_all(world: World) -> None:
    """Both signals come at once, and so late that the grace period seems to be over."""
    signalled(world, "hurried", "app", 13.3)
    exited(world, "hurried", "app", 16.3, 137)
    signalled(world, "hurried", "envoy", 13.31)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda world: signalled(world, "subject", "envoy", 10.06),
        lambda world: signalled(world, "preempted", "envoy", 10.06),
        lambda world: signalled(world, "hurried", "envoy", 10.06),
        late_kubelet_signals_all,
    ],
)
def test_evictions_out_of_order(tmp_path: Path, wrong: Break) -> None:
    world = worlds.eviction()
    wrong(world)
    assert shown(judged(EVICTION, world, tmp_path)) == ("broken", "wrong-order")


def sidecar_crashes(world: World, role: str, at: float) -> None:
    """While its pod's app goes on, and nobody told it to end."""
    its = ident(role, "envoy")
    world.journal = [one for one in world.journal if its not in one[1]]
    world.drop(world.stamps[f"{role}.envoy"], "sidecar.sigterm")
    exited(world, role, "envoy", at, 1)


def test_a_hurried_sidecar_that_crashed_was_not_told(tmp_path: Path) -> None:
    world = worlds.eviction()
    sidecar_crashes(world, "hurried", 10.5)
    for at in (11.0, 12.0, 13.0):
        world.stamp(at, "hurried.app", "request.begin", token="x")
    found = judged(EVICTION, world, tmp_path)
    assert shown(found) == ("broken", "sidecar-gone"), found.reason


@pytest.mark.parametrize(("role", "pattern"), [("subject", "native"), ("preempted", "classic")])
def test_a_sidecar_that_crashed_was_not_evicted_out_of_its_order(
    tmp_path: Path, role: str, pattern: str
) -> None:
    world = worlds.eviction(pattern)
    sidecar_crashes(world, role, 12.0)
    found = judged(EVICTION, world, tmp_path)
    assert shown(found) == ("broken", "sidecar-gone"), found.reason


def hurried_app_crashes(world: World) -> None:
    """At its signal, and the sidecar is told behind its end: as it should be."""
    exited(world, "hurried", "app", 10.3, 1)
    world.drop(world.stamps["hurried.app"], "app.last")
    signalled(world, "hurried", "envoy", 10.4)


@pytest.mark.parametrize(
    "doubtful",
    [
        hurried_app_crashes,
        lambda world: exited(world, "preempted", "app", 10.2),  # ordered by chance
        lambda world: world.stamp(13.0, "hurried.app", "app.last"),  # in no hurry
        lambda world: world.drop(world.steps, "delete.asked", pod="preempted"),
        lambda world: signalled(world, "subject", "envoy", 14.099),
        lambda world: unannounced(world, "hurried", "envoy"),
    ],
)
def test_evictions_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.eviction()
    doubtful(world)
    assert judged(EVICTION, world, tmp_path).observed == "inconclusive"


def test_a_drain_in_order(tmp_path: Path) -> None:
    found = judged(EVICTION, worlds.drain(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["hurried_signal_after_seconds"] == pytest.approx(8)
    assert (found.measured["refused_by_the_budget"], found.measured["one_at_a_time"]) == (2, True)


def at_once(world: World) -> None:
    """Both pods are told to go at the same moment, whatever the budget says."""
    for line in world.watch:
        if "deletionTimestamp" in line["object"]["metadata"]:
            line["ns"] = ns(10)


def test_a_budget_that_is_not_kept_is_seen(tmp_path: Path) -> None:
    world = worlds.drain()
    at_once(world)
    assert judged(EVICTION, world, tmp_path).measured["one_at_a_time"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        lambda world: signalled(world, "subject", "envoy", 10.06),
        lambda world: signalled(world, "hurried", "envoy", 20.06),
    ],
)
def test_a_drain_out_of_order(tmp_path: Path, wrong: Break) -> None:
    world = worlds.drain()
    wrong(world)
    assert shown(judged(EVICTION, world, tmp_path)) == ("broken", "wrong-order")


def drain_said(world: World, **said: object) -> None:
    world.commands[0] |= said


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: drain_said(world, code=1),  # it gave up
        lambda world: drain_said(world, out="node/node cordoned\npod/subject evicted\n"),
        lambda world: drain_said(world, out="node/node cordoned\n"),  # others deleted the pods
        lambda world: drain_said(world, command="kubectl uncordon node"),
        lambda world: world.commands.clear(),
        lambda world: exited(world, "subject", "app", 10.2),  # ordered by chance
        lambda world: world.stamp(27.0, "hurried.app", "app.last"),  # in no hurry
        lambda world: world.drop(world.steps, "delete.asked", pod="hurried"),
        lambda world: signalled(world, "subject", "envoy", 14.099),
        lambda world: world.index["cell"].update(scenario="lifecycle"),
    ],
)
def test_a_drain_that_shows_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.drain()
    doubtful(world)
    assert judged(EVICTION, world, tmp_path).observed == "inconclusive"


# --- a crash in a terminating pod

CRASH = "crash.terminating"


def test_a_sidecar_that_stays_dead(tmp_path: Path) -> None:
    found = judged(CRASH, worlds.terminating(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["twin_back_after_seconds"] == pytest.approx(1.2)


def test_a_sidecar_that_comes_back(tmp_path: Path) -> None:
    world = worlds.terminating()
    world.stamp(19.0, "subject.envoy", "sidecar.started")
    assert shown(judged(CRASH, world, tmp_path)) == ("broken", "restarted")


def test_a_sidecar_that_is_about_to_come_back(tmp_path: Path) -> None:
    """It has a new container, whose program did not come to its first instruction."""
    world = worlds.terminating()
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append("9" * 64)
    assert shown(judged(CRASH, world, tmp_path)) == ("broken", "restarted")


@pytest.mark.parametrize(
    "doubtful",
    [
        lambda world: world.stamps["twin.envoy"].pop(),  # nobody is restarted here
        lambda world: move(world, "subject", "app", "app.last", 13.0),  # too short to tell
        lambda world: move(world, "subject", "envoy", "sidecar.crash", 9.0),
        lambda world: move(world, "subject", "envoy", "sidecar.crash", 20.2),
        lambda world: world.drop(world.stamps["subject.envoy"], "sidecar.crash"),
    ],
)
def test_crashes_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.terminating()
    doubtful(world)
    assert judged(CRASH, world, tmp_path).observed == "inconclusive"


# --- a service of the node is restarted

RESTARTS = ["node.kubelet-restart", "node.runtime-restart"]


@pytest.mark.parametrize("behaviour", RESTARTS)
def test_pods_live_through_a_restart(tmp_path: Path, behaviour: str) -> None:
    found = judged(behaviour, worlds.restart(), tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["main_back_after_seconds"] == pytest.approx(1.3)
    assert found.measured["drained_gone_seconds"] == pytest.approx(14.4)


def events_were_lost(world: World) -> None:
    gap = {"ns": ns(10.9), "until_ns": ns(13), "what": "containerd's event stream"}
    world.extra["gaps.jsonl"] = json.dumps(gap) + "\n"


def test_a_gap_in_the_events_is_known(tmp_path: Path) -> None:
    world = worlds.restart()
    events_were_lost(world)
    found = judged(RESTARTS[1], world, tmp_path / "known")
    assert found.observed == "holds", found.reason
    assert found.measured["events_unwatched_seconds"] == pytest.approx(2.1)
    other = worlds.terminating()
    events_were_lost(other)
    found = judged(CRASH, other, tmp_path / "unknown")
    assert found.observed == "inconclusive"
    assert "was not watched" in found.reason


def main_stays_dead(world: World) -> None:
    world.stamps["subject.app"] = [one for one in world.stamps["subject.app"] if one["ns"] < ns(15)]
    world.index["pods"]["subject"]["containers"]["app"]["ids"].pop()
    world.step(75.0, "end")


def new_id(role: str, container: str) -> Break:
    def of(world: World) -> None:
        world.index["pods"][role]["containers"][container]["ids"].append("9" * 64)

    return of


@pytest.mark.parametrize(
    ("wrong", "hazard"),
    [
        (main_stays_dead, "not-restarted"),
        (lambda world: world.stamp(12.5, "subject.app", "app.started"), "restarted"),
        (lambda world: world.stamp(14.5, "subject.envoy", "sidecar.started"), "restarted"),
        (lambda world: world.stamp(12.5, "drained.envoy", "sidecar.started"), "restarted"),
        (new_id("drained", "app"), "restarted"),
        (new_id("subject", "envoy"), "restarted"),
        (lambda world: signalled(world, "drained", "envoy", 13.1), "wrong-order"),
        (lambda world: signalled(world, "subject", "envoy", 25.1), "wrong-order"),
    ],
)
def test_restarts_that_break_something(tmp_path: Path, wrong: Break, hazard: str) -> None:
    world = worlds.restart()
    wrong(world)
    found = judged(RESTARTS[0], world, tmp_path)
    assert shown(found) == ("broken", hazard), found.reason


def test_a_sidecar_that_crashed_after_a_restart_is_another_hazard(tmp_path: Path) -> None:
    world = worlds.restart()
    sidecar_crashes(world, "drained", 20.0)
    found = judged(RESTARTS[0], world, tmp_path)
    assert shown(found) == ("broken", "sidecar-gone"), found.reason


def main_is_hardly_awaited(world: World) -> None:
    main_stays_dead(world)
    world.steps = [one for one in world.steps if one["ns"] < ns(20)]


def exit_is_lost_in_the_gap(world: World) -> None:
    world.unexited(ident("drained", "app"))


def never_restarted(world: World) -> None:
    """The service was asked to restart, and went on as it was."""
    world.extra["kubelet.log"] = world.extra["kubelet.log"].replace("700", "600")
    del world.extra["gaps.jsonl"]


@pytest.mark.parametrize("behaviour", RESTARTS)
def test_a_service_that_was_never_restarted_shows_nothing(tmp_path: Path, behaviour: str) -> None:
    world = worlds.restart()
    never_restarted(world)
    found = judged(behaviour, world, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "restarted" in found.reason


@pytest.mark.parametrize(
    "doubtful",
    [
        main_is_hardly_awaited,
        exit_is_lost_in_the_gap,
        lambda world: world.drop(world.steps, "restart.answers"),
        lambda world: world.drop(world.stamps["subject.app"], "app.crash"),
        lambda world: move(world, "subject", "app", "app.crash", 10.5),
        lambda world: move(world, "drained", "app", "app.last", 12.5),  # not in mid-drain
        lambda world: world.drop(world.steps, "delete.asked", pod="drained"),
    ],
)
def test_restarts_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.restart()
    doubtful(world)
    found = judged(RESTARTS[0], world, tmp_path)
    assert found.observed == "inconclusive", found.reason


# --- endpoints

ENDPOINTS = "stop.endpoints"


def test_a_pod_that_leaves_in_time(tmp_path: Path) -> None:
    found = judged(ENDPOINTS, worlds.endpoints(), tmp_path)
    assert found.observed == "holds"
    assert found.measured["left_after_seconds"]["late"] == pytest.approx(4.3, abs=0.2)


@pytest.mark.parametrize("kind", ["quick", "late"])
def test_a_new_request_that_is_lost(tmp_path: Path, kind: str) -> None:
    world = worlds.endpoints()
    line = next(
        one for one in world.lines("peer.app", "request.end", kind=kind) if one["ns"] > ns(12)
    )
    line["outcome"] = "refused"
    exited(world, "subject", "envoy", 12.0)
    assert shown(judged(ENDPOINTS, world, tmp_path)) == ("broken", "lost-request")


@pytest.mark.parametrize("pattern", ["classic", "native"])
def test_a_new_request_that_is_lost_beside_a_living_proxy(tmp_path: Path, pattern: str) -> None:
    """Every proxy outlives its app: what was lost at 12 s was not lost by a proxy's end."""
    world = worlds.endpoints(pattern)
    line = next(
        one for one in world.lines("peer.app", "request.end", kind="late") if one["ns"] > ns(12)
    )
    line["outcome"] = "reset"
    found = judged(ENDPOINTS, world, tmp_path)
    assert shown(found) == ("broken", "lost-while-the-sidecar-lived"), found.reason


def test_a_new_request_that_is_lost_while_the_proxy_still_drains(tmp_path: Path) -> None:
    """Another pod resets it, just after the deletion: the classic proxy drains to 11.6 s."""
    world = worlds.endpoints("classic")
    exited(world, "subject", "envoy", 11.6)
    world.signalled(10.06, ident("subject", "envoy"))
    world.attempt(10.1, "peer.app", "quick", 903, "reset")
    found = judged(ENDPOINTS, world, tmp_path)
    assert shown(found) == ("broken", "lost-while-the-sidecar-lived"), found.reason


def test_a_request_that_came_when_the_app_had_ended(tmp_path: Path) -> None:
    """kube-proxy is late, and the way to the pod takes 0.7 s: the app accepts until 19 s."""
    world = worlds.endpoints()
    for number, at in enumerate((16.0, 17.0, 18.0), 910):
        its = world.attempt(at, "peer.app", "late", number, "ok")
        world.served(at + 0.3, at + 0.31, "subject.app", its, "10.244.0.5")
    detail = "503 upstream connect error: connection refused"
    world.attempt(18.5, "peer.app", "late", 930, "wrong", took=0.75, detail=detail)
    found = judged(ENDPOINTS, world, tmp_path)
    assert found.observed == "inconclusive" and "too late" in found.reason


def fails_anyway(world: World) -> None:
    """A machine that is too slow loses requests before anybody is deleted, too."""
    lines = world.lines("peer.app", "request.end", kind="late")
    for line in lines:
        if ns(9.0) < line["ns"] < ns(9.3) or ns(12.0) < line["ns"] < ns(12.3):
            line["outcome"] = "timeout"


def times_out(world: World) -> None:
    world.attempt(12.0, "peer.app", "quick", 902, "timeout")
    world.attempt(12.0, "peer.app", "late", 902, "wrong", detail="503 connection timeout")


def times_out_in_a_crowd(world: World) -> None:
    times_out(world)
    for seq in range(12):
        world.attempt(11.0, "standby.app", "steady", 950 + seq, "ok", took=1.5)


def test_new_requests_that_hang_on_a_machine_that_has_time_are_lost(tmp_path: Path) -> None:
    world = worlds.endpoints()
    times_out(world)
    assert shown(judged(ENDPOINTS, world, tmp_path)) == ("broken", "timed-out")


def never_an_endpoint(world: World) -> None:
    """All requests went to the other pod, before the deletion as well."""
    world.stamps["standby.app"] += world.lines("subject.app", "served")
    world.drop(world.stamps["subject.app"], "served")


def never_leaves(world: World) -> None:
    its = world.attempt(18.0, "peer.app", "late", 900, "ok")
    world.served(18.005, 18.006, "subject.app", its, PEER)


def answered_by_a_stranger(world: World) -> None:
    world.attempt(12.0, "peer.app", "quick", 901, "ok")


@pytest.mark.parametrize(
    "doubtful",
    [
        fails_anyway,
        times_out_in_a_crowd,
        never_an_endpoint,
        never_leaves,
        answered_by_a_stranger,
        lambda world: world.drop(world.stamps["subject.app"], "app.sigterm"),
        lambda world: world.stamps.pop("standby.app"),
    ],
)
def test_endpoints_that_show_nothing(tmp_path: Path, doubtful: Break) -> None:
    world = worlds.endpoints()
    doubtful(world)
    assert judged(ENDPOINTS, world, tmp_path).observed == "inconclusive"

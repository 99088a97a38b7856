"""What tools show of a pod with a sidecar, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.observe.scenarios.pod.naive import collect
from tests.forge.bundle import World, ns
from tests.worlds import visible
from tests.worlds.start import SIDECAR, ident
from tests.worlds.visible import looked, metrics, table, told

SPEC, STATUS, READY = "see.spec", "see.status", "see.ready"
METRICS, NAIVE = "account.metrics", "see.naive-tools"
Break = Callable[[World], object]


def printed(world: World, of: str, out: str) -> None:
    next(one for one in world.commands if of in one["command"])["out"] = out


def policy_is_empty(world: World) -> None:
    printed(world, ".restartPolicy}", "")


def name_is_missing(world: World) -> None:
    printed(world, "initContainers[*].name", "init")


@pytest.mark.parametrize("wrong", [policy_is_empty, name_is_missing])
def test_a_spec_that_does_not_show_it(wrong: Break, tmp_path: Path) -> None:
    world = visible.visible()
    wrong(world)
    found = world.judged(SPEC, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-shown"), found.reason


def test_a_command_that_was_not_run_is_inconclusive(tmp_path: Path) -> None:
    world = visible.visible()
    world.commands.clear()
    assert world.judged(SPEC, tmp_path).observed == "inconclusive"


def state_is_terminated(world: World) -> None:
    printed(world, "initContainerStatuses", '{"terminated":{"exitCode":0}}')


def state_is_nothing(world: World) -> None:
    printed(world, "initContainerStatuses", "")


def status_is_not_started(world: World) -> None:
    for one in world.watch:
        for its in one["object"]["status"].get("initContainerStatuses", ()):
            its["started"] = False


@pytest.mark.parametrize("wrong", [state_is_terminated, state_is_nothing, status_is_not_started])
def test_a_status_that_does_not_show_it(wrong: Break, tmp_path: Path) -> None:
    world = visible.visible()
    wrong(world)
    found = world.judged(STATUS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-shown"), found.reason


def test_several_states_are_read_one_by_one(tmp_path: Path) -> None:
    world = visible.visible()
    printed(world, "initContainerStatuses", '{"terminated":{}} {"running":{}}')
    assert world.judged(STATUS, tmp_path).observed == "holds"


def test_a_log_that_tells_of_an_early_signal_shows_the_wrong_order(tmp_path: Path) -> None:
    world = visible.visible()
    world.extra["followed.txt"] = f"sidecar.sigterm {ns(12.1)}\n"
    found = world.judged(STATUS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def log_was_cut(world: World) -> None:
    world.extra["followed.txt"] = "sidecar.started 1\n"


def app_exit_unknown(world: World) -> None:
    its = ident("subject", "app")
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != its]


@pytest.mark.parametrize("doubtful", [log_was_cut, app_exit_unknown])
def test_a_log_without_its_end_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = visible.visible()
    doubtful(world)
    assert world.judged(STATUS, tmp_path).observed == "inconclusive"


def not_in_the_column(world: World) -> None:
    """READY says 1/1 all the time, as for an init container."""
    world.commands = [one for one in world.commands if one["command"] != "kubectl get pod subject"]
    for at in (3.6, 4.9, 5.9):
        table(world, at, "1/1")


def column_does_not_fall(world: World) -> None:
    world.commands = [one for one in world.commands if "1/2" not in one["out"]]
    table(world, 4.9, "2/2")


def condition_does_not_fall(world: World) -> None:
    for one in world.watch:
        for condition in one["object"]["status"].get("conditions", ()):
            condition["status"] = "True"


@pytest.mark.parametrize(
    "wrong", [not_in_the_column, column_does_not_fall, condition_does_not_fall]
)
@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_readiness_without_the_sidecar(pattern: str, wrong: Break, tmp_path: Path) -> None:
    world = visible.visible(pattern)
    wrong(world)
    found = world.judged(READY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "uncounted"), found.reason


def test_ready_that_counts_a_probe_that_failed_by_the_way(tmp_path: Path) -> None:
    """READY and the pod's status agree on 1/2 before anything was asked: the machine was slow."""
    world = visible.visible()
    visible.looked(world, 3.55, sidecar=False)
    first = next(one for one in world.commands if one["command"] == "kubectl get pod subject")
    first["out"] = first["out"].replace("2/2", "1/2")
    visible.looked(world, 3.9, sidecar=True)
    found = world.judged(READY, tmp_path)
    assert found.observed == "inconclusive" and "another probe" in found.reason


def app_was_unready_too(world: World) -> None:
    """What fell may have been the app's doing."""
    for one in world.watch:
        for group in ("initContainerStatuses", "containerStatuses"):
            its = one["object"]["status"].get(group, ())
            if any(not container["ready"] for container in its):
                one["object"]["status"]["containerStatuses"][0]["ready"] = False


def never_made_unready(world: World) -> None:
    world.drop(world.steps, "sidecar.asked", path="/unready")


def never_seen_unready(world: World) -> None:
    world.watch = [
        one for one in world.watch
        if all(its["ready"] for its in one["object"]["status"].get("initContainerStatuses", ()))
    ]  # fmt: skip


def no_last_table(world: World) -> None:
    world.commands.pop()


@pytest.mark.parametrize(
    "doubtful", [app_was_unready_too, never_made_unready, never_seen_unready, no_last_table]
)
def test_readiness_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = visible.visible()
    doubtful(world)
    assert world.judged(READY, tmp_path).observed == "inconclusive"


def sidecar_not_in_the_metrics(world: World) -> None:
    metrics(world, sidecar=None, pod=125.0)


def pod_without_the_sidecar(world: World) -> None:
    metrics(world, sidecar=110.0, pod=15.0)


@pytest.mark.parametrize("wrong", [sidecar_not_in_the_metrics, pod_without_the_sidecar])
def test_metrics_that_leave_the_sidecar_out(wrong: Break, tmp_path: Path) -> None:
    world = visible.visible()
    wrong(world)
    found = world.judged(METRICS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "uncounted"), found.reason


def metrics_know_nobody(world: World) -> None:
    metrics(world, sidecar=None, pod=125.0, app=None)


def sampled_before_it_took_any(world: World) -> None:
    metrics(world, sidecar=12.0, pod=125.0)


def took_nothing(world: World) -> None:
    world.drop(world.stamps[f"subject.{SIDECAR}"], "sidecar.allocate")


def of_another_pod(world: World) -> None:
    text = world.extra["metrics.prom"]
    world.extra["metrics.prom"] = text.replace('pod="subject"', 'pod="other"')


@pytest.mark.parametrize(
    "doubtful", [metrics_know_nobody, sampled_before_it_took_any, took_nothing, of_another_pod]
)
def test_metrics_without_meaning_are_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = visible.visible()
    doubtful(world)
    assert world.judged(METRICS, tmp_path).observed == "inconclusive"


def restarts_missed(world: World) -> None:
    told(world, restarts=0, mebibytes=124.0)


def memory_missed(world: World) -> None:
    told(world, restarts=1, mebibytes=14.0)


@pytest.mark.parametrize("wrong", [restarts_missed, memory_missed])
def test_an_old_agent_that_misses_the_sidecar(wrong: Break, tmp_path: Path) -> None:
    world = visible.visible()
    wrong(world)
    found = world.judged(NAIVE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "miscounted"), found.reason


def nothing_restarted(world: World) -> None:
    """0 of 0 is no proof of counting."""
    world.index["pods"]["subject"]["containers"][SIDECAR]["ids"].pop()
    told(world, restarts=0, mebibytes=124.0)


def agent_was_not_asked(world: World) -> None:
    del world.extra["naive.jsonl"]


def pod_memory_too_small(world: World) -> None:
    metrics(world, sidecar=110.0, pod=15.0)


@pytest.mark.parametrize(
    "doubtful", [nothing_restarted, agent_was_not_asked, took_nothing, pod_memory_too_small]
)
def test_an_old_agent_without_anything_to_miss_is_inconclusive(
    doubtful: Break, tmp_path: Path
) -> None:
    world = visible.visible()
    doubtful(world)
    assert world.judged(NAIVE, tmp_path).observed == "inconclusive"


def test_the_old_agent_reads_container_statuses_only() -> None:
    world = visible.visible()
    looked(world, 9.0, sidecar=True)
    status = world.watch[-1]["object"]["status"]
    for one in (*status["initContainerStatuses"], *status["containerStatuses"]):
        one["restartCount"] = 2
    pod = {"metadata": {"name": "subject"}, "status": status}
    found = collect(pod, world.extra["metrics.prom"])
    assert (found["containers"], found["restarts"]) == (["app"], 2)
    assert found["memory_bytes"] == pytest.approx(14 * 2**20, rel=1e-5)

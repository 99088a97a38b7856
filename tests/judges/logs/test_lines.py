"""The log shippers' judges: every line is accounted for, and doubt is never a pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import ENVOY, GATEWAY, POD, World, ns, token
from tests.worlds import logs as worlds_logs
from tests.worlds.logs import arrives, deaf, forget

FIRST, LAST, CRASH = "logs.first", "logs.last", "logs.crash"
STARVED, MESH = "logs.starved", "logs.behind-mesh"
GATE, DEFAULT = "logs.health-gate", "logs.health-default"
BESIDE = "plaintext-while-the-sidecar-lived"
Break = Callable[[World], object]


def lines(world: World, role: str = "subject") -> int:
    return len(world.lines(f"{role}.app", "lines"))


# --- first and last ------------------------------------------------------------------------------


def test_native_delivers_every_line(tmp_path: Path) -> None:
    found = worlds_logs.logs().judged(LAST, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["lost"] == found.measured["came_twice"] == 0
    assert found.measured["written"] == found.measured["received"] == 97


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_job_delivers_every_line_in_both_patterns(tmp_path: Path, pattern: str) -> None:
    found = worlds_logs.job(pattern).judged(LAST, tmp_path)
    assert found.observed == "holds", found.reason


def test_classic_loses_what_comes_behind_the_shippers_signal(tmp_path: Path) -> None:
    found = worlds_logs.logs("classic").judged(LAST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")
    assert found.measured["lost"] == found.measured["lost_at_the_end"] == 50
    assert "after the shipper was told to end" in found.reason


def test_one_lost_line_in_the_middle_is_another_hazard(tmp_path: Path) -> None:
    world = worlds_logs.logs()
    forget(world, "subject", 40, 40)
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", "lost-lines", 1)


def test_only_the_very_last_line_lost_is_lost(tmp_path: Path) -> None:
    world = worlds_logs.logs()
    forget(world, "subject", lines(world) - 1, lines(world))
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", "lost-last", 1)


def crashes_for_good(world: World) -> None:
    """In the middle of its life, and nobody told it to end: all that comes behind is lost."""
    world.unexited(forge.ENVOY)
    world.exited(8.0, forge.ENVOY, 1)
    world.journal = [one for one in world.journal if forge.ENVOY not in one[1]]
    forget(world, "subject", 20, lines(world))


def crashes_and_is_told_later(world: World) -> None:
    crashes_for_good(world)
    second = "e2" * 32
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append(second)
    world.created(9.0, second)
    world.signalled(10.046, second)
    world.exited(15.2, second)


@pytest.mark.parametrize("crash", [crashes_for_good, crashes_and_is_told_later])
def test_a_shipper_that_crashed_did_not_lose_the_last_lines_by_its_signal(
    tmp_path: Path, crash: Break
) -> None:
    world = worlds_logs.logs("classic")
    crash(world)
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines"), found.reason


def test_a_line_sent_twice_does_not_stand_for_a_lost_one(tmp_path: Path) -> None:
    world = worlds_logs.logs()
    forget(world, "subject", 40, 41)
    arrives(world, 16.0, "subject", 42, 43)
    found = world.judged(LAST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")
    assert found.measured["came_twice"] == 2
    assert found.measured["out_of_order"] == 1


def test_the_first_lines_lost_break_the_first_promise_alone(tmp_path: Path) -> None:
    world = worlds_logs.logs()
    forget(world, "subject", 0, 6)
    found = world.judged(FIRST, tmp_path / "first")
    assert (found.observed, found.hazard) == ("broken", "lost-first")
    assert found.measured["lost_at_the_beginning"] == 7
    assert world.judged(LAST, tmp_path / "last").observed == "holds"


def another_cells_lines(world: World) -> None:
    """The sink got lines, but of another writer."""
    for line in world.lines("sink.sink", "sink.received"):
        line["runs"] = {"other": line["runs"]["subject"]}


def nothing_behind_the_signal(world: World) -> None:
    """The app ended at once: in a classic pod nothing would have been lost either."""
    world.lines("subject.app", "app.sigterm")[0]["ns"] = forge.ns(15.0)


def deleted_by_someone_else(world: World) -> None:
    """The scenario had not come to the deletion, and the app ended at its signal all the same."""
    nothing_behind_the_signal(world)
    world.drop(world.steps, "delete.asked")
    world.drop(world.steps, "delete.accepted")


def record_with_a_hole(world: World) -> None:
    world.drop(world.stamps["subject.app"], "lines", first=30)


def sink_stood_still(world: World) -> None:
    world.stamps["sink.sink"] = [
        one for one in world.stamps["sink.sink"] if not forge.ns(6) < one["ns"] < forge.ns(17)
    ]
    arrives(world, 17.1, "subject", 0, lines(world) - 1)


def too_slow(world: World) -> None:
    world.lines("subject.app", "app.started")[0]["rate"] = 10_000


def lines_from_nowhere(world: World) -> None:
    arrives(world, 17.0, "subject", 5000, 5000)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (another_cells_lines, "no line arrived at all"),
        (nothing_behind_the_signal, "by chance"),
        (deleted_by_someone_else, "by chance"),
        (record_with_a_hole, "has a hole"),
        (sink_stood_still, "no sign of life"),
        (too_slow, "too slow"),
        (lines_from_nowhere, "that nobody wrote"),
        (lambda world: world.drop(world.stamps["sink.sink"], "sink.asked"), "at rest"),
        (lambda world: world.lines("sink.sink", "sink.asked")[0].update(active=1), "at rest"),
        (lambda world: world.stamp(12.0, "sink.sink", "sink.last"), "at rest"),
        (lambda world: world.stamp(6.0, "sink.sink", "sink.started"), "twice"),
        (lambda world: world.drop(world.stamps["subject.app"], "app.last"), "its last line"),
        (lambda world: world.drop(world.stamps["subject.app"], "lines"), "wrote no line"),
        (lambda world: world.index["admitted"].update(pattern="none"), "never injected"),
    ],
)
def test_worlds_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds_logs.logs()
    doubtful(world)
    found = world.judged(LAST, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- crash ---------------------------------------------------------------------------------------


def test_a_crash_that_loses_nothing(tmp_path: Path) -> None:
    found = worlds_logs.crash().judged(CRASH, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["came_twice"] == 2
    assert found.measured["refused_before_the_crash"] == 4


def test_a_crash_that_loses_what_was_refused(tmp_path: Path) -> None:
    world = worlds_logs.crash()
    forget(world, "subject", 12, 15)
    found = world.judged(CRASH, tmp_path)
    assert (found.observed, found.hazard, found.measured["lost"]) == ("broken", "lost-lines", 4)


def never_killed(world: World) -> None:
    world.exited(7.56, forge.ENVOY, 0)


def nothing_refused(world: World) -> None:
    world.drop(world.stamps["sink.sink"], "sink.refused")


def did_not_go_on(world: World) -> None:
    forget(world, "subject", 20, 200)


def not_started_again(world: World) -> None:
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"].pop()


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (never_killed, "by a SIGKILL"),
        (nothing_refused, "nothing was at stake"),
        (did_not_go_on, "did not go on"),
        (not_started_again, "a second time"),
        (lambda world: world.drop(world.steps, "sidecar.resumed"), "did not come to"),
    ],
)
def test_crashes_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds_logs.crash()
    doubtful(world)
    found = world.judged(CRASH, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_lines_lost_before_anything_was_refused_are_no_crashs(tmp_path: Path) -> None:
    """The shipper had skipped the file's beginning; the crash cost nothing."""
    world = worlds_logs.crash()
    forget(world, "subject", 0, 3)
    found = world.judged(CRASH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-elsewhere"), found.reason


# --- starved -------------------------------------------------------------------------------------


def killed_over_its_lines(world: World) -> None:
    world.unexited(forge.ENVOY)
    world.exited(17.2, forge.ENVOY, 137)
    forget(world, "subject", lines(world) - 9, lines(world))


def test_a_shipper_that_had_time_enough(tmp_path: Path) -> None:
    found = worlds_logs.starved().judged(STARVED, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_starved_shipper_and_its_patient_twin(tmp_path: Path) -> None:
    world = worlds_logs.starved()
    killed_over_its_lines(world)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "starved")
    assert (found.measured["lost"], found.measured["patient_lost"]) == (9, 0)
    assert found.measured["shipper_had_seconds"] == pytest.approx(2.0)


def test_a_loss_that_time_does_not_heal_is_another_hazard(tmp_path: Path) -> None:
    world = worlds_logs.starved()
    killed_over_its_lines(world)
    forget(world, "patient", 80, 200)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")


def test_a_loss_of_a_shipper_that_ended_by_itself_is_not_starved(tmp_path: Path) -> None:
    world = worlds_logs.starved()
    forget(world, "subject", lines(world) - 9, lines(world))
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")


def test_lines_lost_in_the_middle_are_no_last_ones(tmp_path: Path) -> None:
    world = worlds_logs.starved()
    forget(world, "subject", 40, 41)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")


def test_a_shipper_that_was_killed_before_its_signal_was_not_starved(tmp_path: Path) -> None:
    """For its memory, say: the code is the same."""
    world = worlds_logs.starved()
    killed_over_its_lines(world)
    world.unexited(forge.ENVOY)
    world.exited(14.0, forge.ENVOY, 137)
    found = world.judged(STARVED, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")


def test_an_app_that_ended_in_time_starves_nobody(tmp_path: Path) -> None:
    world = worlds_logs.starved()
    world.exited(15.11, forge.APP, 0)
    found = world.judged(STARVED, tmp_path)
    assert found.observed == "inconclusive"
    assert "was not killed" in found.reason


def test_without_a_patient_pod_of_the_same_pattern_nothing_is_proven(tmp_path: Path) -> None:
    world = worlds_logs.starved()
    for line in world.watch:
        if line["object"]["metadata"]["name"] == "patient":
            line["object"]["spec"] = worlds_logs.worlds.spec("classic")
    found = world.judged(STARVED, tmp_path)
    assert found.observed == "inconclusive"
    assert "no patient pod" in found.reason


# --- the health endpoint -------------------------------------------------------------------------


def test_a_gate_that_waits_for_the_sink(tmp_path: Path) -> None:
    found = worlds_logs.gate().judged(GATE, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_gate_that_opens_without_a_sink(tmp_path: Path) -> None:
    world = worlds_logs.gate()
    world.lines("sink.sink", "sink.listening")[0]["ns"] = forge.ns(8.0)
    found = world.judged(GATE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "gate-open")
    assert found.measured["written_while_the_sink_was_down"] == 27


def as_one(world: World) -> None:
    world.lines("sink.sink", "sink.listening")[0]["ns"] = forge.ns(5.31)


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (as_one, "began as the sink did"),
        (lambda world: world.drop(world.steps, "subject.bound"), "nobody waited"),
        (lambda world: world.drop(world.stamps["sink.sink"], "sink.listening"), "never listened"),
    ],
)
def test_gates_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds_logs.gate()
    doubtful(world)
    found = world.judged(GATE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_an_endpoint_that_nobody_reaches(tmp_path: Path) -> None:
    found = deaf(worlds_logs.gate()).judged(DEFAULT, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "never-answered")
    assert found.measured["failed_probes"] == 8


def its_shipper_crashed(world: World) -> None:
    for line in world.watch:
        for one in line["object"].get("status", {}).get("initContainerStatuses", ()):
            one["restartCount"] = 2


def its_app_started(world: World) -> None:
    world.stamp(12.0, "deaf.app", "app.started", rate=10)


def no_probe_failed(world: World) -> None:
    world.watch = [one for one in world.watch if one["kind"] != "Event"]


def another_pods_probe_failed(world: World) -> None:
    for line in world.watch:
        if line["kind"] == "Event":
            line["object"]["involvedObject"]["uid"] = "uid-other"


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (its_shipper_crashed, "did not run all the time"),
        (its_app_started, "is not clear"),
        (no_probe_failed, "0 failed probes"),
        (another_pods_probe_failed, "0 failed probes"),
        (lambda world: world.stamps.pop("subject.app"), "twin"),
    ],
)
def test_unanswered_endpoints_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = deaf(worlds_logs.gate())
    doubtful(world)
    found = world.judged(DEFAULT, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- beside a mesh's proxy -----------------------------------------------------------------------


def test_the_proxy_outlives_the_shipper(tmp_path: Path) -> None:
    found = worlds_logs.mesh().judged(MESH, tmp_path)
    assert found.observed == "holds", found.reason
    assert float(str(found.measured["proxy_outlived_shipper_seconds"])) > 1


def test_lines_that_leave_in_clear(tmp_path: Path) -> None:
    world = worlds_logs.mesh()
    world.leak(15.15, "x")
    forget(world, "subject", 0, 200)
    found = world.judged(MESH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["lost"] == 97


def test_lines_lost_without_plaintext_are_another_hazard(tmp_path: Path) -> None:
    world = worlds_logs.mesh()
    forget(world, "subject", 90, 200)
    found = world.judged(MESH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last")


def test_first_lines_lost_beside_a_proxy_are_no_last_ones(tmp_path: Path) -> None:
    world = worlds_logs.mesh()
    forget(world, "subject", 0, 5)
    found = world.judged(MESH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines")


def other_order(world: World) -> None:
    for line in world.watch:
        line["object"]["spec"]["initContainers"].sort(key=lambda one: one["name"] == "envoy")


def no_tls(world: World) -> None:
    world.frames = [one for one in world.frames if one[0] < forge.ns(9.9) or one[1][12] == 0x88]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (other_order, "comes first in the admitted pod"),
        (no_tls, "bytes of TLS"),
        (lambda world: world.drop_beacon(120), "capture blind"),
    ],
)
def test_proxies_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = worlds_logs.mesh()
    doubtful(world)
    found = world.judged(MESH, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def test_logs_plaintext_beside_a_living_proxy(tmp_path: Path) -> None:
    """The redirection never was: the shipper's last act is in clear, and the proxy outlives it."""
    world = worlds_logs.mesh()
    world.leak(14.5, token("drain", 999))  # the proxy lives until 16.75
    found = world.judged("logs.behind-mesh", tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)


def test_gate_of_a_shipper_that_is_slow_to_come_up(tmp_path: Path) -> None:
    """Its container runs, its program listens only at 4.6: nobody asked it anything before the
    sink was opened at 4.5. The gate is as weak as ever."""
    world = worlds_logs.gate()
    world.frames = [
        one for one in world.frames if not (ns(4.0) < one[0] < ns(4.3) and b"HTTP/1." in one[1])
    ]
    for at in (3.0, 4.1):
        world.frames += wire.refused(ns(at), (GATEWAY, world.next_port()), (POD, 15021), (POD,))
    found = world.judged("logs.health-gate", tmp_path)
    assert found.observed == "inconclusive" and "answered no probe" in found.reason, found.reason


def test_gate_that_the_app_did_not_wait_for(tmp_path: Path) -> None:
    """The app begins at 1.1 beside its shipper, whose probe passes at 5.0 only."""
    world = worlds_logs.logs("classic")
    world.index["cell"]["scenario"] = "logs-gate"
    world.drop(world.stamps["sink.sink"], "sink.listening")
    world.stamp(4.5, "sink.sink", "sink.listening", port=8080)
    found = world.judged("logs.health-gate", tmp_path)
    assert found.observed == "inconclusive" and "did not wait" in found.reason, found.reason


def test_first_lines_lost_by_a_shipper_that_crashed(tmp_path: Path) -> None:
    world = worlds_logs.logs("classic")
    world.index["cell"]["mode"] = "lazy"
    world.index["pods"]["subject"]["containers"]["envoy"]["ids"] = ["9" * 64, ENVOY]
    world.created(0.95, "9" * 64)
    world.exited(2.0, "9" * 64, 137)
    world.runtime = [
        (ns(3.0), *one[1:])
        if one[1] == "/tasks/create" and one[2]["container_id"] == ENVOY
        else one
        for one in world.runtime
    ]
    worlds_logs.forget(world, "subject", 0, 15)
    found = world.judged("logs.first", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-lines"), found.reason


def test_a_shipper_that_was_killed_at_once_did_not_starve(tmp_path: Path) -> None:
    """The kernel kills it, for memory, 0.2 s after its signal; the kubelet gives it 2 s."""
    world = worlds_logs.starved()
    world.unexited(ENVOY)
    world.exited(15.4, ENVOY, 137)
    count = len(world.lines("subject.app", "lines"))
    worlds_logs.forget(world, "subject", count - 5, count - 1)
    found = world.judged("logs.starved", tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-last"), found.reason

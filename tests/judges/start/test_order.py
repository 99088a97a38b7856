"""start.order and start.first-request: proof needs the worst stamps, and the very first run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.judges.start import order as start
from conformance.plan.sidecars import REGISTRY
from conformance.verdicts import expectations
from tests.forge import bundle as forge
from tests.forge.bundle import World, ns
from tests.worlds import lifecycle

ORDER, FIRST = "start.order", "start.first-request"
Break = Callable[[World], object]


def test_native_order_holds_with_its_gap(tmp_path: Path) -> None:
    found = lifecycle.lifecycle().judged(ORDER, tmp_path)
    assert found.observed == "holds"
    # from the end of the 200's head (frame 5 of the probe, 4 ms in) to /tasks/create, less its lag
    assert found.measured["smallest_ordered_gap_ms"] == pytest.approx(294, abs=3)
    files = [one.file for one in found.evidence]
    assert files == ["capture/subject/eth0.pcap", "runtime.log", "stamps/subject.app.jsonl"]
    assert found.evidence[0].frame
    assert found.evidence[1].line


def test_classic_order_is_wrong_by_the_start_delay(tmp_path: Path) -> None:
    found = lifecycle.lifecycle("classic").judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order")
    assert found.measured["app_ahead_ms"] > 3000


def no_beacon(world: World) -> None:
    world.frames = [one for one in world.frames if b"SCB1" not in one[1]]


def test_order_that_holds_needs_no_beacon(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    no_beacon(world)
    assert world.judged(ORDER, tmp_path).observed == "holds"


def test_that_envoy_was_not_even_started_needs_no_beacon(tmp_path: Path) -> None:
    world = lifecycle.lifecycle("classic")
    no_beacon(world)
    found = world.judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order")
    assert "envoy was started" in found.reason


def test_a_blind_capture_cannot_blame_the_app(tmp_path: Path) -> None:
    """An earlier 200 may have been missed, and the sidecar has no stamps of its own."""
    world = lifecycle.lifecycle("classic")
    no_beacon(world)
    del world.stamps["subject.envoy"]
    assert world.judged(ORDER, tmp_path).observed == "inconclusive"


def test_a_capture_that_was_blind_before_the_app_came_cannot_blame_it(tmp_path: Path) -> None:
    """The 200 that opened the gate may have passed just then, and the next one is not the first."""
    world = lifecycle.lifecycle()
    probed_by_another(world)
    world.drop(world.stamps["subject.envoy"], "sidecar.exec")
    for seq in (48, 49):  # from 4.8 to 5.1 s, before the app's creation at 5.3 s
        world.drop_beacon(seq)
    assert world.judged(ORDER, tmp_path).observed == "inconclusive"


def only_the_second_run_waited(world: World) -> None:
    """The app ran too early, crashed, and was started again after the probe."""
    world.index["pods"]["subject"]["containers"]["app"]["ids"] = ["b" * 64, forge.APP]
    world.created(1.1, "b" * 64)
    world.exited(2.0, "b" * 64, 1)
    world.stamp(1.15, "subject.app", "app.started")


def probed_by_another(world: World) -> None:
    """The first 200s are not the kubelet's; its own comes after the app began."""
    _without_probes(world)
    world.probe(5.0, "200 OK", source=forge.DIALER)
    world.probe(5.05, "200 OK", agent="curl/8")
    world.probe(6.2, "200 OK")


def probe_said_no(world: World) -> None:
    _without_probes(world)
    world.probe(5.0, "503 Service Unavailable")
    world.probe(6.2, "200 OK")


def _without_probes(world: World) -> None:
    world.frames = [one for one in world.frames if b"\x3a\xad" not in one[1][34:38]]


@pytest.mark.parametrize("wrong", [only_the_second_run_waited, probed_by_another, probe_said_no])
def test_native_worlds_with_a_wrong_order(tmp_path: Path, wrong: Break) -> None:
    world = lifecycle.lifecycle()
    wrong(world)
    found = world.judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order"), found.reason


def answer_in_pieces(world: World) -> None:
    """The 200's head ends only after the app was created: the kubelet cannot have known before."""
    _without_probes(world)
    ask = b"GET /healthz/ready HTTP/1.1\r\nUser-Agent: kube-probe/1.33\r\n\r\n"
    pieces = (0, ask), (1, b"HTTP/1.1 200 OK\r\n"), (1, b"Content-Length: 0\r\n\r\n")
    world.talk(4.5, (forge.GATEWAY, 9999), (forge.POD, 15021), *pieces, step=200_000_000)


def create_and_200_at_once(world: World) -> None:
    """/tasks/create before the 200, the app's own stamp after it: either may be true."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.APP]
    world.created(4.99, forge.APP)
    world.exited(15.11, forge.APP)


def within_the_publishers_lag(world: World) -> None:
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.APP]
    world.created(5.005, forge.APP)


def test_a_status_without_a_word_behind_it_is_one(tmp_path: Path) -> None:
    """Fluent Bit answers "HTTP/1.1 200" and no more; the kubelet takes it."""
    world = lifecycle.lifecycle()
    _without_probes(world)
    world.probe(5.0, "200")
    found = world.judged(ORDER, tmp_path)
    assert found.observed == "holds", found.reason


def no_probe(world: World) -> None:
    _without_probes(world)


def runtime_lost_a_run(world: World) -> None:
    world.stamp(5.2, "subject.app", "app.started")


def no_create(world: World) -> None:
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.APP]


def never_started(world: World) -> None:
    world.drop(world.stamps["subject.app"], "app.started")


def not_injected(world: World) -> None:
    world.index["admitted"] = {"pattern": "none", "why": "no sidecar in the pod"}


def not_as_the_index_says(world: World) -> None:
    for line in world.watch:
        line["object"]["spec"] = lifecycle.spec("classic")


def clock_stepped(world: World) -> None:
    for lines in world.stamps.values():
        for one in lines:
            if one["ns"] > ns(8):
                one["mono_ns"] -= 50_000_000


def no_index(world: World) -> None:
    world.missing.add("runtime.log")


INCONCLUSIVE = [
    (no_probe, "no successful startup probe"),
    (runtime_lost_a_run, "runtime.log knows 1"),
    (no_create, "no /tasks/create"),
    (never_started, "never started"),
    (not_injected, "sidecar never injected"),
    (not_as_the_index_says, "sidecar never injected"),
    (clock_stepped, "clock unusable"),
    (no_index, "runtime.log is missing"),
]


@pytest.mark.parametrize(("doubtful", "said"), INCONCLUSIVE)
def test_what_cannot_carry_an_order(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    found = world.judged(ORDER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason
    assert not found.retry


@pytest.mark.parametrize(
    "at_once", [answer_in_pieces, create_and_200_at_once, within_the_publishers_lag]
)
def test_what_comes_at_once_has_no_order(tmp_path: Path, at_once: Break) -> None:
    world = lifecycle.lifecycle()
    at_once(world)
    found = world.judged(ORDER, tmp_path)
    assert found.observed == "measured", found.reason
    assert "cannot be told apart" in found.reason
    assert isinstance(found.measured["overlap_ms"], float)


def test_what_comes_at_once_after_a_hole_is_not_measured(tmp_path: Path) -> None:
    """The 200 in the capture may be the second."""
    world = lifecycle.lifecycle()
    answer_in_pieces(world)
    world.drop(world.stamps["subject.envoy"], "sidecar.exec")
    for seq in range(40, 44):
        world.drop_beacon(seq)
    found = world.judged(ORDER, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "cannot be excluded" in found.reason


# --- the first request


def test_the_first_request_holds(tmp_path: Path) -> None:
    found = lifecycle.lifecycle().judged(FIRST, tmp_path)
    assert found.observed == "holds"
    assert found.measured["after_first_instruction_ms"] == pytest.approx(10)
    assert [one.file for one in found.evidence] == [
        "stamps/subject.app.jsonl",
        "stamps/peer.app.jsonl",
    ]


@pytest.mark.parametrize(
    ("outcome", "hazard"),
    [
        ("refused", "refused"),
        ("reset", "reset"),
        ("closed", "lost-request"),
        ("timeout", "timed-out"),
        ("wrong", "lost-request"),
    ],
)
def test_each_way_to_lose_the_first_request(tmp_path: Path, outcome: str, hazard: str) -> None:
    world = lifecycle.lifecycle("classic")
    (end,) = world.lines("subject.app", "request.end", kind="first")
    end["outcome"] = outcome
    found = world.judged(FIRST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard)
    assert found.evidence[0].line


@pytest.mark.parametrize("outcome", ["refused", "reset", "closed", "wrong"])
def test_what_is_lost_behind_a_ready_sidecar_is_not_lost_to_the_start(
    tmp_path: Path, outcome: str
) -> None:
    """The peer was away, say: no control arm expects that."""
    world = lifecycle.lifecycle()
    (end,) = world.lines("subject.app", "request.end", kind="first")
    end["outcome"] = outcome
    found = world.judged(FIRST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", start.BEHIND)
    rows = [one for one in expectations.table() if start.BEHIND in one.expectation.hazards]
    assert rows
    for row in rows:  # only where the app is out of the sidecar's reach, to prove that judges see
        (sidecar,) = row.conditions["sidecar"]
        assert set(row.conditions["mode"]) <= set(REGISTRY[sidecar].controls), row


def test_only_the_second_run_was_answered(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.stamp(4.0, "subject.app", "app.started")
    world.attempt(4.01, "subject.app", "first", 0, "refused")
    found = world.judged(FIRST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "refused")


def test_never_ended_while_the_app_came_to_its_end(tmp_path: Path) -> None:
    world = lifecycle.lifecycle("classic")
    world.drop(world.stamps["subject.app"], "request.end", kind="first")
    found = world.judged(FIRST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "lost-request")


def test_answered_past_the_sidecar(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    (begin,) = world.lines("subject.app", "request.begin", kind="first")
    begin["via"] = "proxy"
    found = world.judged(FIRST, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "bypassed")


def sent_late(world: World) -> None:
    (started,) = world.lines("subject.app", "app.started")
    started["ns"] -= 2_000_000_000
    started["mono_ns"] -= 2_000_000_000


def never_sent(world: World) -> None:
    world.drop(world.stamps["subject.app"], "request.begin", kind="first")


def answered_by_nobody(world: World) -> None:
    its = forge.token("first", 0)
    world.drop(world.stamps["peer.app"], "served", token=its)


def neither_end(world: World) -> None:
    world.drop(world.stamps["subject.app"], "request.end", kind="first")
    world.drop(world.stamps["subject.app"], "app.last")


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (sent_late, "not its first act"),
        (never_sent, "never sent"),
        (answered_by_nobody, "never served it"),
        (neither_end, "neither its end"),
        (never_started, "never said"),
        (not_injected, "sidecar never injected"),
        (clock_stepped, "clock unusable"),
    ],
)
def test_what_cannot_carry_a_first_request(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    found = world.judged(FIRST, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

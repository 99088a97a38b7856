"""inbound.bypass, crash.bypass: one answer is enough, and no knock is no proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, ns
from tests.worlds import crash, lifecycle
from tests.worlds.crash import came_back_once_only, never_died

BYPASS, CRASH = "inbound.bypass", "crash.bypass"
ANSWERED, BESIDE = "answered", "answered-while-the-sidecar-lived"
Break = Callable[[World], object]


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_without_an_answer_it_holds(tmp_path: Path, pattern: str) -> None:
    found = lifecycle.lifecycle(pattern).judged(BYPASS, tmp_path)
    assert found.observed == "holds"
    assert found.measured["startup_dials"] >= 5
    assert found.measured["shutdown_dials"] >= 5
    assert found.measured["startup_syns_arrived"] >= 5
    assert found.measured["probe_dials_by_outcome"] == {"ok": 8}
    assert found.evidence


@pytest.mark.parametrize(
    ("at", "kind", "window"),
    [(1.2, "dial", "startup"), (8.0, "dial-tls", "steady"), (16.85, "dial", "shutdown")],
)
def test_an_answer_is_told_with_its_window_and_frame(
    tmp_path: Path, at: float, kind: str, window: str
) -> None:
    world = lifecycle.lifecycle()
    its = world.dial(at, kind, 900, "ok")
    found = world.judged(BYPASS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE if window == "steady" else ANSWERED)
    assert found.measured["answered_by_window"] == {window: 1}
    line, frame = found.evidence
    assert its in line.text
    assert line.file == "stamps/dialer.dialer.jsonl"
    assert frame.file == "capture/subject/eth0.pcap"
    assert frame.frame
    assert its in frame.text


def app_served_it(world: World) -> None:
    """The dialer was cut off before the answer came, but its request had reached the app."""
    its = world.dial(8.05, "dial", 900, "reset")
    world.served(8.06, 8.07, "subject.app", its, forge.DIALER)


def answered_too_late_for_the_dialer(world: World) -> None:
    """The dialer lost patience; the answer is on the wire all the same."""
    its = world.dial(8.05, "dial", 900, "timeout")
    says = (0, forge.clear_request(its)), (1, forge.clear_answer(its))
    world.talk(8.05, (forge.DIALER, 7777), (forge.POD, 8080), *says)


@pytest.mark.parametrize("answer", [app_served_it, answered_too_late_for_the_dialer])
def test_an_answer_that_the_dialer_never_saw(tmp_path: Path, answer: Break) -> None:
    world = lifecycle.lifecycle()
    answer(world)
    found = world.judged(BYPASS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)


def test_strangers_that_are_answered_all_the_time_need_no_window(tmp_path: Path) -> None:
    """A redirection that never worked: answered before the proxy's life, in it, and behind it."""
    world = lifecycle.lifecycle("classic")
    for number, at in enumerate((1.2, 8.0, 16.85), 900):
        world.dial(at, "dial", number, "ok")
    found = world.judged(BYPASS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)


def test_an_answer_counts_without_a_capture(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.dial(8.0, "dial", 900, "ok")
    world.missing.add("capture/subject/eth0.pcap")
    assert world.judged(BYPASS, tmp_path).observed == "broken"


def test_an_answer_that_is_not_the_apps_is_none(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.dial(8.05, "dial", 900, "wrong")
    assert world.judged(BYPASS, tmp_path).observed == "holds"


def _without_dials(world: World, begin: float, end: float) -> None:
    world.stamps["dialer.dialer"] = [
        one
        for one in world.stamps["dialer.dialer"]
        if not (ns(begin) <= one["ns"] <= ns(end)) or "dial-probe" in one.get("token", "")
    ]


def too_few_at_the_end(world: World) -> None:
    _without_dials(world, 10.4, 17)


def a_pause(world: World) -> None:
    _without_dials(world, 12, 15.2)


def nothing_arrived(world: World) -> None:
    """The dialer talked to another pod: its knocks are not on this one's wire."""
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]
    world.frames = [one for one in world.frames if dialer not in one[1][26:34]]


def hardly_arrived(world: World) -> None:
    """Of all its knocks after the deletion one came through."""
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]
    world.frames = [one for one in world.frames if dialer not in one[1][26:34] or one[0] < ns(10.2)]


def arrived_with_a_hole(world: World) -> None:
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]
    world.frames = [
        one for one in world.frames
        if dialer not in one[1][26:34] or not ns(11.8) < one[0] < ns(15.2)
    ]  # fmt: skip


def control_not_answered(world: World) -> None:
    for end in world.lines("dialer.dialer", "request.end", kind="dial-probe"):
        end["outcome"] = "refused"


def dialer_died(world: World) -> None:
    world.drop(world.stamps["dialer.dialer"], "request.end", kind="dial")


def no_window(world: World) -> None:
    world.drop(world.agent, "beacon.last")


def not_injected(world: World) -> None:
    world.index["admitted"]["pattern"] = "none"


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (too_few_at_the_end, "dials in the shutdown window"),
        (a_pause, "paused for 3."),
        (nothing_arrived, "did not arrive"),
        (hardly_arrived, "did not arrive"),
        (arrived_with_a_hole, "or did not arrive"),
        (control_not_answered, "probe port"),
        (dialer_died, "never recorded"),
        (no_window, "did not last"),
        (not_injected, "never injected"),
        (lambda world: world.missing.add("stamps/dialer.dialer.jsonl"), "dialer.jsonl is missing"),
        (lambda world: world.missing.add("capture/subject/eth0.pcap"), "eth0.pcap is missing"),
    ],
)
def test_what_cannot_carry_a_verdict(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = lifecycle.lifecycle()
    doubtful(world)
    found = world.judged(BYPASS, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


# --- crash.bypass


def test_strangers_that_were_answered_before_the_crash_are_another_hazard(tmp_path: Path) -> None:
    world = crash.crash()
    for seq in range(60):
        world.dial(7.0 + seq * 0.45, "dial", 900 + seq, "ok")
    found = world.judged(CRASH, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "answered-while-the-sidecar-lived")


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_stranger_is_not_answered_while_it_is_away(tmp_path: Path, pattern: str) -> None:
    found = crash.crash(pattern).judged(CRASH, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["crash_dials"] > 20
    assert found.measured["proxy_crash_syns_arrived"] > 50


@pytest.mark.parametrize(
    ("at", "where"), [(10.5, {"crash": 1}), (30.0, {"proxy crash": 1}), (8.0, None), (16.5, None)]
)
def test_an_answer_counts_in_the_windows_of_crashes_only(
    tmp_path: Path, at: float, where: dict[str, int] | None
) -> None:
    world = crash.crash()
    world.dial(at, "dial", 900, "ok")
    found = world.judged(CRASH, tmp_path)
    assert found.observed == ("broken" if where else "holds"), found.reason
    if where:
        assert found.hazard == "answered"
        assert found.measured["answered_by_window"] == where


def nobody_dialled(world: World) -> None:
    world.stamps["dialer.dialer"] = [
        one
        for one in world.stamps["dialer.dialer"]
        if "dial-probe" in one["token"] or not ns(10.15) < one["ns"] < ns(15.1)
    ]


def no_dial_arrived(world: World) -> None:
    dialer = wire.ip(forge.DIALER, forge.POD, 6, b"")[12:16]
    world.frames = [one for one in world.frames if dialer not in one[1][26:34]]


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (nobody_dialled, "0 dials without a sidecar (crash), and 5 are needed"),
        (no_dial_arrived, "did not arrive"),
        (never_died, "was made to 2 times"),
        (came_back_once_only, "never came back"),
    ],
)
def test_dials_that_show_nothing(tmp_path: Path, doubtful: Break, said: str) -> None:
    world = crash.crash()
    doubtful(world)
    found = world.judged(CRASH, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason

"""Coverage: which blindness of the capture is noticed, and which lateness is forgiven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.evidence.bundle import Bundle
from conformance.evidence.packets.coverage import Blind
from conformance.evidence.views import from_inside
from conformance.model import Window
from tests.forge import bundle as forge
from tests.forge import wire
from tests.worlds import lifecycle

EARLY = Window("early", forge.ns(1), forge.ns(6))
LATE = Window("late", forge.ns(10), forge.ns(17))


def problems(world: forge.World, folder: Path, window: Window, *, to_the_end: bool) -> list[str]:
    bundle = Bundle.open(world.write(folder / "bundle"))
    found = from_inside(bundle, lambda _: None).problems(window, to_the_end=to_the_end)
    return [one.why if isinstance(one, Blind) else one for one in found]


def both(world: forge.World, folder: Path) -> tuple[list[str], list[str]]:
    return (
        problems(world, folder / "early", EARLY, to_the_end=False),
        problems(world, folder / "late", LATE, to_the_end=True),
    )


def test_a_whole_capture_covers_both_windows(tmp_path: Path) -> None:
    assert both(lifecycle.lifecycle(), tmp_path) == ([], [])


@pytest.mark.parametrize(("seq", "early", "late"), [(30, True, False), (130, False, True)])
def test_a_missing_number_blinds_the_window_that_it_lies_in(
    tmp_path: Path, seq: int, early: bool, late: bool
) -> None:
    world = lifecycle.lifecycle()
    world.drop_beacon(seq)
    found = both(world, tmp_path)
    assert [bool(one) for one in found] == [early, late]
    assert f"missing: {seq}" in str(found)


def test_a_late_beacon_is_no_gap(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    for seq in range(30, 60):  # the machine stood still for 3 s, and then made up for it
        world.drop_beacon(seq)
        at = forge.ns(6 + seq / 1000)
        world.frames.append(wire.beacon(forge.BOOT, seq, at, "beat"))
    assert problems(world, tmp_path, EARLY, to_the_end=False) == []


def test_a_capture_that_dies_covers_what_was_before(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.frames = [one for one in world.frames if one[0] < forge.ns(9)]
    world.agent = [one for one in world.agent if one["ns"] < forge.ns(9)]
    world.note(9.0, "ended", code=-9)
    early, late = both(world, tmp_path)
    assert early == []
    assert any("none that says it is the last" in one for one in late)


def no_anchor(world: forge.World) -> None:
    world.drop_beacon(0)


def no_beacon(world: forge.World) -> None:
    world.frames = [one for one in world.frames if b"SCB1" not in one[1]]


def another_boot(world: forge.World) -> None:
    world.frames.append(wire.beacon("f" * 16, 0, forge.ns(3), "first"))


def no_counters(world: forge.World) -> None:
    world.drop(world.agent, "counters")


def repeated(world: forge.World) -> None:
    world.frames.append(wire.beacon(forge.BOOT, 20, forge.ns(3.05), "beat"))


def more_captured_than_kept(world: forge.World) -> None:
    world.agent[-2]["captured"] = 1_000_000


@pytest.mark.parametrize("blind", [no_anchor, no_beacon, another_boot, no_counters])
def test_what_is_lacking_altogether_blinds_everything(tmp_path: Path, blind: Any) -> None:
    world = lifecycle.lifecycle()
    blind(world)
    early, late = both(world, tmp_path)
    assert early
    assert late


def test_a_number_that_comes_twice_is_no_proof(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    repeated(world)
    assert both(world, tmp_path)[0]


def test_packets_that_were_captured_and_are_not_in_the_file(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    more_captured_than_kept(world)
    early, late = both(world, tmp_path)
    assert "file holds" in early[0]
    assert "file holds" in late[0]


@pytest.mark.parametrize(("second", "early", "late"), [(3, True, False), (12, False, True)])
def test_drops_are_bounded_by_the_samples_around_them(
    tmp_path: Path, second: int, early: bool, late: bool
) -> None:
    world = lifecycle.lifecycle()
    for line in world.agent:
        if line["event"] == "counters" and line["ns"] > forge.ns(second):
            line["dropped"] = 4
    found = both(world, tmp_path)
    assert [bool(one) for one in found] == [early, late]
    assert "4 packets dropped" in str(found)


def test_the_end_needs_the_final_counters(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    del world.agent[-2]
    early, late = both(world, tmp_path)
    assert early == []
    assert late == ["tcpdump's final counters are missing"]


def test_final_are_only_the_counters_beside_the_end(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.drop(world.agent, "ended")
    early, late = both(world, tmp_path)
    assert early == []
    assert late == ["tcpdump's final counters are missing"]


def test_counters_must_be_read_behind_the_window(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.agent = [
        one for one in world.agent if one["event"] != "counters" or one["ns"] < forge.ns(5)
    ]
    assert problems(world, tmp_path, EARLY, to_the_end=False)


def test_a_last_number_that_the_capture_never_saw(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.drop_beacon(169)
    assert both(world, tmp_path)[1]


def test_a_capture_cut_in_its_last_record(tmp_path: Path) -> None:
    bundle = lifecycle.lifecycle().write(tmp_path / "bundle")
    index = bundle / "cell.json"
    path = bundle / "capture/subject/eth0.pcap"
    path.write_bytes(path.read_bytes()[:-10])
    raw = json.loads(index.read_text())
    raw["files"] = {}
    index.write_text(json.dumps(raw))
    found = from_inside(Bundle.open(bundle), lambda _: None)
    assert found.problems(EARLY, to_the_end=False) == []
    assert found.problems(LATE, to_the_end=True)

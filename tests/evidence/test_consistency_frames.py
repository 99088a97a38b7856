"""Frames against what programs say of them: single defects, each beside a change that is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.evidence.bundle import Bundle
from tests.evidence.contradicting import Break, reasons, require_sound, require_struck, whole
from tests.evidence.test_consistency import all_frames
from tests.forge.bundle import DIALER, PEER_SERVICE, POD, World, clear_request, ns, token
from tests.forge.told import told


def cut(begin: float, end: float, keep: Callable[[bytes], bool] = lambda _: False) -> Break:
    """Frames of a time are cut away from both captures, but for the beacons."""

    def change(world: World) -> None:
        world.frames = [
            (at, frame)
            for at, frame in world.frames
            if b"SCB1 " in frame or keep(frame) or not ns(begin) <= at < ns(end)
        ]

    return change


def is_of(address: str) -> Callable[[bytes], bool]:
    raw = bytes(map(int, address.split(".")))
    return lambda frame: raw in (frame[26:30], frame[30:34])


def is_not_of(address: str) -> Callable[[bytes], bool]:
    return lambda frame: not is_of(address)(frame)


def cut_and_dropped(world: World) -> None:
    """The capture itself says that it dropped some."""
    cut(12.0, 13.0)(world)
    for line in world.agent:
        if line["event"] == "counters" and line["ns"] > ns(12.0):
            line["dropped"] = 5


def blind(world: World) -> None:
    """A beacon is missing, and the frames around it."""
    world.drop_beacon(119)
    cut(12.0, 12.1)(world)


def dialled(at: float, seq: int, nonce: str = "") -> Break:
    """A dial that stands on the wire alone, and is turned away."""
    its = token("dial", seq, "dialer")
    if nonce:
        its = its.replace(its.split(".")[1], nonce)

    def change(world: World) -> None:
        ends = (DIALER, world.next_port()), (POD, 8080)
        world.talk(at, *ends, (0, clear_request(its)), end="rst")

    return change


def leaked(its: str, at: float = 12.0) -> Break:
    return lambda world: world.leak(at, its)


def local_only(world: World) -> None:
    """The app is answered by its own pod: nothing of it passes eth0."""
    cut(12.2, 12.4, is_of(DIALER))(world)
    for line in world.stamps["subject.app"]:
        if line["event"] == "request.begin" and ns(12.1) < line["ns"] < ns(12.4):
            line["target"] = "127.0.0.1:15020"


def kept_out(outcome: str) -> Break:
    """The network turns strangers away before the pod: their dials end so, and have no frames."""

    def change(world: World) -> None:
        world.index["cell"]["pattern"] = "sidecarless"
        for line in world.stamps["dialer.dialer"]:
            if line["event"] == "request.end":
                line["outcome"] = outcome
        cut(0.0, 100.0, is_not_of(DIALER))(world)

    return change


SAID = "watched and has no frame of it"
STRUCK: dict[str, tuple[Break, str]] = {
    "a second is cut out of the capture": (cut(12.0, 13.0), SAID),
    "all but the dialer's frames are cut out": (
        cut(12.0, 13.0, is_of(DIALER)), "stamps/subject.app.jsonl tells of"),
    "the dialer's frames are cut out": (
        cut(12.0, 13.0, is_not_of(DIALER)), "stamps/dialer.dialer.jsonl tells of"),
    "no network answers in the pod's name": (kept_out("refused"), "dialer.jsonl tells of"),
    "all frames are a tenth of a second late": (all_frames(0.1), SAID),
    "a dial that its sender never began": (dialled(12.0, 9999), "never began it"),
    "a leak of a request that nobody began": (leaked(token("drain", 9999)), "never began it"),
    "a frame of another cell": (dialled(12.0, 1, "ba9876543210"), "has the nonce"),
}  # fmt: skip
SOUND: dict[str, Break] = {
    "nothing": lambda _: None,
    "frames a moment late": all_frames(0.003),
    "what is cut out, the capture says that it dropped": cut_and_dropped,
    "a beacon lacks, and frames with it": blind,
    "a time in which nothing was sent": cut(17.0, 20.0),
    "an answer from within the pod": local_only,
    "a request that began, in clear": lambda w: leaked(
        w.lines("subject.app", "request.begin", kind="drain")[3]["token"])(w),
    "a dial that its sender, killed then, may have lost": lambda w: dialled(
        max(one["ns"] - ns(0) for one in w.stamps["dialer.dialer"]) / 1e9 - 0.5, 9999)(w),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCK)
def test_what_contradicts_is_found_and_named(tmp_path: Path, name: str) -> None:
    require_struck(STRUCK[name], tmp_path)


@pytest.mark.parametrize("name", SOUND)
def test_what_does_not_contradict_is_left_alone(tmp_path: Path, name: str) -> None:
    require_sound(SOUND[name], tmp_path)


def held(behaviour: str, world: World, folder: Path) -> Any:
    return told(behaviour, Bundle.open(world.write(folder / "bundle")))


def test_no_leak_in_a_capture_with_a_second_cut_out_proves_nothing(tmp_path: Path) -> None:
    world = whole()
    assert held("stop.no-plaintext", world, tmp_path / "before").observed == "holds"
    cut(12.0, 13.0)(world)
    found = held("stop.no-plaintext", world, tmp_path / "after")
    assert found.observed == "inconclusive"
    assert SAID in found.reason


def test_a_leak_stands_though_nobody_says_that_he_sent_it(tmp_path: Path) -> None:
    world = whole()
    leaked(token("drain", 9999))(world)
    assert held("stop.no-plaintext", world, tmp_path).observed == "broken"


def test_what_leans_on_neither_is_left_alone(tmp_path: Path) -> None:
    world = whole()
    dialled(12.0, 9999)(world)
    assert held("stop.in-flight", world, tmp_path).observed == "holds"


def test_a_request_to_elsewhere_is_no_dial(tmp_path: Path) -> None:
    world = whole()
    for line in world.lines("dialer.dialer", "request.begin", kind="dial")[:5]:
        line["target"] = f"{PEER_SERVICE}:80"
    cut(0.0, 1.0, is_not_of(DIALER))(world)
    assert not reasons(world, tmp_path)


def test_a_stranger_whom_the_network_keeps_out_leaves_no_frames_in_the_pod(tmp_path: Path) -> None:
    world = whole()
    kept_out("timeout")(world)
    assert not [one for one in reasons(world, tmp_path) if SAID in one]

"""A bundle held against itself: single-defect forgeries, each beside a change that is none.

Each forgery takes a whole good world and breaks one thing in it. What contradicts must be found,
named, and must strike the verdicts that lean on it, and no others.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conformance.evidence.bundle import Bundle
from tests.evidence.contradicting import (
    Break,
    clock,
    pods,
    require_sound,
    require_struck,
    whole,
)
from tests.forge import bundle as forge
from tests.forge.bundle import APP, ENVOY, World, ns
from tests.forge.told import told

S = 1_000_000_000
OTHER = "9" * 64


def container(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.index["pods"]["subject"]["containers"][name]
    return found


def token_of(world: World, kind: str, place: int = 0, who: str = "subject.app") -> str:
    found: str = world.lines(who, "request.begin", kind=kind)[place]["token"]
    return found


def drop(world: World, who: str, event: str, its: str) -> None:
    world.drop(world.stamps[who], event, token=its)


def move(world: World, who: str, event: str, by: float) -> None:
    for line in world.lines(who, event):
        line["ns"] += round(by * S)
        line["mono_ns"] += round(by * S)


def swap(world: World) -> None:
    app, envoy = container(world, "app"), container(world, "envoy")
    app["ids"], envoy["ids"] = envoy["ids"], app["ids"]


def worker(world: World) -> None:
    for line in pods(world):
        line["object"]["spec"]["containers"].append({"name": "worker"})


def beacons(by: float) -> Break:
    def shift(world: World) -> None:
        world.frames = [
            (at + round(by * S) * (b"SCB1 " in frame), frame) for at, frame in world.frames
        ]

    return shift


def all_frames(by: float) -> Break:
    def shift(world: World) -> None:
        world.frames = [(at + round(by * S), frame) for at, frame in world.frames]

    return shift


def watched_end(code: int, at: float) -> Break:
    def said(world: World) -> None:
        ended = {
            "exitCode": code, "containerID": f"containerd://{APP}",
            "finishedAt": forge.stamp_text(ns(at), "T")[:19] + "Z",
        }  # fmt: skip
        pods(world)[-1]["object"]["status"]["containerStatuses"][0]["state"] = {"terminated": ended}

    return said


def exit_moved(ident: str, by: float) -> Break:
    def moved(world: World) -> None:
        for index, (at, topic, body) in enumerate(world.runtime):
            if topic == "/tasks/exit" and body["container_id"] == ident:
                ended = body["exited_at"]["seconds"] * S + body["exited_at"]["nanos"]
                ended += round(by * S)
                again = {**body, "exited_at": {"seconds": ended // S, "nanos": ended % S}}
                world.runtime[index] = (at + round(by * S), topic, again)

    return moved


def made_of(image: str) -> Break:
    def made(world: World) -> None:
        world.index["pods"]["subject"]["containers"]["app"] |= {"image": "app:1", "image_id": "A"}
        world.index["pods"]["subject"]["containers"]["envoy"] |= {
            "image": "envoy:1", "image_id": "E",
        }  # fmt: skip
        for line in pods(world):
            for group in ("initContainerStatuses", "containerStatuses"):
                for one in line["object"]["status"].get(group, ()):
                    one["imageID"] = ""
        world.runtime.append((ns(0.9), "/containers/create", {"id": ENVOY, "image": image}))

    return made


def second_id(world: World) -> None:
    container(world, "app")["ids"].append(OTHER)


def served_early(world: World) -> None:
    for line in world.lines("peer.app", "served"):
        if ".drain." in line["token"]:
            line["ns"] -= 9 * S
            line["mono_ns"] -= 9 * S


def number_lost(kind: str, who: str) -> Break:
    def lost(world: World) -> None:
        its = token_of(world, kind, 1, who)
        for name in world.stamps:
            world.stamps[name] = [x for x in world.stamps[name] if x.get("token") != its]

    return lost


def first_number_lost(world: World) -> None:
    for name in world.stamps:
        for line in world.stamps[name]:
            if ".first.subject.000000" in line.get("token", ""):
                line["token"] = line["token"].replace("000000", "000003")


def tells_begun(world: World, who: str = "subject.app", **more: int) -> None:
    """Its last stamp says how many of each kind it began, as a program of today does."""
    begun = Counter(
        line["token"].split(".")[2] for line in world.stamps[who] if line["event"].endswith("begin")
    )
    world.lines(who, "app.last")[0]["begun"] = {**begun, **more}


def tail_lost(kind: str, count: int) -> Break:
    """The last requests of a kind are in nobody's stamps, logs and capture."""

    def lost(world: World) -> None:
        tells_begun(world)
        begun = world.lines("subject.app", "request.begin", kind=kind)
        for its in [line["token"] for line in begun][-count or None :]:
            for name in world.stamps:
                world.stamps[name] = [x for x in world.stamps[name] if x.get("token") != its]
            for name in world.logs:
                world.logs[name] = [x for x in world.logs[name] if its not in json.dumps(x)]
            world.frames = [one for one in world.frames if its.encode() not in one[1]]

    return lost


def tail_lost_of_the_killed(world: World) -> None:
    tail_lost("drain", 5)(world)
    world.drop(world.stamps["subject.app"], "app.last")


def told_in_a_former_life(world: World) -> None:
    """A program that ran before, in the same file, and began more than the one after it."""
    world.stamp(4.0, "witness.witness", "app.started")
    world.stamp(4.1, "witness.witness", "control.begin", token=forge.token("control", 0, "witness"))
    world.stamp(4.2, "witness.witness", "app.last", begun={"control": 1})
    world.stamp(4.3, "witness.witness", "app.started")


def reset_without_connection(world: World) -> None:
    end = world.lines("peer.app", "request.end", kind="inflight")[0]
    drop(world, "peer.app", "request.connected", end["token"])
    end["outcome"] = "reset"


STRUCK: dict[str, tuple[Break, str]] = {
    # whose bundle it is
    "another mode": (lambda w: w.index["cell"].update(mode="fallback"), "of the namespace"),
    "another pattern's name": (lambda w: w.index.update(namespace="x"), "of the namespace"),
    "another namespace in the watch": (
        lambda w: pods(w)[0]["object"]["metadata"].update(namespace="other"), "watch.jsonl of"),
    "another minor": (lambda w: w.index["versions"].update(server="v1.29.4"), "its API server was"),
    "another patch": (lambda w: (w.index["cell"].update(k8s="1.33.4"),
                                 w.index["versions"].update(server="v1.33.5")), "was v1.33.5"),
    "another run's nonce": (lambda w: w.index.update(nonce="ffffffffffff"), "nonce"),
    # the index against the watch and the runtime
    "ids swapped": (swap, "cell.json says that"),
    "an id too many": (second_id, "cell.json says that app of subject was"),
    "an id that is none": (lambda w: container(w, "app").update(ids=[OTHER]), "app of subject"),
    "a container unknown to the index": (worker, "has a container worker in watch.jsonl"),
    "a container unknown to the watch": (
        lambda w: w.index["pods"]["subject"]["containers"].update(
            ghost={"id": "", "ids": [], "image": "", "image_id": ""}), "a container ghost"),
    "another address": (
        lambda w: w.index["pods"]["subject"].update(ip="10.9.9.9", ips=[]), "the address"),
    "another image id": (lambda w: container(w, "envoy").update(image_id="z"), "the image of"),
    "another uid": (lambda w: w.index["pods"]["subject"].update(uid="uid-else"), "by another"),
    "made of the app's image": (made_of("docker.io/app:1"), "runtime.log made it of"),
    # lives
    "the app writes after its exit": (exit_moved(APP, -3.0), "after runtime.log says it exited"),
    "the sidecar writes after its exit": (exit_moved(ENVOY, -1.0), "after runtime.log says"),
    "the app writes before its container": (
        lambda w: move(w, "subject.app", "app.started", -4.5), "before runtime.log says it was"),
    "an exit before the creation": (exit_moved(APP, -14.0), "before it was created"),
    "the watch has another exit code": (watched_end(137, 15.1), "ended with 137"),
    "the watch has another end": (watched_end(0, 11.0), "before runtime.log says it did"),
    "two beginnings in one life": (
        lambda w: w.stamp(7.0, "subject.app", "app.started"), "began 2 times"),
    # clocks
    "a reading against its own fields": (
        lambda w: w.extra.update({"clock.jsonl": clock(S)}), "its two clocks are"),
    "a stamp whose two times disagree": (
        lambda w: w.lines("subject.app", "app.sigterm")[0].update(ns=ns(13.0)), "CLOCK_MONOTONIC"),
    "frames after their beacons' stamps": (all_frames(1.0), "and more after"),
    "frames before their beacons' stamps": (all_frames(-0.5), "before the time"),
    # requests
    "an end without its begin": (
        lambda w: drop(w, "subject.app", "request.begin", token_of(w, "drain", 1)), "is missing"),
    "a drain number is missing": (number_lost("drain", "subject.app"), "lacks 1 of"),
    "a steady number is missing": (number_lost("steady", "subject.app"), "lacks 1 of"),
    "a dial's number is missing": (number_lost("dial", "dialer.dialer"), "lacks 1 of"),
    "the first try is missing": (first_number_lost, "first number 0"),
    "the drain's tail is cut off": (
        tail_lost("drain", 5), "stamps/subject.app.jsonl lacks the last 5 of"),
    "a whole kind is cut off": (tail_lost("mesh-witness", 0), "mesh-witness of subject, which its"),
    "a number and the tail are missing": (
        lambda w: (tail_lost("drain", 5)(w), number_lost("drain", "subject.app")(w)),
        "lacks 6 of"),
    "one more was begun than is told": (
        lambda w: tells_begun(w, steady=10**12), "lacks the last"),
    "served, and never sent": (
        lambda w: w.served(13.0, 13.1, "peer.app", forge.token("drain", 900), forge.POD),
        "never sent it"),
    "served before it was sent": (served_early, "before it was sent"),
    "a right answer without a connection": (
        lambda w: drop(w, "subject.app", "request.connected", token_of(w, "drain", 1)),
        "no connection"),
    "served over no connection": (reset_without_connection, "no connection"),
    "a right answer that nobody served": (
        lambda w: drop(w, "peer.app", "served", token_of(w, "drain", 1)), "nobody served it"),
}  # fmt: skip

SOUND: dict[str, Break] = {
    "nothing": lambda _: None,
    "a second attempt's namespace": lambda w: w.index.update(namespace=w.index["namespace"] + "-2"),
    "another patch of the same minor": lambda w: w.index["versions"].update(server="v1.33.9"),
    "an image under another of its names": made_of("docker.io/library/envoy:1"),
    "an image that the index does not name": made_of("sha256:abcdef"),
    "the watch tells the same end": watched_end(0, 15.1),
    "the watch tells an end in whole seconds": watched_end(0, 14.2),
    "the kubelet lost sight of it": lambda w: pods(w)[-1]["object"]["status"]
    ["containerStatuses"][0].update(state={"terminated": {
        "exitCode": 137, "reason": "ContainerStatusUnknown", "containerID": f"containerd://{APP}",
        "finishedAt": "2026-01-01T00:00:00Z"}}),
    "the clock moved by less than a verdict minds": lambda w: w.extra.update(
        {"clock.jsonl": clock(4_000_000)}),
    "beacons a little after their stamps": beacons(0.1),
    "a refused request has no connection": lambda w: w.attempt(
        14.0, "subject.app", "drain", len(w.lines("subject.app", "request.begin", kind="drain")),
        "refused"),
    "as many as its sender says it began": tells_begun,
    "one more than its sender says: begun while it ended": lambda w: tells_begun(w, drain=1),
    "an older sender does not say how many": lambda w: (
        tail_lost("drain", 5)(w), w.lines("subject.app", "app.last")[0].pop("begun")),
    "a killed sender cannot say how many": tail_lost_of_the_killed,
    "each life counts its own": told_in_a_former_life,
    "the last request never ended": lambda w: drop(
        w, "subject.app", "request.end", token_of(w, "mesh-witness", -1)),
    "a stamp a moment late": lambda w: move(w, "subject.app", "app.last", 0.002),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCK)
def test_what_contradicts_is_found_and_named(tmp_path: Path, name: str) -> None:
    require_struck(STRUCK[name], tmp_path)


@pytest.mark.parametrize("name", SOUND)
def test_what_does_not_contradict_is_left_alone(tmp_path: Path, name: str) -> None:
    require_sound(SOUND[name], tmp_path)


def test_a_verdict_is_struck_by_what_it_leans_on_alone(tmp_path: Path) -> None:
    world = whole()
    number_lost("dial", "dialer.dialer")(world)
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    bypass = told("inbound.bypass", bundle)
    assert bypass.observed == "inconclusive"
    assert "stamps/dialer.dialer.jsonl lacks 1" in bypass.reason
    assert told("stop.order", bundle).observed == "holds"


@pytest.mark.parametrize(
    ("change", "observed"), [(tells_begun, "holds"), (tail_lost("drain", 5), "inconclusive")]
)
def test_what_is_cut_off_in_stamps_and_capture_alike_strikes_the_verdict(
    tmp_path: Path, change: Break, observed: str
) -> None:
    world = whole()
    change(world)
    found = told("stop.no-plaintext", Bundle.open(world.write(tmp_path / "bundle")))
    assert found.observed == observed
    assert (observed == "holds") != ("stamps/subject.app.jsonl lacks the last 5" in found.reason)


@pytest.mark.parametrize("observed", ["holds", "broken"])
def test_an_empty_seal_is_refused_whatever_was_seen(tmp_path: Path, observed: str) -> None:
    world = whole()
    if observed == "broken":
        world.leak(12.0, forge.token("drain", 5))
    folder = world.write(tmp_path / "bundle")
    index = json.loads((folder / "cell.json").read_text()) | {"files": {}}
    (folder / "cell.json").write_text(json.dumps(index))
    found = told("stop.no-plaintext", Bundle.open(folder))
    assert found.observed == "inconclusive"
    assert "seals no file" in found.reason


def test_a_folder_of_another_cells_name_is_refused(tmp_path: Path) -> None:
    folder = whole().write(tmp_path / "evidence/1.33/envoy-native-sidecar-rules-lifecycle")
    found = told("stop.order", Bundle.open(folder))
    assert found.observed == "inconclusive"
    assert "the folder is envoy-native-sidecar-rules-lifecycle" in found.reason


def test_its_own_folder_is_not(tmp_path: Path) -> None:
    world = whole()
    folder = world.write(tmp_path / "evidence/1.33" / world.index["namespace"])
    assert told("stop.order", Bundle.open(folder)).observed == "holds"

"""Contradictions that are seldom met: single defects, each beside a change that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.evidence.consistency import contradictions
from conformance.evidence.unjudgeable import Unjudgeable
from tests.approved import given
from tests.evidence.contradicting import (
    Break,
    clock,
    pods,
    reasons,
    require_sound,
    require_struck,
    whole,
)
from tests.evidence.test_bad_lines import reseal
from tests.evidence.test_consistency import S, container
from tests.evidence.test_consistency_frames import cut
from tests.forge.bundle import APP, POD, World, ns, stamp_text, token
from tests.forge.told import require_contradiction


def other_clock(by: float) -> Break:
    """A program's monotonic clock is another one than the node's."""

    def change(world: World) -> None:
        for line in world.stamps["dialer.dialer"]:
            line["mono_ns"] += round(by * S)

    return change


def two_stamps(by: float) -> Break:
    """So few that their own median says nothing."""

    def change(world: World) -> None:
        other_clock(by)(world)
        world.stamps["few.few"] = []
        for at in (6.0, 7.0):
            world.stamp(at, "few.few", "app.beat")
            world.stamps["few.few"][-1]["mono_ns"] += round(by * S)
        other_clock(-by)(world)

    return change


def renamed(world: World) -> None:
    world.index["pods"]["subject"]["name"] = "another"


def another_image(world: World) -> None:
    container(world, "app")["image"] = "app:2"
    pods(world)[-1]["object"]["spec"] = {
        "initContainers": [{"name": "rules"}, {"name": "envoy"}],
        "containers": [{"name": "app", "image": "app:1"}],
    }


def made_in_another_order(world: World) -> None:
    container(world, "app")["ids"] = [APP, "9" * 64]
    for line in pods(world):
        for group in ("initContainerStatuses", "containerStatuses"):
            for one in line["object"]["status"].get(group, ()):
                one["containerID"] = ""
    for at, ident in ((5.2, APP), (0.9, "9" * 64)):
        world.runtime.append((ns(at), "/containers/create", {"id": ident, "image": "app:1"}))


def made_anew(by: float) -> Break:
    """Another life of the app begins before the first one has ended."""

    def change(world: World) -> None:
        made_in_another_order(world)
        world.runtime = [one for one in world.runtime if one[1] != "/containers/create"]
        world.created(15.1 + by, "9" * 64)
        world.exited(16.5, "9" * 64)

    return change


def cut_beside_probes(world: World) -> None:
    """The kubelet's probes go on: they are no requests of the app's."""
    cut(12.0, 13.0)(world)
    for tenth in range(10):
        world.probe(12.05 + tenth / 10, "200 OK")


def served_of(sender: str, kind: str = "drain") -> Break:
    """The peer served somebody whose stamps have no begin at all."""
    return lambda w: w.served(13.0, 13.1, "peer.app", token(kind, 0, sender), POD)


def of_a_silent_sender(who: str, sender: str) -> Break:
    def change(world: World) -> None:
        world.stamp(6.0, who, "app.started")
        world.stamp(16.0, who, "app.beat")
        served_of(sender)(world)

    return change


def no_token(world: World) -> None:
    world.served(13.0, 13.1, "peer.app", "no token of anybody's", POD)


def broken_journal(world: World) -> None:
    world.journal.append((ns(9.0), 'quote " that ends it\\'))


def no_mono(world: World) -> None:
    lines = [json.loads(one) for one in clock(S).splitlines()]
    world.extra["clock.jsonl"] = "".join(
        json.dumps({k: v for k, v in one.items() if k != "mono_ns"}) + "\n" for one in lines
    )


STRUCK: dict[str, tuple[Break, str]] = {
    "a program on another clock": (other_clock(3.0), "on a clock that is 3.0 s off the node's"),
    "a program on a slower clock": (other_clock(-2.5), "on a clock that is 2.5 s off the node's"),
    "two stamps on another clock": (two_stamps(3.0), "says one time by the real-time clock"),
    "another pod's name": (renamed, "cell.json calls the pod subject another, and watch.jsonl"),
    "another image": (another_image, "the image of app of subject is app:2, and watch.jsonl app:1"),
    "ids in another order": (made_in_another_order, "gives the ids of app of subject in another"),
    "made anew before its end": (made_anew(-3.0), "was made anew 3.0 s before the life before"),
    "another folder than its namespace": (
        lambda w: w.index.update(folder=w.index["namespace"], namespace="elsewhere"),
        "and of the namespace elsewhere"),
    "a second is cut out, but for probes": (cut_beside_probes, "subject.app.jsonl tells of"),
    "served somebody who began nothing": (
        of_a_silent_sender("other.app", "other"), "never sent it"),
    "served a program that began nothing": (
        of_a_silent_sender("subject.visitor", "visitor"), "never sent it"),
}  # fmt: skip
SOUND: dict[str, Break] = {
    "a clock that is a little off": other_clock(0.9),
    "two stamps on the node's clock": two_stamps(0.9),
    "readings without the other clock": no_mono,
    "made anew after its end": made_anew(0.5),
    "made anew a moment before its end was told": made_anew(0.0099),
    "on a cluster of others": lambda w: w.index.update(
        folder=w.index["namespace"], namespace="sc-123456-0abc-" + w.index["namespace"]),
    "served somebody whose stamps nobody has": served_of("nobody"),
    "served what is no request of the suite's": no_token,
    "a whole line of the journal": lambda w: w.journal.append((ns(9.0), "Stopping")),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCK)
def test_what_contradicts_is_found_and_named(tmp_path: Path, name: str) -> None:
    require_struck(STRUCK[name], tmp_path)


@pytest.mark.parametrize("name", SOUND)
def test_what_does_not_contradict_is_left_alone(tmp_path: Path, name: str) -> None:
    require_sound(SOUND[name], tmp_path)


@pytest.mark.parametrize(("folder", "said"), [
    ("evidence/1.33/another", "the folder is another, and cell.json is of"),
    ("evidence/1.34/SLUG", "the folder is one of 1.34, and cell.json is of 1.33"),
    ("evidence/1.33/SLUG", ""),
    ("evidence/elsewhere/SLUG", ""),  # no version: kept by hand
    ("somewhere/1.34/another", ""),
])  # fmt: skip
def test_a_run_keeps_a_bundle_where_it_belongs(tmp_path: Path, folder: str, said: str) -> None:
    world = whole()
    bundle = world.write(tmp_path / folder.replace("SLUG", world.index["namespace"]))
    found = contradictions(Bundle.open(bundle))
    given.contradictions(found)
    assert [said in one.reason for one in found] == ([True] if said else [])


@pytest.mark.parametrize("name", ["stamps/more.more.jsonl", "capture/subject/more.pcap"])
def test_a_file_that_no_seal_knows_is_named(tmp_path: Path, name: str) -> None:
    bundle = whole().write(tmp_path / "bundle")
    (bundle / name).write_bytes(b"")
    (found,) = [one for one in contradictions(Bundle.open(bundle)) if name in one.reason]
    require_contradiction(found, bundle)
    given.contradictions([found])
    assert found.reason == f"{name} is in the folder, and cell.json seals no such file"
    assert found.strikes_proof == name.endswith(".pcap")


@pytest.mark.parametrize("name", ["containerd.log", "logs/subject.envoy.log"])
@pytest.mark.parametrize("line", [b"[1, 2]\n", b"{half\n"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, name: str, line: bytes) -> None:
    bundle = whole().write(tmp_path / "bundle")
    number = len((bundle / name).read_bytes().splitlines()) + 1
    reseal(bundle, name, line + b"\n" + line)
    found = [one for one in contradictions(Bundle.open(bundle)) if name in one.reason]
    if name.endswith("envoy.log"):  # a proxy may write whatever it likes
        assert not found
        return
    assert [one.reason for one in found] == [
        f"{name}:{number} cannot be read: not a JSON object (and 1 more lines)"
    ]
    given.contradictions(found)


def test_what_a_pack_left_out_is_named_as_such(tmp_path: Path) -> None:
    world = whole()
    folder = world.write(tmp_path / "bundle")
    (folder / "runtime.log").unlink()
    index = json.loads((folder / "cell.json").read_text()) | {"left_out": ["runtime.log"]}
    (folder / "cell.json").write_text(json.dumps(index))
    with pytest.raises(Unjudgeable, match=r"runtime\.log is missing \(it was left out of the pack"):
        list(Bundle.open(folder).runtime())


def test_a_field_that_lacks_is_named_with_its_line(tmp_path: Path) -> None:
    world = whole()
    del world.lines("subject.app", "request.begin")[0]["token"]
    bundle = Bundle.open(world.write(tmp_path / "bundle"))
    line = next(one for one in bundle.stamps("subject", "app") if one.event == "request.begin")
    with pytest.raises(Unjudgeable, match=r"stamps/subject\.app\.jsonl:\d+ has no colour") as why:
        _ = line["colour"]
    (where,) = why.value.evidence
    assert (where.file, where.line, where.ns) == (line.file, line.number, line.ns)
    assert line.get("colour") is None and line.get("colour", 3) == 3


def test_the_moments_of_the_watch_are_its_own(tmp_path: Path) -> None:
    """Texts of times are read to their last digit."""
    world = whole()
    assert stamp_text(ns(1.5), "T").endswith(".500000000")
    assert not reasons(world, tmp_path)

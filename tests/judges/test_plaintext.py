"""start.no-plaintext and stop.no-plaintext: what carries a verdict, and every blindness is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.model import Finding
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, clear_request, ns, token
from tests.forge.told import told
from tests.worlds import lifecycle

START, STOP = "start.no-plaintext", "stop.no-plaintext"
BESIDE = "plaintext-while-the-sidecar-lived"
Break = Callable[[World], object]
LEAKED = token("steady", 777)
OURS, PEER = (forge.POD, 33333), (forge.PEER_SERVICE, 80)
POD = (forge.POD, forge.POD6)


def at_the_witness(world: World, at: float, its: str) -> None:
    world.witnessed(at, 9000, clear_request(its))


@pytest.mark.parametrize("pattern", ["native", "classic"])
@pytest.mark.parametrize("behaviour", [START, STOP])
def test_without_a_leak_it_holds_and_states_its_floor(
    tmp_path: Path, pattern: str, behaviour: str
) -> None:
    found = lifecycle.lifecycle(pattern).judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("holds", "")
    measured = found.measured
    assert measured["requests_tried"] > 5
    assert measured["rate_bound_95"] == pytest.approx(3 / measured["requests_tried"], abs=1e-5)
    assert measured["tls_bytes"] > 1000
    assert measured["window_seconds"] > 5
    assert measured["controls_found"]
    assert measured["node_view"] == "agrees"
    assert measured["leaks_outside_window"] == 0
    assert found.evidence[0].frame


def test_only_the_node_saw_it(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    kept = list(world.frames)
    world.leak(12.0, LEAKED)
    world.node_frames, world.frames = world.frames, kept
    found = world.judged(STOP, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.evidence[0].file == "capture/subject/node.pcap"
    assert found.measured["node_only_leaks"] >= 1


@pytest.mark.parametrize("behaviour", [START, STOP])
def test_where_no_capture_tells_the_nodes_addresses_its_probes_are_no_leaks(
    tmp_path: Path, behaviour: str
) -> None:
    world = lifecycle.lifecycle()
    world.index["addresses"]["gateway"] = []
    world.missing |= {"capture/subject/agent.jsonl", "capture/subject/eth0.pcap"}
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive"
    assert found.measured == {} or not found.measured["leaks"]


def test_a_token_in_clear_is_a_leak_whoever_the_node_is(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.index["addresses"]["gateway"] = []
    world.leak(12.0, LEAKED)
    found = world.judged(STOP, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.measured["leaked_requests"] == 1


def test_only_the_witness_saw_it(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    at_the_witness(world, 12.0, token("mesh-witness", 99))
    found = world.judged(STOP, tmp_path / "stop")
    assert (found.observed, found.hazard) == ("broken", BESIDE)
    assert found.evidence[0].file == "stamps/witness.witness.jsonl"
    assert found.evidence[0].line
    assert world.copy().judged(START, tmp_path / "start").observed == "holds"


def test_the_witness_knows_the_subjects_token_from_whatever_address(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    its = clear_request(token("mesh-witness", 99))
    world.witnessed(12.0, 9001, its, remote="192.168.0.9")
    assert world.judged(STOP, tmp_path).observed == "broken"


def test_the_witness_saw_what_the_capture_saw(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    its = clear_request(token("mesh-witness", 99))
    world.talk(12.0, OURS, (forge.WITNESS, 9000), (0, its))
    at_the_witness(world, 12.01, token("mesh-witness", 99))
    found = world.judged(STOP, tmp_path)
    assert found.measured["witness_only_leaks"] == 0
    assert found.measured["leaked_requests"] == 1


def test_what_others_send_to_the_witness_is_not_the_subjects(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    its = token("mesh-witness", 9, "peer")
    world.witnessed(12.0, 9000, clear_request(its), remote=forge.PEER)
    world.witnessed(12.0, 9000, wire.CLIENT_HELLO)
    world.witnessed(12.0, 9000, b"")
    assert world.judged(STOP, tmp_path).observed == "holds"


# What cannot carry a verdict.


def missing_beacon(world: World) -> None:
    world.drop_beacon(130)


def no_beacon(world: World) -> None:
    world.frames = [one for one in world.frames if b"SCB1" not in one[1]]
    for event in ("beacon.first", "beacon.last"):
        world.drop(world.agent, event)


def kernel_drops(world: World) -> None:
    for line in world.agent[-3:]:
        if line["event"] == "counters":
            line["dropped"] = 3


def capture_killed(world: World) -> None:
    world.frames = [one for one in world.frames if one[0] < ns(12)]
    world.agent = [one for one in world.agent if one["ns"] < ns(12)]
    world.note(12.0, "ended", code=-9)


def no_control(world: World) -> None:
    world.frames = [one for one in world.frames if b".control." not in one[1]]


def control_only_in_the_window(world: World) -> None:
    no_control(world)
    world.control(12.0)


def control_of_another_cell(world: World) -> None:
    nonce = forge.NONCE.encode()
    world.frames = [
        (at, frame.replace(nonce, b"f" * 12) if b".control." in frame else frame)
        for at, frame in world.frames
    ]


def headless(world: World) -> None:
    world.talk(12.0, OURS, PEER, (0, wire.sealed()), syn=False)


def a_hole(world: World) -> None:
    hello = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO), (0, wire.sealed()), (0, wire.sealed())]
    frames = wire.talk(ns(12), OURS, PEER, hello, POD)
    del frames[5]
    world.frames += frames


def nothing_tried(world: World) -> None:
    world.stamps["subject.app"] = [
        one
        for one in world.stamps["subject.app"]
        if one["ns"] < ns(9.9) or one["event"] == "app.last"
    ]


def hardly_tried(world: World) -> None:
    """The app was done at once: nobody was left to leak when the proxy had gone."""
    world.stamps["subject.app"] = [
        one
        for one in world.stamps["subject.app"]
        if one["ns"] < ns(11.0) or one["event"] == "app.last"
    ]


def another_way_out(world: World) -> None:
    world.frames = [one for one in world.frames if one[0] < ns(9.9) or b"SCB1" in one[1]]
    world.frames += wire.refused(ns(12), OURS, PEER, POD)


def never_deleted(world: World) -> None:
    world.drop(world.steps, "delete.accepted")
    world.drop(world.steps, "delete.asked")


def container_outlived_the_capture(world: World) -> None:
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.APP]
    world.created(5.3, forge.APP)
    world.exited(17.4, forge.APP)


def no_exit(world: World) -> None:
    world.unexited(forge.ENVOY)


def of_another_sandbox(world: World) -> None:
    """Of a pod of the same name that was there before."""
    for line in world.agent:
        if line["event"] == "added":
            line["sandbox"] = "6" * 64


def sandbox_unknown(world: World) -> None:
    """Nobody tells when it ended: the capture may have ended long before."""
    world.runtime = [one for one in world.runtime if one[2]["container_id"] != forge.SANDBOX]


def no_cni_del(world: World) -> None:
    world.drop(world.agent, "deleting")


def missing(file: str) -> Break:
    def remove(world: World) -> None:
        world.missing.add(file)

    remove.__name__ = f"missing {file}"
    return remove


@pytest.mark.parametrize(
    ("blind", "said", "retry"),
    [
        (missing_beacon, "beacon missing: 130", True),
        (no_beacon, "never sent a beacon", False),
        (kernel_drops, "3 packets dropped", True),
        (capture_killed, "tcpdump ended (code -9) while the pod lived", True),
        (no_control, "judge blind", False),
        (control_only_in_the_window, "judge blind", False),
        (control_of_another_cell, "judge blind", False),
        (headless, "SYN is not in the capture", False),
        (a_hole, "after a hole", False),
        (hardly_tried, "tried nothing for", False),
        (nothing_tried, "nothing was tried", False),
        (another_way_out, "no TLS was seen", False),
        (never_deleted, "no deletion", False),
        (container_outlived_the_capture, "before container app", True),
        (of_another_sandbox, "of another sandbox", False),
        (sandbox_unknown, "knows nothing of the sandbox", False),
        (no_exit, "no exit of container envoy", False),
        (no_cni_del, "while the pod lived", True),
        (missing("capture/subject/eth0.pcap"), "eth0.pcap is missing", False),
        (missing("capture/subject/agent.jsonl"), "agent.jsonl is missing", False),
        (missing("stamps/witness.witness.jsonl"), "witness.witness.jsonl is missing", False),
        (missing("stamps/subject.app.jsonl"), "subject.app.jsonl is missing", False),
        (missing("runtime.log"), "runtime.log is missing", False),
        (missing("steps.jsonl"), "steps.jsonl is missing", False),
    ],
)
def test_what_cannot_carry_a_verdict(tmp_path: Path, blind: Break, said: str, retry: bool) -> None:
    world = lifecycle.lifecycle()
    blind(world)
    found = world.judged(STOP, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason
    assert found.retry == retry


@pytest.mark.parametrize(
    "blind",
    [missing_beacon, no_beacon, kernel_drops, no_control, headless, nothing_tried, no_exit,
     no_cni_del, missing("stamps/witness.witness.jsonl"), missing("stamps/subject.app.jsonl"),
     missing("capture/subject/node.pcap")],
)  # fmt: skip
def test_a_leak_that_was_seen_beats_every_doubt(tmp_path: Path, blind: Break) -> None:
    world = lifecycle.lifecycle()
    blind(world)
    world.leak(13.0, LEAKED)
    found = world.judged(STOP, tmp_path)
    assert (found.observed, found.hazard) == ("broken", BESIDE), found.reason


def test_a_missing_node_view_is_told_and_not_fatal(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.missing.add("capture/subject/node.pcap")
    found = world.judged(STOP, tmp_path)
    assert found.observed == "holds"
    assert "missing" in found.measured["node_view"]


def test_never_ready_is_no_window(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.watch = world.watch[:1]
    found = world.judged(START, tmp_path)
    assert found.observed == "inconclusive"
    assert "never seen with app and envoy ready" in found.reason


def test_a_packet_cut_short_cannot_be_judged(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    folder = world.write(tmp_path / "bundle")
    wire.write_pcap(folder / "capture/subject/eth0.pcap", world.frames, cut_to=300)
    assert world_judged_again(folder, world).observed == "inconclusive"


def world_judged_again(folder: Path, world: World) -> Finding:
    """Judge a folder whose files were changed on purpose, with an index that does not mind."""
    (folder / "cell.json").write_text(json.dumps(world.index | {"files": {}}))
    return told(STOP, Bundle.open(folder))


@pytest.mark.parametrize(
    ("behaviour", "leaks", "hazard"),
    [
        (START, [3.0], "plaintext"),
        (START, [6.0], BESIDE),  # behind the probe's success
        (STOP, [10.5], BESIDE),
        (STOP, [10.5, 12.0], "plaintext"),
    ],
)
def test_plaintext_is_told_by_whether_there_was_a_sidecar(
    tmp_path: Path, behaviour: str, leaks: Sequence[float], hazard: str
) -> None:
    """A classic sidecar: its probe passes at 5.0 s, it is told at 10.05 and gone at 11.6."""
    world = lifecycle.lifecycle("classic")
    for number, at in enumerate(leaks, 900):
        world.leak(at, token("drain", number))
    found = world.judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == ("broken", hazard), found.reason

"""wire.agent-upgrade: nothing is in clear, and nobody let in, while the agents are replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import DIALER, World, ns, token
from tests.worlds import across
from tests.worlds import agent_upgrade as worlds
from tests.worlds.across import FAR, NEAR
from tests.worlds.agent_upgrade import FORMER, NEW, OLD, PRESENT, agent_upgrade, told, write
from tests.worlds.between import in_clear, paused, request, thinned, vxlan
from tests.worlds.stop import shown

UPGRADE = "wire.agent-upgrade"


def test_all_is_sealed(tmp_path: Path) -> None:
    found = agent_upgrade().held(UPGRADE, tmp_path)
    assert found.observed == "holds", found.reason
    assert (found.measured["from"], found.measured["to"]) == (OLD, NEW)
    assert found.measured["sealed_packets"] > 0
    assert found.measured["away_seconds"] == {NEAR: pytest.approx(1.8), FAR: pytest.approx(1.8)}
    assert found.measured["stranger_dials"] >= 30


def test_lost_requests_are_counted_and_no_breakage(tmp_path: Path) -> None:
    found = agent_upgrade().held(UPGRADE, tmp_path)
    assert found.measured["lost"] == found.measured["outcomes"]["timeout"] > 0
    assert found.measured["lost"] + found.measured["answered"] == found.measured["requests"]
    assert 2.5 < found.measured["unanswered_seconds"] < 2.8
    assert f"{found.measured['lost']} requests were lost" in found.reason


@pytest.mark.parametrize("at", [6.6, 7.5, 8.7, 9.5, 10.7])
def test_a_request_in_clear_at_any_moment_of_it(tmp_path: Path, at: float) -> None:
    world = agent_upgrade()
    in_clear(world, at)
    found = world.judged(UPGRADE, tmp_path)
    assert shown(found) == ("broken", "plaintext")
    assert token("steady", 3) in found.evidence[0].text
    assert f"{OLD} to {NEW}" in found.reason


@pytest.mark.parametrize("node", [NEAR, FAR])
def test_payload_without_a_token_on_one_node_alone(tmp_path: Path, node: str) -> None:
    world = agent_upgrade()
    across.on_the_wire(world, node, 7.5, vxlan(request("", data=b"GET / HTTP/1.1\r\n\r\n")))
    assert shown(world.judged(UPGRADE, tmp_path)) == ("broken", "plaintext")


@pytest.mark.parametrize("at", [6.3, 10.9])
def test_what_was_in_clear_before_it_or_after_it_is_not_its_own(tmp_path: Path, at: float) -> None:
    world = agent_upgrade()
    in_clear(world, at)
    assert world.judged(UPGRADE, tmp_path).observed == "holds"


@pytest.mark.parametrize("at", [6.6, 7.5, 9.5])
def test_a_stranger_is_answered(tmp_path: Path, at: float) -> None:
    world = agent_upgrade()
    for line in world.lines("dialer.dialer", "request.end", kind="dial"):
        if abs(line["ns"] - ns(at)) < 1e8:
            line["outcome"] = "ok"
    assert shown(world.judged(UPGRADE, tmp_path)) == ("broken", "let-in")


def test_a_stranger_is_served_and_its_answer_lost(tmp_path: Path) -> None:
    world = agent_upgrade()
    its = "cny.0123456789ab.dial.dialer.000777"
    world.served(7.5, 7.51, "subject.app", its, f"{DIALER}:50003")
    assert shown(world.judged(UPGRADE, tmp_path)) == ("broken", "let-in")


def test_a_stranger_counts_more_than_a_leak(tmp_path: Path) -> None:
    """Where a leak is what is expected, it must not hide that the stranger was let in."""
    world = agent_upgrade()
    in_clear(world, 7.5)
    its = "cny.0123456789ab.dial.dialer.000777"
    world.served(7.5, 7.51, "subject.app", its, f"{DIALER}:50003")
    assert shown(world.judged(UPGRADE, tmp_path)) == ("broken", "let-in")


def changed(when: str, node: str, **fields: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        lines = told(world)
        for line in lines:
            if (line["when"], line["node"]) == (when, node):
                line.update(fields)
        write(world, lines)

    return change


def not_replaced(world: World) -> None:
    """Helm has the newer chart, and the agent of one node is the one that it was before."""
    lines = told(world)
    former = next(one for one in lines if (one["when"], one["node"]) == ("before", FAR))
    kept = {key: former[key] for key in ("pod", "image", "container", "running", "says")}
    for line in lines:
        if (line["when"], line["node"]) == ("after", FAR):
            line.update(kept)
    write(world, lines)


def old_again(world: World) -> None:
    """New pods, with the old release in them, and helm says so too."""
    lines = told(world)
    former = next(one for one in lines if one["when"] == "before")
    for line in lines:
        line.update({key: former[key] for key in ("image", "says", "release")})
        line["running"] = {line["container"]: former["image"]}
    write(world, lines)


def backwards(world: World) -> None:
    """1.15.6 is older than 1.15.19, though not by its letters."""
    lines = told(world)
    for line in lines:
        other = next(one for one in told(world) if one["when"] != line["when"])
        line.update({key: other[key] for key in ("image", "says", "release")})
        line["running"] = {line["container"]: other["image"]}
    write(world, lines)


def one_node_of_another_version(world: World) -> None:
    image = "quay.io/cilium/cilium:v1.15.18"
    says, release = "Daemon: 1.15.18 module", "cilium-1.15.18"
    running = {PRESENT[FAR]: image}
    changed("after", FAR, image=image, says=says, release=release, running=running)(world)


def quiet(world: World, begin: float, end: float) -> None:
    """No pod asks anything in that time."""
    for role in ("subject.app", "peer.app"):
        tokens = {
            line["token"]
            for line in world.lines(role, "request.begin")
            if ns(begin) < line["ns"] < ns(end)
        }
        world.stamps[role] = [
            line for line in world.stamps[role] if line.get("token") not in tokens
        ]


def silent(world: World) -> None:
    """No stranger dials while the agents are replaced."""
    world.stamps["dialer.dialer"] = [
        line
        for line in world.stamps["dialer.dialer"]
        if not ns(worlds.ASKED) < line["ns"] < ns(worlds.SETTLED)
    ]


def never_lifted(world: World) -> None:
    for line in world.lines("dialer.dialer", "request.end", outcome="ok"):
        line["outcome"] = "timeout"


def unanswered(world: World) -> None:
    for role in ("subject.app", "peer.app"):
        for line in world.lines(role, "request.end"):
            if line["ns"] > ns(worlds.ASKED):
                line["outcome"] = "timeout"


def unsealed(world: World) -> None:
    for node, (frames, lines) in world.wires.items():
        kept = [one for one in frames if across.is_beacon(one) or b".control." in one[1]]
        world.wires[node] = (kept, lines)


def moved(world: World, ident: str, topic: str, at: float) -> None:
    """An event of the runtime's came at another time."""
    for place, (_, what, body) in enumerate(world.runtime):
        if what == topic and body["container_id"] == ident:
            if "exited_at" in body:
                seconds, nanos = divmod(ns(at), 10**9)
                body = {**body, "exited_at": {"seconds": seconds, "nanos": nanos}}
            world.runtime[place] = (ns(at), what, body)


@pytest.mark.parametrize("role", ["subject", "peer"])
def test_a_load_that_pauses_while_the_agents_are_away(tmp_path: Path, role: str) -> None:
    """The agents are away for 1.8 s, and come back to a silence: enough was asked before and after,
    and nothing while they had just returned."""
    world = agent_upgrade()
    paused(world, 7.6, 9.4, role)
    found = world.judged(UPGRADE, tmp_path / "short")
    assert found.observed == "holds", found.reason
    world = agent_upgrade()
    paused(world, 7.6, 9.9, role)
    found = world.judged(UPGRADE, tmp_path / "long")
    assert found.observed == "inconclusive", found.reason
    assert f"the app of {role} tried nothing for 2." in found.reason
    assert "of the agent-upgrade window, and 2 s may hide a failure" in found.reason


@pytest.mark.parametrize("node", [NEAR, FAR])
def test_answers_that_came_by_another_way(tmp_path: Path, node: str) -> None:
    world = agent_upgrade()
    thinned(world, node, worlds.ASKED, worlds.SETTLED, 3)
    found = world.judged(UPGRADE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "they went another way than the one that was watched" in found.reason


SAYS_OLD = f"Client: {NEW} module\nDaemon: {OLD} module"
DOUBTS: dict[str, Callable[[World], object]] = {
    "nobody looked at the agents": lambda world: write(world, []),
    "nobody looked at them before": lambda world: write(world, told(world)[2:]),
    "nobody looked at one of them after": lambda world: write(world, told(world)[:3]),
    "looked at before only when asked for": changed("before", NEAR, ns=ns(6.6)),
    "looked at after only before it settled": changed("after", NEAR, ns=ns(9.5)),
    "one was not replaced": not_replaced,
    "the same release again": old_again,
    "an older release": backwards,
    "one node has another release": one_node_of_another_version,
    "the same pod": changed("after", NEAR, pod=f"uid-before-{NEAR}"),
    "the old program answers": changed("after", NEAR, says=SAYS_OLD),
    "it says nothing": changed("after", NEAR, says="no answer: timed out"),
    "the client alone says its version": changed("after", NEAR, says=f"Client: {NEW} module"),
    "the pod asks for the old image": changed("after", NEAR, image="quay.io/cilium/cilium:v1.15.6"),
    "the runtime has the old image": changed(
        "after", NEAR, running={PRESENT[NEAR]: "quay.io/cilium/cilium:v1.15.6"}
    ),
    "helm has the old chart": changed("after", NEAR, release="cilium-1.15.6"),
    "the former runs beside it": changed(
        "after",
        NEAR,
        running={
            PRESENT[NEAR]: "quay.io/cilium/cilium:v1.15.19",
            FORMER[NEAR]: "quay.io/cilium/cilium:v1.15.6",
        },
    ),
    "none runs": changed("after", NEAR, running={}),
    "the former never ended": lambda world: world.unexited(FORMER[NEAR]),
    "the former ended before": lambda world: moved(world, FORMER[NEAR], "/tasks/exit", 6.0),
    "the next was made first": lambda world: moved(world, PRESENT[NEAR], "/tasks/create", 6.6),
    "the next was made after it was ready": lambda world: moved(
        world, PRESENT[FAR], "/tasks/create", 9.5
    ),
    "the next ended, too": lambda world: world.exited(10.0, PRESENT[FAR]),
    "no traffic": lambda world: quiet(world, worlds.ASKED, worlds.SETTLED),
    "no traffic while no agent was there": lambda world: quiet(world, 6.69, 8.51),
    "nothing answered": unanswered,
    "nothing sealed": unsealed,
    "no stranger": silent,
    "a stranger that cannot ask": never_lifted,
    "the near node is blind": lambda world: across.blind(world, NEAR, 7.0, 8.0),
    "the far node is blind": lambda world: across.blind(world, FAR, 7.0, 8.0),
    "never asked for": lambda world: world.drop(world.steps, "upgrade.asked"),
    "never ready": lambda world: world.drop(world.steps, "upgraded"),
    "never settled": lambda world: world.drop(world.steps, "upgrade.settled"),
    "with a sidecar": lambda world: world.index["sidecars"].append("envoy"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_carries_no_verdict(tmp_path: Path, doubt: str) -> None:
    world = agent_upgrade()
    DOUBTS[doubt](world)
    found = world.judged(UPGRADE, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert "judge failed" not in found.reason


@pytest.mark.parametrize("doubt", ["one was not replaced", "the same release again"])
def test_a_leak_reproduces_nothing_where_no_agent_was_replaced(tmp_path: Path, doubt: str) -> None:
    """The control arm is in clear all the time: that shows nothing of an upgrade."""
    world = agent_upgrade()
    in_clear(world, 7.5)
    DOUBTS[doubt](world)
    assert world.judged(UPGRADE, tmp_path).observed == "inconclusive"

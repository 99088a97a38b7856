"""Worlds that passed, and should not have: five judges looked at once more, each with what it
believed and had no proof of. Beside each the nearest world that is sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, ns
from tests.worlds import between, jobs, leaks, stop

Break = Callable[[World], object]


def by_another_way(world: World) -> None:
    """None of the app's requests by IPv6 crosses eth0; what is TLS by IPv6 is a visit of the
    peer's, whose answer is longer than all of them."""
    world.frames = [one for one in world.frames if one[1][12:14] != b"\x86\xdd"]
    ends = (leaks.PEER_SIX, 40001), (forge.POD6, 8080)
    answer = wire.SERVER_HELLO + wire.CHANGE + wire.sealed(2000)
    mine = (0, wire.CHANGE + wire.sealed(80)), (0, wire.sealed()), (1, wire.sealed(300))
    world.talk(7.0, *ends, (0, wire.CLIENT_HELLO), (1, answer), *mine)


def by_mapped_addresses(world: World) -> None:
    """IPv4 in the clothes of IPv6."""
    for line in world.lines("subject.app", "request.begin"):
        if line["target"].startswith("["):
            line["target"] = f"[::ffff:{forge.PEER}]:8080"


def stream_broke(world: World) -> None:
    """Who reads containerd's events had ended; containerd itself went on."""
    world.restarted = ns(1000)


def journal_says_nothing(world: World) -> None:
    world.journal = [one for one in world.journal if one[0] > ns(13)]


def not_used_up(world: World) -> None:
    for name, at in (("second", 10.7), ("app", 10.8), ("envoy", 10.9)):
        stop.exited(world, "subject", name, at)


def ended_before(world: World) -> None:
    for name in ("envoy", "app", "second"):
        stop.exited(world, "prompt", name, 9.0)


def dials(world: World, begin: float, end: float, outcome: str) -> None:
    for line in world.lines("dialer.dialer", "request.end", kind="dial"):
        if ns(begin) < line["ns"] < ns(end):
            line["outcome"] = outcome


def silent_after_three(world: World) -> None:
    """Three dials when the agent has gone, and none until it is back."""
    its = world.stamps["dialer.dialer"]
    world.stamps["dialer.dialer"] = [one for one in its if not ns(6.85) < one["ns"] < ns(9.9)]


def submitted_too_soon(world: World) -> None:
    """The second Job's pod is still there; that the third was refused first is an event that
    nobody got."""
    for step in world.steps:
        if step["step"] == "job.create" and step.get("job") == "third":
            step["ns"] = ns(8.5)


def second_failed(world: World) -> None:
    for line in world.watch:
        if line["kind"] == "Job" and line["object"]["metadata"]["name"] == "second":
            for condition in line["object"]["status"].get("conditions", ()):
                condition.update(type="Failed", reason="BackoffLimitExceeded")


def third_comes(after: float) -> Break:
    def of(world: World) -> None:
        for line in world.watch:
            if line["object"]["metadata"]["name"] == "third-1":
                line["ns"] += round((after - 0.5) * 1e9)

    return of


def as_it_is(_: World) -> None:
    """Nothing is changed."""


@pytest.mark.parametrize(
    ("behaviour", "made", "breaks", "observed", "said"),
    [
        ("leak.ipv6", leaks.ipv6, as_it_is, "holds", ""),
        ("leak.ipv6", leaks.ipv6, by_another_way, "inconclusive", "no bytes of TLS by ipv6"),
        ("leak.ipv6", leaks.ipv6, by_mapped_addresses, "inconclusive", "0 by ipv6"),
        ("node.runtime-restart", stop.restart, as_it_is, "holds", ""),
        ("node.runtime-restart", stop.restart, stream_broke, "inconclusive", "was restarted"),
        ("node.runtime-restart", stop.restart, journal_says_nothing, "inconclusive", ""),
        ("stop.total-time", stop.grace, as_it_is, "holds", ""),
        ("stop.total-time", stop.grace, not_used_up, "inconclusive", "was not used up"),
        ("stop.total-time", stop.grace, ended_before, "inconclusive", "before it was deleted"),
        ("wire.stranger", between.between, as_it_is, "holds", ""),
        ("wire.stranger", between.between, silent_after_three, "inconclusive", "tried nothing"),
        (
            "wire.stranger", between.between,
            lambda world: dials(world, 7, 8, "wrong"), "broken", "was answered",
        ),
        *(
            (
                "wire.stranger", between.between,
                lambda world, how=how: dials(world, 7, 8, how), "inconclusive", f"as {how}",
            )
            for how in ("refused", "reset", "closed")
        ),
        ("job.spillover", jobs.quota, as_it_is, "holds", ""),
        ("job.spillover", jobs.quota, submitted_too_soon, "inconclusive", "was submitted before"),
        ("job.spillover", jobs.quota, second_failed, "inconclusive", "second failed"),
        ("job.spillover", jobs.quota, third_comes(0.9), "holds", ""),
        ("job.spillover", jobs.quota, third_comes(60.0), "holds", ""),
    ],
)  # fmt: skip
def test_what_was_believed_without_proof(
    behaviour: str,
    made: Callable[[], World],
    breaks: Break,
    observed: str,
    said: str,
    tmp_path: Path,
) -> None:
    world = made()
    breaks(world)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == observed, found.reason
    assert said in found.reason

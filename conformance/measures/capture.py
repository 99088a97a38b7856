"""What the capture costs whom it watches: ``capture [BENCH.JSON]``, as root.

The suite's capture agent, with its tcpdump and its beacon, stands in a pod's network namespace
beside the fixtures' server, and the fixtures' client asks from another namespace: as often as all
clients of a pod under test do, and as fast as it can, which no cell does. Turns with and without a
capture follow on each other in rounds, so that what else the machine does meets all of them; a
ratio is that of one round, and the figure is the median of all.

At the fixtures' rate two more turns of each round say what such a ratio is worth: another without a
capture, whose interval shows what chance alone makes, and one with a packet socket that nobody
reads, which is the kernel's own part: no capture from within a pod can take less.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem, Problem, UsageProblem
from conformance.evidence.packets.pcap import Pcap
from conformance.machine.interrupts import interrupts
from conformance.machine.progress import board
from conformance.measures.__main__ import FILE, keep, show
from conformance.measures.figures import Figure
from conformance.measures.pair import Captured, Pair, pair

SECONDS = 1.0  # of a turn
# Requests a second at a pod under test: the dialer's 27.5, its app's own 12, and 8 of its peer.
RATES = {"the fixtures' rate": 48, "without pause": 0}
# On an idle machine the medians of two turns of 48 requests differ by some 15 % (the standard
# deviation of their ratio): 12 rounds tell 10 % from nothing, 48 tell 5 %.
ROUNDS = {"the fixtures' rate": 48, "without pause": 12}
Stand = Callable[[Pair], AbstractContextManager[Any]]  # what stands there while a turn is made


def _nothing(_: Pair) -> AbstractContextManager[None]:
    return nullcontext()


_BESIDE: Mapping[str, Stand] = {
    "nothing": _nothing,
    "a packet socket that nobody reads": Pair.kept,
}
_SURE = 0.95
_REQUEST = b"POST /echo/"


@dataclass(frozen=True)
class Turn:
    """One turn: requests, all of them answered; a second's; their latencies in ns."""

    requests: int
    rate: float
    median: float
    p99: float


@dataclass(frozen=True)
class Round:
    """Turns that followed on each other. lacking: requests of the one with a capture that its file
    lacks. beside: other turns, by what stood in the capture's place."""

    without: Turn
    watched: Turn
    captured: Captured
    lacking: int
    beside: Mapping[str, Turn] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """The median of some ratios, and the interval that holds the true one with 95 % at least."""

    middle: float
    low: float
    high: float


def main(arguments: Sequence[str]) -> int:
    """The command. Returns the exit code."""
    try:
        if len(arguments) > 1:
            raise UsageProblem("Name one file at most, such as results/bench.json.")
        target = Path(arguments[0]) if arguments else Path(FILE)
        if not target.parent.is_dir():
            raise UsageProblem(f"{target.parent} is no folder; name one that is there.")
        with interrupts():
            found = list(measured(ROUNDS, SECONDS, board.say))
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("sidecar-conformance: interrupted; nothing was measured.", file=sys.stderr)
        return 130
    show(found)
    keep(found, target)
    return 0


def measured(
    rounds: Mapping[str, int], seconds: float, say: Callable[[str], None]
) -> Iterator[Figure]:
    """The figures of so many rounds at each of RATES. Raises EnvironmentProblem."""
    for name, rate in RATES.items():
        # Without pause a ring that nobody reads is full at once.
        beside = _BESIDE if rate else {}
        say(f"{name}: {rounds[name]} rounds of {2 + len(beside)} turns of {seconds:g} s")
        with (
            tempfile.TemporaryDirectory(prefix="sidecar-conformance-") as folder,
            pair(Path(folder)) as both,
        ):
            made = [_round(both, seconds, rate, beside, at) for at in range(rounds[name])]
        yield from figures(name, made)


def _round(
    both: Pair, seconds: float, rate: float, beside: Mapping[str, Stand], number: int
) -> Round:
    """One round; which turn is the first in it goes by its number."""
    stands: Mapping[str, Stand] = {"without": _nothing, "watched": Pair.captured, **beside}
    names, first = list(stands), number % len(stands)
    turns: dict[str, Turn] = {}
    came: dict[str, Any] = {}
    for name in names[first:] + names[:first]:
        with stands[name](both) as came[name]:
            turns[name] = turn(both.ask(seconds, rate))
    (captured,) = came["watched"]
    lacks = lacking(captured, turns["watched"].requests)
    others = {name: turns[name] for name in beside}
    return Round(turns["without"], turns["watched"], captured, lacks, others)


def turn(told: dict[str, Any]) -> Turn:
    """A turn by what the client tells. Raises EnvironmentProblem where requests went wrong."""
    latencies = sorted(told["latencies"])
    if told["outcomes"].keys() != {"ok"} or len(latencies) < 2:
        raise EnvironmentProblem(
            f"Requests between two network namespaces ended as {told['outcomes']}: nothing is "
            "measured by them; look at what else this machine does."
        )
    p99 = latencies[math.ceil(0.99 * len(latencies)) - 1]
    rate = len(latencies) / told["seconds"]
    return Turn(len(latencies), rate, statistics.median(latencies), p99)


def lacking(captured: Captured, requests: int) -> int:
    """How many of the requests, or of the packets that tcpdump counted, its file does not hold."""
    frames = seen = 0
    with Pcap(captured.file) as file:
        for record in file:
            frames += 1
            seen += _REQUEST in record.frame
    captured.file.unlink()
    return max(requests - seen, captured.captured - frames, 0)


def ratio(values: Sequence[float]) -> Ratio:
    """The median, and its interval by order alone: whatever their distribution, the true median
    lies between the k-th smallest and the k-th largest with a binomial's probability. Fewer than
    six values have no such interval; then it is that of the smallest and the largest."""
    ordered, number = sorted(values), len(values)
    outside, rank = 0.0, 0
    while rank < number // 2:
        outside += 2 * math.comb(number, rank) / 2**number
        if outside > 1 - _SURE:
            break
        rank += 1
    rank = max(rank, 1)
    return Ratio(statistics.median(ordered), ordered[rank - 1], ordered[-rank])


_OF: Sequence[tuple[str, Callable[[Turn], float], str]] = (
    ("requests a second", lambda one: one.rate, ""),
    ("median latency (ms)", lambda one: one.median / 1e6, "under 1.05"),
    ("99th percentile of latency (ms)", lambda one: one.p99 / 1e6, ""),
)


def figures(rate: str, rounds: Sequence[Round]) -> Iterator[Figure]:
    """What rounds at one rate come to."""
    packets = sum(one.captured.captured for one in rounds)
    dropped = sum(one.captured.dropped for one in rounds)
    lost = sum(one.lacking for one in rounds)
    requests = sum(one.watched.requests for one in rounds)
    told = {"rounds": len(rounds), "packets": packets, "requests": requests, "lacking": lost}
    yield Figure(f"capture, {rate}: dropped", dropped, "packets", "0", told)
    watched = [(one.without, one.watched) for one in rounds]
    for name, of, goal in _OF:
        yield _figure(f"capture, {rate}: {name}", goal, of, watched)
    latency, of, _ = _OF[1]
    for beside in rounds[0].beside:
        yield _figure(
            f"{beside} in the capture's place, {rate}: {latency}", "", of,
            [(one.without, one.beside[beside]) for one in rounds],
        )  # fmt: skip


def _figure(
    name: str, goal: str, of: Callable[[Turn], float], turns: Sequence[tuple[Turn, Turn]]
) -> Figure:
    found = ratio([of(other) / of(without) for without, other in turns])
    more = {
        "low": round(found.low, 3), "high": round(found.high, 3), "sure": _SURE,
        "without": round(statistics.median(of(one) for one, _ in turns), 3),
        "with": round(statistics.median(of(one) for _, one in turns), 3),
    }  # fmt: skip
    unit = f"times without ({more['low']:g} to {more['high']:g})"
    return Figure(name, round(found.middle, 3), unit, goal, more)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

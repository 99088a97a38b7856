"""What the capture costs whom it watches: ``capture [BENCH.JSON]``, as root.

The suite's capture agent, with its tcpdump and its beacon, stands in a pod's network namespace
beside the fixtures' server, and the fixtures' client asks from another namespace: as often as all
clients of a pod under test do, and as fast as it can, which no cell does. Turns with and without a
capture follow on each other in pairs, so that what else the machine does meets both; a ratio is
that of one pair, and the figure is the median of all.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem, Problem, UsageProblem
from conformance.evidence.packets.pcap import Pcap
from conformance.machine.progress import board
from conformance.measures.__main__ import FILE, keep, show
from conformance.measures.figures import Figure
from conformance.measures.pair import Captured, Pair, pair

PAIRS = 12  # of each rate
SECONDS = 1.0  # of a turn
# Requests a second at a pod under test: the dialer's 27.5, its app's own 12, and 8 of its peer.
RATES = {"the fixtures' rate": 48, "without pause": 0}
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
        found = list(measured(PAIRS, SECONDS, board.say))
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    show(found)
    keep(found, target)
    return 0


def measured(pairs: int, seconds: float, say: Callable[[str], None]) -> Iterator[Figure]:
    """The figures of so many pairs of turns. Raises EnvironmentProblem."""
    for name, rate in RATES.items():
        say(f"{name}: {pairs} pairs of turns of {seconds:g} s, one of each with a capture")
        with (
            tempfile.TemporaryDirectory(prefix="sidecar-conformance-") as folder,
            pair(Path(folder)) as both,
        ):
            turns = [_pair(both, seconds, rate, first=not at % 2) for at in range(pairs)]
        yield from figures(name, turns)


def _pair(
    both: Pair, seconds: float, rate: float, *, first: bool
) -> tuple[Turn, Turn, Captured, int]:
    """(without, with, what was captured, requests that the capture lacks)."""
    without = None if first else turn(both.ask(seconds, rate))
    with both.captured() as captured:
        watched = turn(both.ask(seconds, rate))
    without = without or turn(both.ask(seconds, rate))
    return without, watched, captured[0], lacking(captured[0], watched.requests)


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


def figures(rate: str, turns: Sequence[tuple[Turn, Turn, Captured, int]]) -> Iterator[Figure]:
    """What pairs of turns at one rate come to."""
    packets = sum(captured.captured for _, _, captured, _ in turns)
    dropped = sum(captured.dropped for _, _, captured, _ in turns)
    lost = sum(lacks for _, _, _, lacks in turns)
    requests = sum(watched.requests for _, watched, _, _ in turns)
    told = {"pairs": len(turns), "packets": packets, "requests": requests, "lacking": lost}
    yield Figure(f"capture, {rate}: dropped", dropped, "packets", "0", told)
    for name, of, goal in _OF:
        found = ratio([of(watched) / of(without) for without, watched, _, _ in turns])
        more = {
            "low": round(found.low, 3), "high": round(found.high, 3), "sure": _SURE,
            "without": round(statistics.median(of(one) for one, _, _, _ in turns), 3),
            "with": round(statistics.median(of(one) for _, one, _, _ in turns), 3),
        }  # fmt: skip
        unit = f"times without ({more['low']:g} to {more['high']:g})"
        yield Figure(f"capture, {rate}: {name}", round(found.middle, 3), unit, goal, more)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Many verdicts on the same cells: are they always the same? (``make soak N=3``)

``python -m conformance.soak N [OPTIONS]`` plays the selection of the options N times, each a run of
its own, in one folder (``--results``, which may hold earlier runs: they count as well). Then all
that is kept there is judged again, by the judges of now, and counted: each bundle once, whatever
number of times its folder is named. N = 0 only counts, and then OPTIONS are folders.

A cell of which two verdicts differ is unstable, and is told with the reason of each. What is
counted as failed is not excused here: on software that keeps its promises each of them is false.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from conformance import child
from conformance.errors import Problem, UsageProblem
from conformance.machine import paths, runs
from conformance.machine.progress import board
from conformance.report.decision import summary
from conformance.run import rejudge

RESULTS = "--results="
# Of the same cell these say the same: what was seen is what is expected of it.
GOOD = ("pass", "reproduced", "measured")
_TOLD = 3  # reasons of each outcome of an unstable cell


@dataclass(frozen=True)
class One:
    """A verdict: of which run and bundle, on what, what it is now, and what it was in its run."""

    run: str
    bundle: str
    name: str
    outcome: str
    before: str
    reason: str


@dataclass
class Soaked:
    """All verdicts, each once. unread: a sentence for each folder that could not be judged."""

    ones: dict[tuple[str, str, str], One] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    twice: int = 0

    def add(self, one: One) -> None:
        key = (one.run, one.bundle, one.name)
        self.twice += key in self.ones
        self.ones.setdefault(key, one)

    @property
    def counts(self) -> Mapping[str, int]:
        """Verdicts by outcome."""
        found = Counter(one.outcome for one in self.ones.values())
        return {outcome: found[outcome] for outcome in summary.OUTCOMES}

    @property
    def unstable(self) -> Mapping[str, Sequence[One]]:
        """What was judged in several ways → its verdicts."""
        by_name: dict[str, list[One]] = {}
        for one in self.ones.values():
            by_name.setdefault(one.name, []).append(one)
        return {
            name: ones
            for name, ones in sorted(by_name.items())
            if len({"good" if one.outcome in GOOD else one.outcome for one in ones}) > 1
        }

    @property
    def exit_code(self) -> int:
        """A run's; 5 where something could not be judged, or was judged in several ways."""
        code = summary.exit_code(self.counts)
        return 5 if code == 0 and (self.unread or self.unstable) else code


def main(arguments: Sequence[str]) -> int:
    """The command. Returns the exit code."""
    try:
        if not arguments or not arguments[0].isdigit():
            raise UsageProblem("Say how many runs there are to be: make soak N=3.")
        times, rest = int(arguments[0]), arguments[1:]
        folders = _played(times, rest) if times else [Path(one) for one in rest]
        with runs.interrupts():
            found = count(folders)
        for line in lines(found):
            board.say(line)
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    return found.exit_code


def _played(times: int, options: Sequence[str]) -> Sequence[Path]:
    """Play the runs; the folder of them all."""
    named = [one.removeprefix(RESULTS) for one in options if one.startswith(RESULTS)]
    folder = Path(named[-1]) if named else paths.results_dir() / time.strftime("soak-%Y%m%d-%H%M%S")
    others = [one for one in options if not one.startswith(RESULTS)]
    for turn in range(1, times + 1):
        board.say(f"run {turn} of {times}")
        code = child.run([*others, f"{RESULTS}{folder}"])
        board.say(f"run {turn} of {times} ended with {code}")
        if code in (2, 3, 130):
            break
    return [folder]


def count(folders: Sequence[Path]) -> Soaked:
    """Judge all runs in the folders again, several at once. Raises UsageProblem for none."""
    wanted = dict.fromkeys(run.resolve() for folder in folders for run in _runs(folder))
    if not wanted:
        raise UsageProblem("There is no finished run (report.json) in what is named.")
    found = Soaked()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, (run, told) in enumerate(
            zip(wanted, pool.map(_judged, wanted), strict=True), 1
        ):
            if isinstance(told, str):
                found.unread.append(told)
                continue
            for one in told:
                found.add(one)
            board.say(f"{number} of {len(wanted)}: {run.name}, {len(told)} verdicts")
    return found


def _runs(folder: Path) -> Iterator[Path]:
    """The finished runs at or right below a folder."""
    for place in (folder, *sorted(folder.glob("*"))):
        if (place / "report.json").is_file() and (place / "verdicts").is_dir():
            yield place


def _judged(run: Path) -> list[One] | str:
    """The verdicts of a run's bundles as they are judged now; or why there are none."""
    try:
        told = [
            One(run.name, one.bundle, f"{one.verdict.cell.id} {one.verdict.finding.behaviour}",
                one.verdict.outcome, one.before, one.verdict.reason)
            for one in rejudge.judged(run)
            if one.bundle
        ]  # fmt: skip
    except Problem as problem:
        return str(problem)
    return told


def lines(found: Soaked) -> Iterator[str]:
    """What was counted, then each verdict that failed, each cell that is unstable."""
    ones = found.ones.values()
    bundles = {(one.run, one.bundle) for one in ones}
    yield f"{len(ones)} verdicts on {len(bundles)} bundles: {summary.sentence(found.counts)}"
    changed = [one for one in ones if one.before not in ("", one.outcome)]
    if changed:
        yield f"{len(changed)} of them are other verdicts than their runs came to"
    if found.twice:
        yield f"{found.twice} were named twice, and count once"
    for one in ones:
        if one.outcome in ("fail", "not-reproduced"):
            yield f"{one.outcome}: {one.name} in {one.run}: {one.reason}"
    for name, its in found.unstable.items():
        told = Counter(one.outcome for one in its)
        yield f"unstable: {name}: {', '.join(f'{n} {one}' for one, n in told.most_common())}"
        for outcome in told:
            same = [one for one in its if one.outcome == outcome]
            yield from (f"  {outcome} in {one.run}: {one.reason}" for one in same[:_TOLD])
    yield f"{len(found.unstable)} unstable cells and promises"
    yield from (f"not judged: {sentence}" for sentence in found.unread)
    if found.exit_code:
        yield f"exit code {found.exit_code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

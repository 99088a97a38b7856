"""Judges evidence that is there already: a run's folder, or one bundle, from today or last year."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import UsageProblem
from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.model import Cell, Verdict
from conformance.plan import cells as plan
from conformance.plan.catalogue import behaviours
from conformance.plan.cells import Item
from conformance.run import kept
from conformance.verdicts import store as verdicts


@dataclass(frozen=True)
class Judged:
    """A verdict of now.

    bundle: its evidence, relative to ``results``; None where there is none. before: the outcome
    that the run itself came to; "" where none is kept.
    """

    verdict: Verdict
    results: Path
    bundle: str | None
    before: str = ""

    @property
    def told(self) -> str:
        """What is to be added to the verdict's line."""
        changed = self.before not in ("", self.verdict.outcome)
        return f"  (was {self.before})" if changed else ""


def judged(path: Path, *, strict_promises: bool = False) -> Iterator[Judged]:
    """Every verdict that the folder's evidence gives now. Raises UsageProblem."""
    if is_bundle(path):
        kept.restore(kept.run_of(path))
        yield from _bundle(path, strict_promises)
    elif (path / "verdicts").is_dir():
        kept.restore(path)
        yield from _run(path, strict_promises)
    else:
        raise UsageProblem(
            f"{path} is neither a run's folder (with verdicts/) nor a bundle (with cell.json); "
            "name one, such as results/latest."
        )


def asked(results: Path) -> Mapping[Path, Collection[str]]:
    """Bundle → the files that the run's verdicts on it ask for, by judging once more; {} for a run
    that cannot be judged."""
    found: dict[Path, set[str]] = {}
    opened = Bundle.open(results)
    try:
        kept.restore(results)
        for was, name in _kept(results):
            if name is None:
                continue
            if opened.root != results / name:
                opened = Bundle.open(results / name)
            judge(was.finding.behaviour, opened)
            found.setdefault(opened.root, set()).update(opened.asked)
    except UsageProblem:
        return {}
    return found


def is_bundle(path: Path) -> bool:
    """Whether the folder is one cell's evidence."""
    return (path / "cell.json").is_file()


def _run(results: Path, strict: bool) -> Iterator[Judged]:
    """The verdicts of a run. One that was reached without a bundle stays what it is."""
    for was, bundle in _kept(results):
        behaviour = was.finding.behaviour
        if behaviour not in behaviours():
            raise UsageProblem(
                f"{results} has verdicts on {behaviour}, which this suite does not know; judge it "
                "with the suite that made it."
            )
        finding = judge(behaviour, Bundle.open(results / bundle)) if bundle else was.finding
        item = Item(was.cell, behaviour)
        now = verdicts.hold(item, finding, attempts=was.attempts, strict_promises=strict)
        yield Judged(now, results, bundle, was.outcome)


def _kept(results: Path) -> Sequence[tuple[Verdict, str | None]]:
    """The run's own verdicts. Raises UsageProblem when a file of them is damaged."""
    try:
        return list(verdicts.kept(results))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageProblem(
            f"A file below {results / 'verdicts'} is no verdict ({type(error).__name__}: {error}); "
            "judge the bundles one by one, or name another run."
        ) from error


def _bundle(folder: Path, strict: bool) -> Iterator[Judged]:
    bundle = Bundle.open(folder)
    try:
        index = json.loads((folder / "cell.json").read_bytes())
        cell = Cell(**index["cell"])
        asked = plan.judged_in(cell, tuple(behaviours()), max(1, len(index.get("nodes", {}))))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageProblem(
            f"{folder}/cell.json does not say which cell it is ({type(error).__name__}: {error}); "
            "a bundle is whole only when its run has closed it."
        ) from error
    for behaviour in asked:
        item = Item(cell, behaviour)
        verdict = verdicts.hold(item, judge(behaviour, bundle), strict_promises=strict)
        yield Judged(verdict, folder.parent, folder.name)

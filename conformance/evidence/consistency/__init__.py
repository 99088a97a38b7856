"""A bundle held against itself, once, before any judge speaks.

Each module holds one kind of source against the others. What a judge may then rely on: the index is
the pod that the watch and the runtime saw; every record has its begin, and numbers run from 0 on
without a gap; a program writes only while its container lives; all clocks agree; a sidecar carried
what its output says. What contradicts is named, and strikes the verdicts that lean on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from conformance.evidence.bundle import Bundle
from conformance.evidence.consistency import (
    carried,
    clocks,
    frames,
    identity,
    lines,
    lives,
    pods,
    requests,
    seal,
)
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence

Check = Callable[[Bundle], Iterator[Contradiction]]
CHECKS: Sequence[Check] = (
    seal.check,
    identity.check,
    pods.check,
    lives.check,
    clocks.check,
    frames.check,
    requests.check,
    carried.check,
    lines.check,  # the last: it tells of the lines that the others could not read
)


def contradictions(bundle: Bundle) -> Sequence[Contradiction]:
    """Everything in the bundle that contradicts something else in it. Never raises.

    It is found once for each bundle, and kept there.
    """
    if bundle.contradictions is None:
        try:
            _ = bundle.index
        except Unjudgeable:  # nothing can be held against it, and every judge says so
            return ()
        with bundle.unnoticed():
            bundle.contradictions = tuple(one for check in CHECKS for one in _found(check, bundle))
    return bundle.contradictions


def _found(check: Check, bundle: Bundle) -> list[Contradiction]:
    found: list[Contradiction] = []
    try:
        found.extend(check(bundle))
    except Unjudgeable as why:  # a file that is missing or changed: who leans on it says so, too
        found.append(_unread(why))
    return found


def _unread(why: Unjudgeable) -> Contradiction:
    named: tuple[Evidence, ...] = why.evidence
    files = frozenset(one.file for one in named if one.file != "cell.json")
    return Contradiction(str(why), files or frozenset({"cell.json"}), named)

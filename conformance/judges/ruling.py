"""How a judge answers: findings, and the few reasons that many judges have for giving none.

judge() knows which behaviour is asked for, asks the premise first, and cuts the list of evidence:
so no judge says any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Protocol, TypeVar

from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence, Finding, Measured

SHOWN = 200
"""Pieces of evidence in a finding: the first ones. How many there were is in what was measured."""
Judge = Callable[[Bundle], Finding]
Premise = Callable[[Bundle], None]
T = TypeVar("T", bound=Judge)


def holds(
    reason: str, measured: Measured | None = None, evidence: Sequence[Evidence] = ()
) -> Finding:
    """The promise was kept."""
    return Finding("", "holds", reason, "", measured or {}, evidence)


def broken(
    hazard: str, reason: str, measured: Measured | None = None, evidence: Sequence[Evidence] = ()
) -> Finding:
    """The promise was not kept: hazard names the kind of breakage."""
    return Finding("", "broken", reason, hazard, measured or {}, evidence)


def measures(
    reason: str, measured: Measured | None = None, evidence: Sequence[Evidence] = ()
) -> Finding:
    """There is nothing to keep: figures, to compare between runs."""
    return Finding("", "measured", reason, "", measured or {}, evidence)


def unverified(reason: str, evidence: Sequence[Evidence] = ()) -> Finding:
    """This machine cannot show it."""
    return Finding("", "not-verified", reason, evidence=evidence)


def held_against(
    wrong: Sequence[str], said: str, hazard: str, measured: Measured, evidence: Sequence[Evidence]
) -> Finding:
    """Broken by what is wrong, in words; holds as said where nothing is."""
    if wrong:
        text = "; ".join(wrong)
        return broken(hazard, f"{text[0].upper()}{text[1:]}.", measured, evidence)
    return holds(said, measured, evidence)


def premised(premise: Premise) -> Callable[[T], T]:
    """What judge() asks before this judge, in place of require_premise."""

    def mark(judge: T) -> T:
        judge.__dict__["premise"] = premise
        return judge

    return mark


def require_number(
    number: int | Sized, least: int, what: str, measured: Measured | None = None
) -> None:
    """Raises Unjudgeable unless there are enough of something for its absence to mean anything."""
    number = number if isinstance(number, int) else len(number)
    if number < least:
        raise Unjudgeable(f"{number} {what}, and {least} are needed", measured)


def rate_bound(number: int) -> float | None:
    """The rate that none in so many tries excludes at 95 %: about 3/n, "the rule of three"."""
    return round(3 / number, 6) if number else None


def floor(number: int) -> str:
    """The same, in words."""
    return f"at 95 % fewer than {min(1, 3 / number):.1%}"


class Recorded(Protocol):
    """What is recorded somewhere: an attempt, a connection, a proxy's record."""

    @property
    def evidence(self) -> Evidence:
        """Where it is recorded."""


def lines_of(found: Iterable[Recorded]) -> list[Evidence]:
    """Where some of them are recorded."""
    return [one.evidence for one in found]

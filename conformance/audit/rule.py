"""What a rule is: one function, and one row above it.

A rule's function gets what it is about, and the world around it, and yields hits. Its row says the
rest: id, title, level, the behaviour that proves the hazard, how to see it, how to repair it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from conformance.audit.document import Document, Path
from conformance.audit.patch import Patch
from conformance.audit.subject import Subject
from conformance.audit.world import Tally, World

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("note", "warning", "error")


@dataclass(frozen=True)
class Hit:
    """Where a rule found its hazard. behaviour, level: where they differ from the rule's own.

    document: the object, where it is not the one that the rule was asked about.
    """

    path: Path
    message: str
    container: str = ""
    patch: Patch | None = None
    behaviour: str = ""
    level: Level | None = None
    document: Document | None = None


F = TypeVar("F")
OfSubject = Callable[[Subject, World], Iterator[Hit]]
OfObject = Callable[[Document, World], Iterator[Hit]]
OfAll = Callable[[Tally, World], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """A rule's row. behaviour: the one of the catalogue that proves the hazard on a real cluster;
    "" where none does, and source names a public report of it. kinds: for rules about objects."""

    id: str
    title: str
    level: Level
    behaviour: str
    see: str
    repair: str
    source: str = ""
    kinds: tuple[str, ...] = ()


SUBJECTS: dict[Rule, OfSubject] = {}
OBJECTS: dict[Rule, OfObject] = {}
WHOLE: dict[Rule, OfAll] = {}


def rule(row: Rule) -> Callable[[OfSubject], OfSubject]:
    """A rule that looks at each workload."""
    return _into(SUBJECTS, row)


def object_rule(row: Rule) -> Callable[[OfObject], OfObject]:
    """A rule that looks at each object of its kinds."""
    return _into(OBJECTS, row)


def whole_rule(row: Rule) -> Callable[[OfAll], OfAll]:
    """A rule that looks at what was counted, when everything has been read."""
    return _into(WHOLE, row)


def _into(table: dict[Rule, F], row: Rule) -> Callable[[F], F]:
    def enter(function: F) -> F:
        table[row] = function
        return function

    return enter


def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of their modules."""
    return {row.id: row for table in (SUBJECTS, OBJECTS, WHOLE) for row in table}

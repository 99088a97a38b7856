"""Tables that say what they lack: who asks for it ends in a sentence, not in a KeyError."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence

T = TypeVar("T")


class Table(dict[str, T]):
    """A dict of which ``table[name]`` raises Unjudgeable where there is no such name.

    of: what lacks it, such as "watch.jsonl:7". what: the kind of what is lacking, such as "pod".
    All but the fields may be left out, for ``dataclasses.asdict`` makes copies so.
    """

    __slots__ = ("_evidence", "_of", "_what")

    def __init__(
        self,
        fields: Mapping[str, T] | Iterable[tuple[str, T]],
        of: str = "the table",
        what: str = "",
        evidence: Sequence[Evidence] = (),
    ) -> None:
        super().__init__(fields)
        self._of, self._what, self._evidence = of, what, evidence

    def __missing__(self, name: str) -> NoReturn:
        what = f"{self._what} {name}".strip()
        raise Unjudgeable(f"{self._of} has no {what}", evidence=self._evidence)


def in_line(file: str, number: int) -> Callable[[dict[str, Any]], Table[Any]]:
    """What makes of each JSON object in a line one that says what it lacks."""
    of, where = f"{file}:{number}", (Evidence(file, line=number),)
    return lambda its: Table(its, of, "", where)

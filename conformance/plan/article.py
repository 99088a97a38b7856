"""Reads article.toml: what the source article claims, and which behaviours bear on each claim.

It says nothing about what is true: whether a measurement contradicts a claim is computed from a
run's verdicts (see report/page/article).
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conformance.plan.catalogue import behaviours
from conformance.plan.selection import PATTERNS

ARTICLE = Path(__file__).with_name("article.toml")
JUDGED = ("holds", "broken")
STAGES = ("alpha", "beta", "ga")


@dataclass(frozen=True)
class Claim:
    """One thing that the article says, in our own words.

    column: where it stands in its table. about: the behaviours that measure it; None for a remark
    that nothing can measure. contradicted_by: the observation (holds, broken) that proves it wrong
    wherever it is made; shown_by: of a claim that something can happen, the one that shows that it
    does; same_as: the pattern whose measured values it says are the same. At most one of the three.
    pattern, sidecar, mode, k8s: which cells it speaks of, "" for any
    (k8s as in expectations.toml). stage: of the feature gate in that version (alpha, beta, ga),
    which the API server itself tells, and no behaviour.
    """

    column: str
    says: str
    about: Sequence[str] | None = None
    contradicted_by: str = ""
    shown_by: str = ""
    same_as: str = ""
    pattern: str = ""
    sidecar: str = ""
    mode: str = ""
    k8s: str = ""
    stage: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    claims: Sequence[Claim]


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]


@cache
def tables() -> Sequence[Table]:
    """The article's tables, in its order."""
    return load(ARTICLE.read_text(), behaviours())


def load(text: str, known: Collection[str]) -> Sequence[Table]:
    """The tables of an article.toml. Raises ValueError for what cannot be meant."""
    return tuple(
        Table(
            table["title"],
            tuple(table["columns"]),
            tuple(
                Row(row["name"], tuple(_claim(raw, table, row, known) for raw in row["claims"]))
                for row in table["rows"]
            ),
        )
        for table in tomllib.loads(text)["tables"]
    )


def _claim(raw: dict[str, Any], table: Any, row: Any, known: Collection[str]) -> Claim:
    claim = Claim(**raw)
    unknown = [id_ for id_ in claim.about or () if id_ not in known]
    wrong = {
        "column": claim.column not in table["columns"],
        "about": bool(unknown),
        "contradicted_by": claim.contradicted_by not in ("", *JUDGED),
        "shown_by": claim.shown_by not in ("", *JUDGED),
        "same_as": claim.same_as not in ("", *PATTERNS),
        "test": sum(map(bool, (claim.contradicted_by, claim.shown_by, claim.same_as))) > 1,
        "pattern": claim.pattern not in ("", *PATTERNS),
        "stage": claim.stage not in ("", *STAGES) or bool(claim.stage and not claim.k8s),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(
                f"article.toml: {row['name']}: {name} of {claim.says!r} is wrong"
                f"{': unknown ' + ', '.join(unknown) if unknown else ''}"
            )
    return claim

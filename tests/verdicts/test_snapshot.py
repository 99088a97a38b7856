"""Every expectation of every cell, as a file: a row that moves another cell's is seen at once.

After a change that is meant, ``python -m tests.verdicts.test_snapshot`` writes the file anew; its
difference belongs into the commit that says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from conformance.plan import cells, selection
from conformance.plan.sidecars import own
from conformance.verdicts.expectations import expected

SNAPSHOT = Path(__file__).with_name("snapshot.txt")


def rows() -> Iterator[str]:
    """A line for each behaviour of a sidecar, pattern, mode and scenario: what is expected on which
    versions of Kubernetes, in their order."""
    names = ",".join(entry.name for entry in own())
    chosen = selection.select({"k8s": "all", "sidecar": names, "nodes": "2"})
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for item in cells.items(chosen):
        cell = item.cell
        expectation = expected(item.behaviour, cell)
        key = f"{cell.sidecar} {cell.pattern} {cell.mode} {cell.scenario} {item.behaviour}"
        found[key].append((cell.k8s, " ".join((expectation.expect, *expectation.hazards))))
    for key in sorted(found):
        inorder = sorted(found[key], key=lambda one: selection.version_order(one[0]))
        told = (
            f"{words} ({','.join(k8s for k8s, _ in same)})"
            for words, same in groupby(inorder, key=lambda one: one[1])
        )
        yield f"{key}: {'; '.join(told)}"


def test_no_expectation_has_moved() -> None:
    assert SNAPSHOT.read_text().splitlines() == [*rows()]


if __name__ == "__main__":
    SNAPSHOT.write_text("".join(f"{row}\n" for row in rows()))

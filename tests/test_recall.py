"""docs/recall.md: each row names behaviours that there are, and a command that is taken."""

from __future__ import annotations

import re
import shlex

import pytest

from conformance.machine.paths import CHECKOUT
from conformance.plan.catalogue import behaviours
from conformance.plan.check import main

PAGE = CHECKOUT / "docs" / "recall.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if re.match(r"\| \d+ \|", line)
]


def test_rows_are_numbered() -> None:
    assert [row[0].strip("| ") for row in ROWS] == [str(one + 1) for one in range(len(ROWS))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_can_be_run_again(row: list[str]) -> None:
    _, fault, behaviour, broken, held, command = row
    assert re.search(r"k8s#\d+|KEP-\d+", fault)
    assert behaviour.strip("`") in behaviours()
    for seen in (broken, held):
        assert re.match(r'\*\*1\.\d+\.\d+\*\*[^"]*: "[^"]+"', seen)
    make, target, *given = shlex.split(command.strip("`"))
    assert (make, target) == ("make", "conformance")
    words = dict(one.split("=", 1) for one in given)
    assert behaviour.strip("`") in words["BEHAVIOUR"].split(",")
    for patch in re.findall(r"\*\*(1\.\d+\.\d+[^*,]*)", f"{broken} {held}"):
        assert patch in words["K8S"].split(",")
    options = [f"--{name.lower()}={value}" for name, value in words.items()]
    assert main([*options, *(f"--variable={name}" for name in words)]) == 0

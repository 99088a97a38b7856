"""Whatever stands in a file, it is played or refused in one sentence: never a traceback."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.errors import UsageProblem
from conformance.model import Cell, Pattern
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.driver import load
from conformance.sidecars.own.registering import register
from conformance.sidecars.pods.registering import register as register_pods
from tests.sidecars.own.stand_ins import EXAMPLES

STRANGE: list[Any] = [
    None, 1, -1, 1.5, True, "", "x" * 300, [], {}, [1], {"a": 1}, [None], {"name": "a"},
    [{"name": "a"}], "../../x", "é", 10**30, [[]], {"httpGet": None},
]  # fmt: skip
PATTERNS: tuple[Pattern, ...] = ("native", "classic")
FILES = sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("pods/*.yaml")])
TIMES = 25  # for each file; thousands were tried once


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, item in items:
        yield from places(item, (*at, key))


def mutated(document: Any, chance: random.Random) -> Any:
    """The document with something strange in one place, or without it."""
    at = chance.choice(list(places(document)))
    strange = chance.choice(STRANGE)
    if not at:
        return strange
    made = copy.deepcopy(document)
    node = made
    for key in at[:-1]:
        node = node[key]
    if chance.random() < 0.2:
        del node[at[-1]]
    elif chance.random() < 0.2 and isinstance(node, dict):
        node[chance.choice(["foo", "name", "kind", 1, True])] = strange
    else:
        node[at[-1]] = strange
    return made


@pytest.mark.parametrize("example", FILES, ids=lambda one: one.stem)
def test_a_mutated_file_is_played_or_refused(example: Path, tmp_path: Path) -> None:
    chance = random.Random(example.stem)
    read = register_pods if example.parent.name == "pods" else register
    documents = list(yaml.safe_load_all(example.read_text()))
    pod: dict[str, Any] = {"metadata": {"name": "s", "namespace": "n"}, "spec": {}}
    pod["spec"] = {"containers": [{"name": "app", "image": "app"}], "volumes": []}
    refused = 0
    for turn in range(TIMES):
        its = list(documents)
        place = chance.randrange(len(its))
        its[place] = mutated(its[place], chance)
        file = tmp_path / f"{turn}.yaml"
        file.write_text(yaml.safe_dump_all(its))
        try:
            name = read(file)
        except UsageProblem as problem:
            assert "\n" not in str(problem)
            refused += 1
            continue
        for pattern in PATTERNS:
            cell = Cell("1.33", name, pattern, "default", "lifecycle")
            driver = load(name)
            driver.admitted(driver.inject(pod, cell, "subject"), cell)
            driver.facts(cell, "n")
        del REGISTRY[name]
    assert refused

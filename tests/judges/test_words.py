"""Whatever is taken away from a good world, the answer says what was lacking, in our own words.

A judge that stumbles is inconclusive, too: but "KeyError: 'startTime'" tells nobody what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.plan.catalogue import behaviours
from tests.forge.bundle import Json
from tests.judges.test_judge import world_of

# Of a mistaken judge, and of the errors that Python raises for what is not there.
_STUMBLED = re.compile(
    r"The judge failed|\w{3,}Error\b|StopIteration|NoneType|list index|empty sequence|to unpack"
)
_MARK = re.compile(r' (/[\w/-]+) .*"container_id": "(\w{12})|Stop container [\\"]+(\w{12})')


class Watched(Bundle):
    """A bundle that tells which files a verdict leaned on."""

    def __init__(self, root: Path, role: str = "") -> None:
        super().__init__(root, role)
        self.leaned_on: set[str] = set()

    @contextmanager
    def noticed(self) -> Iterator[set[str]]:
        with super().noticed() as read:
            yield read
        self.leaned_on |= read

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        with super().noticed():
            yield


def kind_of(text: str) -> str:
    """What a line tells of: lines of one kind are taken away together."""
    if mark := _MARK.search(text):
        return " ".join(filter(None, mark.groups()))
    try:
        line = json.loads(text)
    except ValueError:
        return text.partition("{")[0]
    if "kind" in line and "object" in line:
        return f"{line.get('kind')} {line['object']['metadata']['name']}"
    its = next((line[key] for key in ("event", "step", "command", "what") if key in line), "")
    return " ".join(str(its).split()[:4])


def without_status(text: str, field: str) -> str:
    """A line of the watch whose object's status lacks a field."""
    line = json.loads(text)
    (line["object"].get("status") or {}).pop(field, None)
    return json.dumps(line) + "\n"


def taken_away(name: str, whole: str) -> Iterator[tuple[str, str]]:
    """What is lacking, and the file without it: everything, and each kind of line, all of it, all
    but the first and all but the last; of the watch also each field of a status."""
    lines = whole.splitlines(keepends=True)
    kinds: dict[str, list[int]] = {}
    for number, text in enumerate(lines):
        kinds.setdefault(kind_of(text), []).append(number)
    yield "everything", ""
    for kind, its in kinds.items():
        for left in ([], its[:1], its[-1:]) if len(its) > 1 else ([],):
            gone = set(its) - set(left)
            kept = (text for number, text in enumerate(lines) if number not in gone)
            yield f"{kind} but {len(left)}", "".join(kept)
    if name == "watch.jsonl":
        objects = (json.loads(text)["object"] for text in lines)
        for field in sorted({key for one in objects for key in one.get("status") or {}}):
            yield f"every {field}", "".join(without_status(text, field) for text in lines)


def indexes(index: Json) -> Iterator[tuple[str, str]]:
    """The index without each of its fields, each pod, and the ids of each container."""
    for key in index:
        if key != "files":
            yield key, json.dumps({name: its for name, its in index.items() if name != key})
    for role, pod in index["pods"].items():
        others = {name: its for name, its in index["pods"].items() if name != role}
        yield f"the pod {role}", json.dumps(index | {"pods": others})
        for name, its in pod["containers"].items():
            poor = {**pod, "containers": {**pod["containers"], name: {**its, "ids": []}}}
            yield f"ids of {role}.{name}", json.dumps(index | {"pods": {**others, role: poor}})


@pytest.mark.usefixtures("unapproved")
@pytest.mark.parametrize("behaviour", behaviours())
def test_no_answer_is_in_an_interpreters_words(tmp_path: Path, behaviour: str) -> None:
    world = world_of(behaviour)
    folder = world.write(tmp_path / "bundle")
    whole = Watched(folder)
    judge(behaviour, whole, trusting=True)
    index = world.index | {"files": {}}  # what is lacking was never there
    (folder / "cell.json").write_text(json.dumps(index))
    stumbled = []

    def ask(what: str) -> None:
        bundle = Bundle(folder)
        bundle._captures = whole._captures  # decoded once: none of them is changed
        found = judge(behaviour, bundle, trusting=True)
        if _STUMBLED.search(found.reason):
            stumbled.append(f"without {what}: {found.reason}")

    texts = {"cell.json": indexes(index)}
    for name in sorted(whole.leaned_on):
        if not name.endswith(".pcap") and (folder / name).exists():
            texts[name] = taken_away(name, (folder / name).read_text())
    for name, lacking in texts.items():
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        ask(name)
        for what, text in lacking:
            (folder / name).write_text(text)
            ask(f"{what} in {name}")
        (folder / name).write_bytes(content)
    assert not stumbled, "\n".join(stumbled)

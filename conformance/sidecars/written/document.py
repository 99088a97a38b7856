"""YAML as users write it: read within bounds, and every value knows its line.

PyYAML takes any size and depth, lets aliases multiply what they stand for, and keeps the last of
two equal keys in silence. Here each of these is one sentence with the file and the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conformance.errors import UsageProblem
from conformance.machine.yaml_places import Place, dotted, line_of

MOST_BYTES = 256 * 1024
"""A hand-written file of one workload is a hundredth of it."""
MOST_NODES = 20_000
"""Keys and values, aliases counted as what they stand for."""
MOST_DEPTH = 64
"""A Deployment's deepest field is some 15 deep, a JSON schema in a ConfigMap is one text."""


@dataclass(frozen=True)
class Document:
    """One document of a file: its content, and where each part of it stands."""

    file: str
    content: Any
    node: yaml.Node

    def line(self, place: Place) -> int:
        """The line (from 1) of a key or an item, or of the nearest thing around it that is."""
        return line_of(self.node, place)

    def problem(self, place: Place, why: str) -> UsageProblem:
        """What is wrong at a place, as one sentence with file, line and field."""
        return UsageProblem(f"{self.file}, line {self.line(place)}: {spoken(place)} {why}.")


def spoken(place: Place) -> str:
    """A place in a sentence: container.env[2].value."""
    return dotted(place) or "the document"


def read(path: Path, called: str = "") -> Sequence[Document]:
    """The documents of a file that hold anything. called: the file as the user named it.

    Raises UsageProblem for a file that is not there, is no YAML, or is out of bounds.
    """
    name = called or str(path)
    try:
        with path.open("rb") as source:
            raw = source.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageProblem(
            f"{name} cannot be read: {error.strerror or error}; name a YAML file."
        ) from None
    if len(raw) > MOST_BYTES:
        raise UsageProblem(
            f"{name} has more than {MOST_BYTES // 1024} KiB, which is no hand-written workload; "
            "name another file."
        )
    try:
        text = raw.decode()
        _require_shallow(text, name)
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        documents = [_document(node, name) for node in nodes if node is not None]
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageProblem(f"{name}, line {line}: the file is not UTF-8; save it so.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageProblem(
            f"{name}, line {mark.line + 1 if mark else 1}: no YAML, {error.problem or error}."
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that cannot be, a huge int
        raise UsageProblem(f"{name}: no YAML, {' '.join(str(error).split())[:120]}.") from None
    found = [one for one in documents if one.content is not None]
    if not found:
        raise UsageProblem(f"{name} holds nothing; write a workload into it.")
    return found


def _document(node: yaml.Node, name: str) -> Document:
    _count(node, name, {}, set())
    loader = yaml.SafeLoader("")
    content = loader.construct_document(node)
    return Document(name, content, node)


def _require_shallow(text: str, name: str) -> None:
    """Before anything recurses: the composer does, one call for each level."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            line = event.start_mark.line if event.start_mark else 0
            if depth > MOST_DEPTH:
                raise UsageProblem(
                    f"{name}, line {line + 1}: nested more than {MOST_DEPTH} deep; no workload is."
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _count(node: yaml.Node, name: str, known: dict[int, int], within: set[int]) -> int:
    """How many nodes there are, each alias counted as what it stands for; keys are looked at too.

    Raises UsageProblem for too many, for what holds itself, and for a key that is there twice.
    """
    if id(node) in known:
        return known[id(node)]
    line = node.start_mark.line + 1
    if id(node) in within:
        raise UsageProblem(
            f"{name}, line {line}: the alias stands for what holds it; write it out."
        )
    within.add(id(node))
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _require_single(node, name)
        children = [one for pair in node.value for one in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = list(node.value)
    total = 1 + sum(_count(one, name, known, within) for one in children)
    within.discard(id(node))
    if total > MOST_NODES:
        raise UsageProblem(
            f"{name}, line {line}: more than {MOST_NODES} values, with aliases written out; no "
            "workload has so many."
        )
    known[id(node)] = total
    return total


def _require_single(node: yaml.MappingNode, name: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UsageProblem(
                f"{name}, line {key.start_mark.line + 1}: a key that is no text; write a name."
            )
        if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
            raise UsageProblem(
                f"{name}, line {key.start_mark.line + 1}: {key.value} stands there twice, in line "
                f"{seen[key.value]} too; leave one out."
            )
        seen[key.value] = key.start_mark.line + 1

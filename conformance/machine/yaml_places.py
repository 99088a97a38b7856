"""Places in a YAML document: how people write them, and on which line they stand."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

Place = Sequence[str | int]


def dotted(place: Place) -> str:
    """A place as people write it: spec.containers[0].image; "" for the whole document."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def line_of(node: yaml.Node, place: Place) -> int:
    """The line (from 1) of a key or an item, or of the nearest thing around it that is there."""
    line = node.start_mark.line
    for part in place:
        found = _below(node, part)
        if found is None:
            break
        mark, node = found
        line = mark.line
    return int(line) + 1


def _below(node: yaml.Node, part: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    """Where a key or an item begins, and its value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark, item
    return None

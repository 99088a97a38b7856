"""A Kubernetes object as it was read, with the line of each of its fields where it has a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from conformance.machine.yaml_places import line_of

Path = tuple[str | int, ...]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Document:
    """One object. file: where it was read, "" for a cluster. node: its YAML, for lines."""

    content: Json
    file: str = ""
    node: yaml.Node | None = field(default=None, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """Deployment, Service …"""
        return str(self.content.get("kind") or "")

    @property
    def group(self) -> str:
        """The API group: "apps", "" for the core."""
        version = str(self.content.get("apiVersion") or "")
        return version.rpartition("/")[0]

    @property
    def metadata(self) -> Json:
        """Its metadata, or an empty mapping."""
        return mapping(self.content.get("metadata"))

    @property
    def name(self) -> str:
        """Its name; the beginning of one that is generated."""
        return str(self.metadata.get("name") or self.metadata.get("generateName") or "")

    @property
    def namespace(self) -> str:
        """Its namespace; "" where it names none."""
        return str(self.metadata.get("namespace") or "")

    def line(self, path: Path = ()) -> int:
        """The line (from 1) of a field, or of the nearest above it that is there; 0: no file."""
        if self.node is None:
            return 0
        return line_of(self.node, path)


def pointer(path: Path) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def mapping(value: Any) -> Json:
    """The value, or an empty mapping where it is none: manifests may hold anything."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value, or an empty list where it is none."""
    return value if isinstance(value, list) else []


def mappings(value: Any) -> Iterable[tuple[int, Json]]:
    """The mappings of a list, with their places."""
    return ((n, one) for n, one in enumerate(sequence(value)) if isinstance(one, Mapping))


def strings(value: Any) -> dict[str, str]:
    """Labels or annotations, as strings."""
    return {str(name): str(one) for name, one in mapping(value).items()}

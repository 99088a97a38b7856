"""Reads manifests: files, folders, standard input; several documents, Lists, rendered charts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from conformance.audit.document import Document, mapping

STDIN = "-"
_ENDINGS = (".yaml", ".yml", ".json")
# JSON beyond this is read as JSON: with a line for each field it would take minutes.
_LONG_JSON = 2_000_000  # characters
# A pod as Docker Compose, Helm values and the like are not objects: they have no kind.
_OBJECT = ("apiVersion", "kind")


class _Loader(yaml.CSafeLoader):
    """Dates stay what they are in JSON: strings."""


_Loader.yaml_implicit_resolvers = {
    first: [row for row in rows if row[0] != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass
class Read:
    """What has been read. unread: a sentence for each file that could not be; others: how many
    documents are no Kubernetes objects."""

    documents: list[Document] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    others: int = 0


def read(paths: Sequence[str]) -> Read:
    """Every object of these files, folders (all below them), and standard input ("-")."""
    found = Read()
    for path in paths:
        for file in _files(path, found):
            _file(file, found)
    return found


def _files(path: str, found: Read) -> Iterator[str]:
    if path == STDIN or not Path(path).is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "Chart.yaml" in names and "templates" in folders:
            folders[:] = []
            found.unread.append(
                f"{folder} is a chart, and not rendered; audit what it becomes: "
                f"helm template NAME {folder} | sidecar-conformance audit -"
            )
            continue
        yield from (str(Path(folder, name)) for name in sorted(names) if name.endswith(_ENDINGS))


def _file(file: str, found: Read) -> None:
    name = "standard input" if file == STDIN else file
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        found.unread.append(f"{name} cannot be read ({type(error).__name__}: {error}).")
        return
    try:
        for document in parsed(text, name):
            _keep(document, found)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = "is a template; render it before it is audited" if "{{" in text else "is no YAML"
        found.unread.append(f"{name} {what} ({' '.join(str(error).split())}).")


def parsed(text: str, file: str) -> Iterator[Document]:
    """The documents of a file; those of a List one by one. Raises YAMLError and ValueError."""
    if text.lstrip()[:1] in ("{", "["):
        if len(text) > _LONG_JSON:
            yield from _items(Document(mapping(json.loads(text)), file))
            return
        try:
            documents = list(_composed(text, file))
        except yaml.YAMLError:  # a tab, which JSON may have where YAML may not
            documents = [Document(mapping(json.loads(text)), file)]
    else:
        documents = list(_composed(text, file))
    for document in documents:
        yield from _items(document)


def _composed(text: str, file: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            content = loader.construct_document(node)
            if isinstance(content, Mapping):
                yield Document(content, file, node)
            elif content is not None:
                yield Document({}, file, node)
    finally:
        loader.dispose()


def _items(document: Document) -> Iterator[Document]:
    """A List's objects, each with its own node; any other document as it is."""
    items = document.content.get("items")
    if not document.kind.endswith("List") or not isinstance(items, list):
        yield document
        return
    nodes = _nodes(document.node)
    for place, item in enumerate(items):
        content = dict(mapping(item))
        # In a typed list (DeploymentList) the items need not say what they are.
        content.setdefault("kind", document.kind.removesuffix("List"))
        content.setdefault("apiVersion", document.content.get("apiVersion"))
        yield Document(content, document.file, nodes[place] if place < len(nodes) else None)


def _nodes(node: yaml.Node | None) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "items" and isinstance(value, yaml.SequenceNode):
                return list(value.value)
    return []


def _keep(document: Document, found: Read) -> None:
    if all(isinstance(document.content.get(key), str) for key in _OBJECT):
        found.documents.append(document)
    else:
        found.others += 1

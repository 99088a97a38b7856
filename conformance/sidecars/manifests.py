"""Manifests as objects: read from YAML with their placeholders filled in, and changed in one place.

Images stand in them by the names of fixture folders ("app", "envoy") until they are placed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conformance.model import Cell
from conformance.sidecars.driver import Driver, Manifest

# Whole words only: SC_NONCE is the name of a variable, and no placeholder.
_PLACEHOLDER = re.compile(r"\b(?:NAMESPACE|NONCE)\b")
_TEMPLATES = {
    "Job": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def read(path: Path, values: Mapping[str, str]) -> Sequence[Manifest]:
    """The documents of any manifest, with its placeholders filled in."""

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: values[match[0]], text)

    return [in_every_text(one, filled) for one in yaml.safe_load_all(path.read_text())]


def pod_of(document: Manifest) -> Manifest:
    """The pod in a document: itself, or its pod template."""
    for key in _TEMPLATES.get(document["kind"], ()):
        document = document[key]
    return document


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod, init containers first."""
    spec = pod["spec"]
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def container_of(pod: Manifest, name: str) -> Manifest:
    """A container of a pod or pod template, init containers included. Raises KeyError."""
    for group in ("initContainers", "containers"):
        for one in pod["spec"].get(group) or ():
            if one["name"] == name:
                found: Manifest = one
                return found
    raise KeyError(name)


def set_variable(container: Manifest, name: str, value: str) -> None:
    """Set a variable of a container's environment."""
    others = [one for one in container.get("env") or () if one["name"] != name]
    container["env"] = [*others, {"name": name, "value": value}]


def with_sidecar(document: Manifest, driver: Driver, cell: Cell, role: str) -> Manifest:
    """The document with the sidecar injected into its pod (a Pod, or what has a pod template)."""
    document = copy.deepcopy(document)
    path = _TEMPLATES.get(document["kind"])
    if path is None:
        return driver.inject(document, cell, role)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    template = parent[path[-1]]
    # A template has no namespace of its own, and a driver may have to know where it stands.
    where = {"namespace": (document.get("metadata") or {}).get("namespace", "")}
    made = driver.inject(
        {**template, "metadata": {**(template.get("metadata") or {}), **where}}, cell, role
    )
    parent[path[-1]] = {
        **made,
        "metadata": {key: one for key, one in made["metadata"].items() if key != "namespace"},
    }
    return document


def place_images(document: Manifest, images: Mapping[str, str]) -> Manifest:
    """The document with fixture names replaced by image references, wherever an image stands."""
    return _images(document, images)  # type: ignore[no-any-return]


def _images(value: Any, images: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: images.get(item, item)
            if key == "image" and isinstance(item, str)
            else _images(item, images)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_images(item, images) for item in value]
    return value


def in_every_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same object, with each of its strings changed (keys are left alone)."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: in_every_text(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [in_every_text(item, change) for item in value]
    return value

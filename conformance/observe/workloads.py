"""Fixture workloads: loads the manifests beside the fixtures and patches them, in this one place.

The manifests are plain YAML without any sidecar. Three placeholders stand in them as values:
NAMESPACE (the cell's namespace), NONCE (the cell's token nonce), and as image names the fixture
folders ("app", "envoy").
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conformance.machine.paths import FIXTURES
from conformance.model import Cell
from conformance.sidecars.driver import Driver, Manifest

MANIFESTS = FIXTURES / "manifests"
# Scenarios that differ in what is done, not in what is there.
SAME_AS = {
    "upgrade": "rollout",
    "cronjob": "jobs",
    "quota": "jobs",
    "deadline": "jobs",
    "workarounds": "job",
    "webhook": "outdated",
    "skew": "lifecycle",
    "crash": "lifecycle",
    "crash-kept": "keepalive",
    "logs-job": "logs",
    "logs-gate": "logs",
    "logs-crash": "logs",
    "logs-starved": "logs",
    "logs-behind-mesh": "logs",
    "logs-before-mesh": "logs",
    "liveness": "lifecycle",
    "backoff": "lifecycle",
    "oom": "lifecycle",
    "grace": "lifecycle",
    "hooks": "lifecycle",
    "eviction": "lifecycle",
    "drain": "lifecycle",
    "terminating": "lifecycle",
    "kubelet": "lifecycle",
    "runtime": "lifecycle",
    "killed": "job",
    "endpoints": "lifecycle",
    "unready": "lifecycle",
    "cni-race": "init",
    "datagrams": "lifecycle",
    "ephemeral": "lifecycle",
    "ipv6": "lifecycle",
    "ipv6-unruled": "ipv6",
}
# Whole words only: SC_NONCE is the name of a variable, and no placeholder.
_PLACEHOLDER = re.compile(r"\b(?:NAMESPACE|NONCE)\b")
_TEMPLATES = {
    "Job": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def load(
    scenario: str, name: str, *, namespace: str, nonce: str, images: Mapping[str, str]
) -> Sequence[Manifest]:
    """The documents of fixtures/manifests/<scenario>/<name>.yaml, with the placeholders filled in;
    where it has none of its own, those of the scenario that it is like.

    images: fixture folder → image reference.
    """
    path = MANIFESTS / scenario / f"{name}.yaml"
    while not path.exists() and scenario in SAME_AS:
        scenario = SAME_AS[scenario]
        path = MANIFESTS / scenario / f"{name}.yaml"
    values = {"NAMESPACE": namespace, "NONCE": nonce}
    return [place_images(document, images) for document in read(path, values)]


def read(path: Path, values: Mapping[str, str]) -> Sequence[Manifest]:
    """The documents of any manifest, with its placeholders filled in."""
    return [_fill(document, values) for document in yaml.safe_load_all(path.read_text())]


def pod_of(document: Manifest) -> Manifest:
    """The pod in a document: itself, or its pod template."""
    for key in _TEMPLATES.get(document["kind"], ()):
        document = document[key]
    return document


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


def as_role(value: Any, role: str) -> Any:
    """What was written as the subject (a pod or pod template), as another pod: its name, its label,
    and the name under which its programs write."""
    if isinstance(value, dict):
        if value.get("name") == "SC_ROLE":
            return {**value, "value": role}
        named = {key: as_role(item, role) for key, item in value.items()}
        return named | {key: role for key in ("app", "name") if value.get(key) == "subject"}
    if isinstance(value, list):
        return [as_role(item, role) for item in value]
    if isinstance(value, str):
        return value.replace("/stamps/subject.", f"/stamps/{role}.")
    return value


def with_sidecar(document: Manifest, driver: Driver, cell: Cell, role: str) -> Manifest:
    """The document with the sidecar injected into its pod (a Pod, or what has a pod template)."""
    document = copy.deepcopy(document)
    path = _TEMPLATES.get(document["kind"])
    if path is None:
        return driver.inject(document, cell, role)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = driver.inject(parent[path[-1]], cell, role)
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


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: values[match[0]], value)
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    return value

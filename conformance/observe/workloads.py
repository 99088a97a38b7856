"""Fixture workloads: loads the manifests beside the fixtures and patches them, in this one place.

The manifests are plain YAML without any sidecar. Three placeholders stand in them as values:
NAMESPACE (the cell's namespace), NONCE (the cell's token nonce), and as image names the fixture
folders ("app", "envoy").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.machine.paths import FIXTURES
from conformance.plan.catalogue import scenarios
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

MANIFESTS = FIXTURES / "manifests"


def load(
    scenario: str, name: str, *, namespace: str, nonce: str, images: Mapping[str, str]
) -> Sequence[Manifest]:
    """The documents of fixtures/manifests/<scenario>/<name>.yaml, with the placeholders filled in;
    where it has none of its own, those of the scenario whose ``pods`` the catalogue gives it.

    images: fixture folder → image reference.
    """
    path = MANIFESTS / scenario / f"{name}.yaml"
    while not path.exists() and (scenario := scenarios()[scenario].pods):
        path = MANIFESTS / scenario / f"{name}.yaml"
    values = {"NAMESPACE": namespace, "NONCE": nonce}
    return [manifests.place_images(document, images) for document in manifests.read(path, values)]


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

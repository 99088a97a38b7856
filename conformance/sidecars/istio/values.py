"""The user's settings of Istio: an IstioOperator, or Helm values of the chart istiod.

istioctl takes one file that is merged here, and kept beside the cluster: the user's settings with
the suite's own above them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from conformance.machine.paths import FIXTURES
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.settings import files, tree
from conformance.sidecars.settings.tree import Tree
from conformance.sidecars.written.document import Document

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

INSTALL = FIXTURES / "istio" / "install.yaml"
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
# What the suite brings itself: images by the names under which the nodes have them, one control
# plane in its namespace, no gateways (their traffic is none of a pod's), no CNI plugin's image.
DROPPED = (
    "profile", "hub", "tag", "revision", "namespace", "installPackagePath",
    "components.*Gateways", "components.cni", "components.ztunnel", "values.gateways",
    "values.cni", "values.ztunnel", "values.revision", "values.revisionTags",
    "values.defaultRevision", "values.profile", "values.global.hub", "values.global.tag",
    "values.global.variant", "values.global.istioNamespace", "values.global.imagePullSecrets",
    "values.global.proxy.image", "values.global.proxy_init.image", "values.pilot.image",
    "values.pilot.hub", "values.pilot.tag", "values.pilot.variant", "values.pilot.cni",
    "values.pilot.replicaCount", "components.pilot.k8s.replicaCount",
    "components.pilot.k8s.hpaSpec",
)  # fmt: skip
# How long the proxy lives beside the app, and whether the app waits for it.
DECIDES = (
    "holdApplicationUntilProxyStarts", "terminationDrainDuration", "drainDuration",
    "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "MINIMUM_DRAIN_DURATION", "lifecycle", "preStop",
    "postStart", "command", "outboundTrafficPolicy", "mode", "interceptionMode",
)  # fmt: skip


def read(document: Document) -> Tree:
    """The settings of a file, as an IstioOperator's spec. Raises UsageProblem."""
    content = dict(document.content)
    if "kind" in content or "apiVersion" in content:
        if content.get("kind") != "IstioOperator":
            raise document.problem(
                ("kind",), f"is {content.get('kind')!r}, and may be IstioOperator; Helm has none"
            )
        found = content.get("spec") or {}
        if not isinstance(found, dict):
            raise document.problem(("spec",), "is no mapping")
        spec = dict(found)
    else:
        spec = {"values": content}
    values = spec.get("values")
    if values is not None and not isinstance(values, dict):
        raise document.problem(("spec", "values"), "is no mapping")
    if values and isinstance(values.get("meshConfig"), dict):
        values = dict(values)
        mesh = tree.merged(values.pop("meshConfig"), spec.get("meshConfig") or {})
        spec |= {"values": values, "meshConfig": mesh}
    return spec


def suites(settings: list[str]) -> Tree:
    """The suite's own, as a spec. settings: as for --set."""
    made: Tree = yaml.safe_load(INSTALL.read_text())["spec"]
    for one in settings:
        place, _, value = one.partition("=")
        for key in reversed(place.split(".")):
            value = {key: value}  # type: ignore[assignment]
        made = tree.merged(made, value)  # type: ignore[arg-type]
    return made


def overlay(cluster: ClusterHandle, sidecar: str) -> Path:
    """The file that istioctl is given: the suite's own, or, where the user has settings, those with
    the suite's above them."""
    found = files.of(cluster, sidecar)
    if found is None:
        return INSTALL
    whole = yaml.safe_load(INSTALL.read_text())
    whole["spec"] = tree.merged(found.settings, whole["spec"])
    target = cluster.kubeconfig.with_name("istio-install.yaml")
    target.write_text(yaml.safe_dump(whole, sort_keys=False))
    return target


def drain(usual: float) -> float:
    """How long the proxy drains (s): as the user's settings say, or as usual."""
    file = REGISTRY["istio"].values
    found = files.given(file, "istio").settings if file else {}
    for key in ("meshConfig", "defaultConfig"):
        found = found.get(key) or {}
    said = _SECONDS.fullmatch(str(found.get("terminationDrainDuration", "")))
    return float(said[1]) * _UNITS[said[2]] if said else usual


SETTINGS = files.Settings(
    read=read, dropped=DROPPED, decides=DECIDES, rows=Path(__file__).with_name("valued.toml")
)

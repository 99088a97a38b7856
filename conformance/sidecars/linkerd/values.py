"""The user's settings of Linkerd: Helm values of the chart linkerd-control-plane."""

from __future__ import annotations

from pathlib import Path

import yaml

from conformance.machine.paths import FIXTURES
from conformance.sidecars.settings import files
from conformance.sidecars.settings.tree import Tree
from conformance.sidecars.written.document import Document

INSTALL = FIXTURES / "linkerd" / "install.yaml"
# What the suite brings itself: images by the names under which the nodes have them, an identity of
# the run's own, one replica of everything, no CNI plugin's image.
DROPPED = (
    "linkerdVersion", "controllerImage", "controllerImageVersion", "imagePullSecrets",
    "imagePullPolicy", "proxy.image", "proxyInit.image", "policyController.image",
    "debugContainer", "identity", "identityTrustAnchorsPEM", "identityTrustDomain",
    "controllerReplicas", "enablePodAntiAffinity", "highAvailability", "cniEnabled",
    "installNamespace", "namespace",
)  # fmt: skip
DECIDES = ("await", "shutdownGracePeriod", "waitBeforeExitSeconds", "defaultInboundPolicy")


def read(document: Document) -> Tree:
    """The settings of a file. Raises UsageProblem."""
    if "kind" in document.content:
        raise document.problem(("kind",), "is no value of Helm's; write the chart's values there")
    return dict(document.content)


def suites() -> Tree:
    """The suite's own."""
    made: Tree = yaml.safe_load(INSTALL.read_text())
    return made


SETTINGS = files.Settings(
    read=read, dropped=DROPPED, decides=DECIDES, rows=Path(__file__).with_name("valued.toml")
)

"""Which Linkerd a run uses, and what that release can do. Standard library only.

The user chooses by LINKERD_VERSION=edge-26.8.3 (or --linkerd-version), a stable release by its name
(stable-2.15.0), or 2.19 for the edge release that the project calls by that version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from conformance.errors import UsageProblem

VARIABLE = "LINKERD_VERSION"

PULLED = "edge-26.8.3"
"""Used when the user names no version."""

VERSIONS: Mapping[str, str] = {
    "2.15": "edge-24.2.4",
    "2.16": "edge-24.8.2",
    "2.17": "edge-24.11.8",
    "2.18": "edge-25.4.4",
    "2.19": "edge-25.10.7",
    "2.20": "edge-26.6.3",
}
"""The project's versions and their edge releases: linkerd2's tags version-2.15 to version-2.19 are
on them; version-2.20 is one commit (a newer module) after edge-26.6.3."""

_EDGE = re.compile(r"edge-(\d\d)\.(\d{1,2})\.(\d{1,2})")
_STABLE = re.compile(r"stable-(2\.\d+)\.\d+(?:\.\d+)?")
Edge = tuple[int, int, int]

# The first edge release with each thing (linkerd2, git tag --contains).
OLDEST: Edge = (24, 2, 4)  # 2.15, the first version with native sidecars
ANNOTATION_BETA: Edge = (25, 10, 2)  # d3788f6a6
ANNOTATION: Edge = (26, 5, 2)  # 009a25fa3, which made native the default as well
MINIMUM_1_31: Edge = (26, 5, 1)  # f37b69d2f: pkg/k8s/api.go, minAPIVersion
POLICY_IN_CONTROLLER: Edge = (25, 8, 3)  # b71eba668
INIT_IN_PROXY: Edge = (25, 11, 3)  # 0e9a38d7d


@dataclass(frozen=True)
class Release:
    """One Linkerd. tag: of its images. asked: the user named it, so nothing else will do."""

    tag: str
    asked: bool = False

    @property
    def edge(self) -> Edge:
        """Where it stands among the edge releases; (0, 0, 0) for a name that is none."""
        stable = _STABLE.fullmatch(self.tag)
        name = VERSIONS.get(stable[1], "") if stable else self.tag
        found = _EDGE.fullmatch(name)
        return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)

    @property
    def annotation(self) -> str:
        """What a pod says its pattern by ("true" for native)."""
        prefix = "config.alpha.linkerd.io"
        if self.edge >= ANNOTATION:
            prefix = "config.linkerd.io"
        elif self.edge >= ANNOTATION_BETA:
            prefix = "config.beta.linkerd.io"
        return f"{prefix}/proxy-enable-native-sidecar"

    @property
    def native_by_default(self) -> bool:
        """Whether a pod without a word of its own becomes native (proxy.nativeSidecar)."""
        return self.edge >= ANNOTATION

    @property
    def oldest_kubernetes(self) -> int:
        """The minor that ``linkerd check`` asks for at least."""
        return 31 if self.edge >= MINIMUM_1_31 else 23

    @property
    def images(self) -> tuple[str, ...]:
        """The images of control plane and pods, by their last name; the tag of proxy-init is its
        own, where it is an image at all."""
        names = ["controller", "proxy"]
        if self.edge < POLICY_IN_CONTROLLER:
            names.append("policy-controller")
        if self.edge < INIT_IN_PROXY:
            names.append("proxy-init")
        return tuple(names)


def wanted(version: str) -> Release:
    """The release that the user asks for; "" for the suite's choice. Raises UsageProblem."""
    if not version:
        return Release(PULLED)
    release = Release(VERSIONS.get(version, version), asked=True)
    if release.edge < OLDEST:
        raise UsageProblem(
            f"{VARIABLE}={version} is not valid; choose an edge release from edge-24.2.4 (2.15) "
            f"on, such as {PULLED}, a stable one from stable-2.15.0 on, one of "
            f"{', '.join(VERSIONS)}, or leave it out."
        )
    return release


def check(version: str) -> None:
    """Raises UsageProblem for a Linkerd that cannot be."""
    wanted(version)


def oldest(version: str) -> int:
    """The oldest minor of Kubernetes that a version runs on. Raises UsageProblem."""
    return wanted(version).oldest_kubernetes

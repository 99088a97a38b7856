"""Which Istio a run uses, and what that release can do. Standard library only.

The user chooses by an option or the environment (plan/sidecars: version_option); what was chosen
is handed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from conformance.errors import UsageProblem

VARIABLE = "ISTIO_VERSION"

PULLED = "1.30.5"
"""Pulled when the user names no version."""

BUILT = "1.31-dev"
"""Built where that cannot be pulled: the version of the module that fixtures/istio/module pins
(its file VERSION, and "-dev" as Istio's own builds say)."""

OLDEST = 20
"""The minor that brought ENABLE_NATIVE_SIDECARS in a form that works (Istio 1.20; 1.19 had it as
an experiment)."""

_TAG = re.compile(r"1\.(\d+)(?:\.\d+)?(?:-[A-Za-z0-9.-]+)?")


@dataclass(frozen=True)
class Release:
    """One Istio. tag: of its images. asked: the user named it, so nothing else will do."""

    tag: str
    asked: bool = False

    @property
    def minor(self) -> int:
        found = _TAG.fullmatch(self.tag)
        return int(found[1]) if found else 0

    @property
    def built(self) -> bool:
        """Whether its images are those that are built here, around an Envoy that is not Istio's."""
        return self.tag == BUILT

    @property
    def pattern_by_pod(self) -> bool:
        """Whether a pod can choose its pattern by annotation (sidecar.istio.io/nativeSidecar)."""
        return self.minor >= 24

    def native_by_default(self, kubelet_minor: int) -> bool:
        """Whether a pod without a word of its own becomes native (ENABLE_NATIVE_SIDECARS=auto)."""
        return self.minor >= 27 and kubelet_minor >= 33


def wanted(tag: str) -> Release:
    """The release of that tag, or the usual one for "". Raises UsageProblem."""
    if not tag:
        return Release(PULLED)
    release = Release(tag, asked=True)
    if release.minor < OLDEST:
        raise UsageProblem(
            f"{VARIABLE}={tag} is not valid; choose a release from 1.{OLDEST} on, such as {PULLED} "
            f"(older ones have no native sidecars), {BUILT} (built here), or leave it out."
        )
    return release


def check(tag: str) -> None:
    """Raises UsageProblem for an Istio that cannot be."""
    wanted(tag)

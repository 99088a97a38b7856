"""Which Istio a run uses, and what that release can do. Standard library only.

The user chooses by the environment: ISTIO_VERSION=1.27.3 (make passes it on).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
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


def wanted(environ: Mapping[str, str] | None = None) -> Release:
    """The release that the environment asks for. Raises UsageProblem."""
    tag = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    if not tag:
        return Release(PULLED)
    release = Release(tag, asked=True)
    if release.minor < OLDEST:
        raise UsageProblem(
            f"{VARIABLE}={tag} is not valid; choose a release from 1.{OLDEST} on, such as {PULLED} "
            f"(older ones have no native sidecars), {BUILT} (built here), or leave it out."
        )
    return release


def check() -> None:
    """Raises UsageProblem when the environment asks for an Istio that cannot be."""
    wanted()

"""What the drivers of meshes with an injector of their own have in common.

A pod is only marked; what comes into it, and in which order, is the injector's doing.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from conformance.evidence.bundle import SUBJECT_ROLE
from conformance.model import Cell
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest


@dataclass(frozen=True)
class Marks:
    """What makes the injector see a pod, and what is asked of it. user: the app's; None for its
    image's own."""

    annotations: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None


class Injected(ABC):
    """A driver whose sidecar is placed by its makers' injector.

    pattern_annotation: by which a pod says its pattern. app_drain: seconds that the app of the pod
    under test goes on after its SIGTERM. slow: seconds that a slow request of the peer's takes.
    """

    app_drain: int
    slow: int

    @property
    @abstractmethod
    def pattern_annotation(self) -> str: ...

    @abstractmethod
    def marks(self, cell: Cell, role: str) -> Marks:
        """Those of a pod with this cell's pattern and mode."""

    def fixture_images(self) -> Sequence[str]:
        """None: its images are its makers'."""
        return ()

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """A copy of the pod, marked for the injector. The peer is native, and as it comes."""
        pod = copy.deepcopy(pod)
        subject = role == SUBJECT_ROLE
        marks = self.marks(
            cell if subject else replace(cell, pattern="native", mode="default"), role
        )
        metadata = pod.setdefault("metadata", {})
        for key, its in (("labels", marks.labels), ("annotations", marks.annotations)):
            if its:
                metadata[key] = {**(metadata.get(key) or {}), **its}
        pod["spec"]["serviceAccountName"] = role
        length = ("SC_DRAIN_SECONDS", self.app_drain) if subject else ("SC_SLOW_SECONDS", self.slow)
        for container in pod["spec"]["containers"]:
            if marks.user is not None:
                container["securityContext"] = {"runAsUser": marks.user}
            manifests.set_variable(container, length[0], str(length[1]))
        return pod

    def undecided(self, pod: Manifest) -> Manifest:
        """The pod without its annotation: the control plane's setting decides."""
        pod = copy.deepcopy(pod)
        pod["metadata"]["annotations"].pop(self.pattern_annotation, None)
        return pod

    def past_the_injector(self, pod: Manifest) -> Manifest:
        """As it was injected, without what the API server added."""
        metadata = pod["metadata"]
        kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations")}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": pod["spec"]}

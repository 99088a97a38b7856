"""A workload as the rules see it: its pod, its containers, and which of them are sidecars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from conformance.audit import known
from conformance.audit.document import Document, Json, Path, mapping, mappings, sequence, strings

_TEMPLATE: Path = ("spec", "template")
# Where a pod's metadata and spec are, by kind.
PODS: Mapping[str, Path] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "Deployment": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Rollout": _TEMPLATE,
    "DeploymentConfig": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
JOBS = ("Job", "CronJob")
# Agents of a node: what they collect is not their pod's.
_OF_NODES = ("shipper", "telemetry")
# A control plane's own pod that is classic by design, whatever is asked for (Linkerd's identity
# signs the certificate without which no proxy is ready).
_BY_DESIGN = {"linkerd.io/control-plane-component": ("identity",)}


@dataclass(frozen=True)
class Container:
    """A container. path: where it is in its document. init: it stands among initContainers."""

    spec: Json
    path: Path
    init: bool

    @cached_property
    def name(self) -> str:
        """Its name."""
        return str(self.spec.get("name") or "")

    @cached_property
    def image(self) -> str:
        """Its image; "" where the injector is to give it (Istio's "auto" is kept)."""
        return str(self.spec.get("image") or "")

    @property
    def place(self) -> int:
        """Its index in its list."""
        return int(self.path[-1])

    @cached_property
    def native(self) -> bool:
        """Whether it is a native sidecar."""
        return self.init and self.spec.get("restartPolicy") == "Always"

    @cached_property
    def words(self) -> str:
        """Its command and arguments in one string."""
        return words(self.spec.get("command"), self.spec.get("args"))

    @cached_property
    def known(self) -> known.Sidecar | None:
        """The sidecar that it is known as."""
        return known.sidecar(self.name, self.image, self.words)

    @cached_property
    def stub(self) -> bool:
        """Whether it only says what an injector is to change of the sidecar that it brings."""
        return self.image in ("", "auto")

    @cached_property
    def env(self) -> Mapping[str, str]:
        """Its environment, as far as it is given by value."""
        return {
            str(one.get("name")): str(one.get("value") or "")
            for _, one in mappings(self.spec.get("env"))
        }


@dataclass(frozen=True)
class Subject:
    """A workload with a pod in it.

    owner: kind and name of the workload that made a live pod ("" for none). space: labels and
    annotations of its namespace.
    """

    document: Document
    owner: tuple[str, str] = ("", "")
    space: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of the object; for a pod of a workload still Pod."""
        return self.document.kind

    @cached_property
    def is_job(self) -> bool:
        """Whether its pods are to complete."""
        return self.kind in JOBS or self.owner[0] in JOBS

    @cached_property
    def path(self) -> Path:
        """Where its pod is in the document."""
        return PODS[self.kind]

    @cached_property
    def pod(self) -> Json:
        """The pod, or the template of pods: metadata and spec."""
        return at(self.document.content, self.path)

    @cached_property
    def spec(self) -> Json:
        """The pod's spec."""
        return mapping(self.pod.get("spec"))

    @cached_property
    def spec_path(self) -> Path:
        """Where the pod's spec is."""
        return (*self.path, "spec")

    @cached_property
    def job_path(self) -> Path:
        """Where the Job's own spec is."""
        return self.path[:-1]

    @cached_property
    def job(self) -> Json:
        """The Job's own spec; empty where it is none, or is not at hand."""
        return at(self.document.content, self.job_path) if self.kind in JOBS else {}

    @cached_property
    def labels(self) -> dict[str, str]:
        """The pod's labels."""
        return strings(mapping(self.pod.get("metadata")).get("labels"))

    @cached_property
    def marks(self) -> dict[str, str]:
        """The pod's labels and annotations: what an injector can be asked with."""
        return self.labels | strings(mapping(self.pod.get("metadata")).get("annotations"))

    @cached_property
    def inits(self) -> Sequence[Container]:
        """The init containers, native sidecars included, in their order."""
        return list(self._containers("initContainers", init=True))

    @cached_property
    def regular(self) -> Sequence[Container]:
        """The containers that are no init containers, in their order."""
        return list(self._containers("containers", init=False))

    def _containers(self, key: str, *, init: bool) -> Iterator[Container]:
        for place, spec in mappings(self.spec.get(key)):
            yield Container(spec, (*self.spec_path, key, place), init)

    @cached_property
    def natives(self) -> Sequence[Container]:
        """The native sidecars, known or not."""
        return [one for one in self.inits if one.native]

    @cached_property
    def apps(self) -> Sequence[Container]:
        """What the pod is there for: regular containers that are no known sidecar and attend to
        nothing."""
        return [
            one for one in self.regular if not one.known and not known.attends(one.name, one.image)
        ]

    @cached_property
    def classics(self) -> Sequence[Container]:
        """The classic sidecars: known ones beside an app.

        A known sidecar that stands alone is what the pod is there for (a gateway, an agent).
        """
        if not self.apps or any(self.labels.get(name) in by for name, by in _BY_DESIGN.items()):
            return []
        agent = "DaemonSet" in (self.kind, self.owner[0])
        return [
            one
            for one in self.regular
            if one.known and not one.stub and not (agent and one.known.kind in _OF_NODES)
        ]

    @cached_property
    def asked(self) -> Sequence[known.Injector]:
        """The injectors that it asks for a sidecar, and that have not given one yet."""
        return [one for one in known.injectors() if self._asks(one) and not self._has(one)]

    def _asks(self, injector: known.Injector) -> bool:
        return not self.owner[0] and injector.asked(self.marks, self.space)

    def _has(self, injector: known.Injector) -> bool:
        return any(
            one.known and one.known.id == injector.sidecar and not one.stub
            for one in (*self.inits, *self.regular)
        )

    def injector_of(self, container: Container) -> known.Injector | None:
        """The injector that has put this sidecar in, as its annotation says."""
        for one in known.injectors():
            mine = container.known is not None and container.known.id == one.sidecar
            if mine and one.status and one.status in self.marks:
                return one
        return None

    @cached_property
    def has_sidecar(self) -> bool:
        """Whether a sidecar is in it, or is asked for."""
        return bool(self.natives or self.classics or self.asked)

    @cached_property
    def grace(self) -> float:
        """The grace period, in seconds; the API server's default is 30."""
        value = self.spec.get("terminationGracePeriodSeconds")
        return float(value) if isinstance(value, int | float) else 30.0


def subject(
    document: Document, owner: tuple[str, str] = ("", ""), space: Mapping[str, str] | None = None
) -> Subject | None:
    """The workload that a document is, or None."""
    if document.kind not in PODS:
        return None
    found = Subject(document, owner, space or {})
    return found if found.regular or found.inits else None


def at(content: Json, path: Path) -> Json:
    """The mapping at a path; empty where there is none."""
    for step in path:
        content = mapping(content.get(str(step)))
    return content


def words(*parts: object) -> str:
    """Lists of strings in one string, a blank between two of them."""
    return re.sub(r"\s+", " ", " ".join(str(one) for part in parts for one in sequence(part)))

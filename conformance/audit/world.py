"""What surrounds a workload: the cluster's version, Services, quotas; and what is counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from conformance.audit import known
from conformance.audit.account import RESOURCES, Request, effective, naive, pods
from conformance.audit.document import Document, mapping, strings
from conformance.audit.subject import Subject

KEPT = 20  # workloads of a kind that are remembered by name: a cluster may have any number
DEFAULT = "default"


@dataclass(frozen=True)
class World:
    """k8s: the minor of the oldest part of the cluster; None where nobody knows.

    services, quotas: by namespace. spaces: labels and annotations of namespaces, by name.
    live: whether quotas say themselves what is used.
    """

    k8s: int | None = None
    services: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    quotas: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    spaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    live: bool = False

    def older_than(self, minor: int) -> bool:
        """Whether the cluster is, or may be, older than 1.minor."""
        return self.k8s is None or self.k8s < minor

    def services_of(self, subject: Subject) -> Sequence[Document]:
        """The Services that lead to the workload's pods."""
        space = namespace(subject.document)
        return [
            one
            for label in subject.labels.items()
            for one in self._by_label.get((space, *label), ())
            if selects(one, subject.labels)
        ]

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str, str], Sequence[Document]]:
        """Services by namespace and the first label of their selector: a namespace may have
        thousands, and each of its pods asks."""
        found: dict[tuple[str, str, str], list[Document]] = defaultdict(list)
        for space, services in self.services.items():
            for one in services:
                for name, value in list(selector(one).items())[:1]:
                    found[space, name, value].append(one)
        return found


@dataclass
class Need:
    """What a namespace's workloads ask for: rightly counted, and without native sidecars."""

    right: Request = field(default_factory=lambda: dict.fromkeys(RESOURCES, 0.0))
    naive: Request = field(default_factory=lambda: dict.fromkeys(RESOURCES, 0.0))
    sidecars: bool = False
    classic_jobs: list[Subject] = field(default_factory=list)


@dataclass
class Tally:
    """What is known when all has been read. tools: workloads that run a tool, the first for each of
    the images, to be judged when it is known whether there is a native sidecar to misread."""

    needs: dict[str, Need] = field(default_factory=lambda: defaultdict(Need))
    tools: list[Subject] = field(default_factory=list)
    images: set[str] = field(default_factory=set)
    natives: bool = False
    objects: int = 0
    workloads: int = 0

    def count(self, subject: Subject, world: World) -> None:
        """Count a workload."""
        self.workloads += 1
        for one in (*subject.regular, *subject.inits):
            if one.image not in self.images and known.misread_by(one.image):
                self.images.add(one.image)
                self.tools.append(subject)
        self.natives = self.natives or bool(subject.natives)
        space = namespace(subject.document)
        if space not in world.quotas:
            return
        need = self.needs[space]
        need.sidecars = need.sidecars or subject.has_sidecar
        if subject.is_job and subject.classics and len(need.classic_jobs) < KEPT:
            need.classic_jobs.append(subject)
        if world.live:
            return
        many = pods(subject)
        for resource in RESOURCES:
            need.right[resource] += many * effective(subject)[resource]
            need.naive[resource] += many * naive(subject)[resource]


def namespace(document: Document) -> str:
    """The namespace of a document; the API server's default where it names none."""
    return document.namespace or DEFAULT


def selects(service: Document, labels: Mapping[str, str]) -> bool:
    """Whether a Service selects pods with these labels; one without a selector selects none."""
    wanted = selector(service)
    return bool(wanted) and wanted.items() <= labels.items()


def selector(service: Document) -> Mapping[str, str]:
    """A Service's selector; empty where it has none."""
    return strings(mapping(service.content.get("spec")).get("selector"))

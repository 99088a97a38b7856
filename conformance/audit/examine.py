"""Joins what is read with the rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from conformance.audit import live, rule, rules
from conformance.audit.document import Document
from conformance.audit.finding import Findings
from conformance.audit.subject import Subject, subject
from conformance.audit.world import Tally, World, namespace

__all__ = ["Audited", "cluster", "manifests", "rules"]


@dataclass
class Audited:
    """What came of it. unread: a sentence for each thing that could not be read."""

    findings: Findings = field(default_factory=Findings)
    tally: Tally = field(default_factory=Tally)
    unread: Sequence[str] = ()

    def look(self, document: Document, world: World, owner: tuple[str, str] = ("", "")) -> None:
        """Hold every rule against an object."""
        self.tally.objects += 1
        for row, about in rule.OBJECTS.items():
            if document.kind in row.kinds:
                for hit in about(document, world):
                    self.findings.add(row, replace(hit, document=document))
        space = world.spaces.get(namespace(document))
        found = subject(document, owner, space)
        if found is not None:
            self.tally.count(found, world)
            self.examine(found, world)

    def examine(self, found: Subject, world: World) -> None:
        """Hold every rule about workloads against one."""
        for row, about in rule.SUBJECTS.items():
            for hit in about(found, world):
                self.findings.add(row, hit, found)

    def end(self, world: World) -> None:
        """Hold the rules about all that was read."""
        for row, about in rule.WHOLE.items():
            for hit in about(self.tally, world):
                self.findings.add(row, hit)


def manifests(documents: Sequence[Document], k8s: int | None) -> Audited:
    """Audit objects that were read from files."""
    services = _by_namespace(one for one in documents if one.kind == "Service" and not one.group)
    quotas = _by_namespace(one for one in documents if one.kind == "ResourceQuota")
    spaces = {one.name: live.marks(one) for one in documents if one.kind == "Namespace"}
    world = World(k8s, services, quotas, spaces)
    found = Audited()
    for document in documents:
        found.look(document, world, live.owner(document))
    found.end(world)
    return found


def cluster(source: live.Cluster, k8s: int | None) -> Audited:
    """Audit a cluster, page by page."""
    world = surroundings(source, k8s)
    found = Audited(unread=source.unread)
    for resource in (*live.OBJECTS, *live.WORKLOADS):
        for document in source.objects(resource):
            if live.owner(document) == ("", ""):
                found.look(document, world)
    for document in source.objects(live.PODS):
        if not live.ended(document):
            found.look(document, world, live.owner(document))
    found.end(world)
    return found


def surroundings(source: live.Cluster, k8s: int | None, *, every_space: bool = False) -> World:
    """What surrounds the workloads of a cluster. every_space: all namespaces, not the one alone."""
    spaces = source.spaces() if every_space else source.space()
    return World(
        k8s if k8s is not None else source.version(),
        _by_namespace(source.objects(live.SERVICES)),
        _by_namespace(source.objects(live.QUOTAS)),
        spaces,
        live=True,
    )


def _by_namespace(documents: Iterable[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = defaultdict(list)
    for one in documents:
        found[namespace(one)].append(one)
    return dict(found)

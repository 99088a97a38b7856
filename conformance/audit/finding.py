"""A finding: a hit with all that its rule and its place say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.audit.patch import Patch
from conformance.audit.rule import LEVELS, Hit, Level, Rule
from conformance.audit.subject import Subject
from conformance.audit.world import namespace
from conformance.machine.yaml_places import dotted
from conformance.plan.catalogue import behaviours

Key = tuple[str, ...]


@dataclass
class Finding:
    """One hazard at one place. kind, name: the workload's, where a live pod shows it.

    pods: how many live pods show it, pod: the first of them; 0 and "" for a template.
    """

    rule: Rule
    level: Level
    behaviour: str
    kind: str
    namespace: str
    name: str
    container: str
    field: str
    message: str
    file: str = ""
    line: int = 0
    patch: Patch | None = None
    pods: int = 0
    pod: str = ""

    @property
    def object(self) -> str:
        """Deployment shop/web, as people say it."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"

    @property
    def proof(self) -> str:
        """The promise that is broken here, as the catalogue words it, or the public report."""
        if not self.behaviour:
            return self.rule.source
        told = f"{self.behaviour}: {behaviours()[self.behaviour].promise}"
        return f"{told} ({self.rule.source})" if self.rule.source else told

    def data(self) -> Mapping[str, Any]:
        """As an entry of the JSON output."""
        return {
            "rule": self.rule.id,
            "title": self.rule.title,
            "level": self.level,
            "behaviour": self.behaviour,
            "source": self.rule.source,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "container": self.container,
            "field": self.field,
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "see": self.rule.see,
            "repair": self.rule.repair,
            "patch": None
            if self.patch is None
            else {
                "kind": self.patch.kind,
                "namespace": self.patch.namespace,
                "name": self.patch.name,
                "type": self.patch.type,
                "body": self.patch.body,
                "command": self.patch.command,
                "anew": self.patch.anew,
            },
            "pods": self.pods,
            "pod": self.pod,
        }


@dataclass
class Findings:
    """Findings as they come: one for each place, however many pods show it."""

    kept: dict[Key, Finding] = field(default_factory=dict)
    templates: dict[Key, Finding] = field(default_factory=dict)

    def add(self, row: Rule, hit: Hit, subject: Subject | None = None) -> None:
        """Keep a hit, or count the pod that shows it again."""
        document = hit.document or (subject.document if subject else None)
        assert document is not None
        kind, name, made = document.kind, document.name, False
        if subject is not None and hit.document is None and subject.owner[0]:
            kind, name, made = *subject.owner, True
        space = "" if kind == "MutatingWebhookConfiguration" else namespace(document)
        place = "" if made else dotted(hit.path)
        key = (row.id, kind, space, name, hit.container, document.file, place)
        # What the template says, its pods need not say again.
        found = self.kept.get(key) or (self.templates.get(key[:5]) if made else None)
        if found is None:
            found = self.kept[key] = Finding(
                row,
                hit.level or row.level,
                hit.behaviour or row.behaviour,
                kind,
                space,
                name,
                hit.container,
                dotted(hit.path),
                hit.message,
                document.file,
                document.line(hit.path),
                hit.patch,
            )
        if made:
            found.pods += 1
            found.pod = found.pod or document.name
        else:
            self.templates[key[:5]] = found

    def ordered(self, least: Level = "note") -> Sequence[Finding]:
        """By file and place, the worst first at each object."""
        worth = LEVELS.index(least)
        wanted = [one for one in self.kept.values() if LEVELS.index(one.level) >= worth]
        return sorted(
            wanted,
            key=lambda one: (
                one.file,
                one.namespace,
                one.kind,
                one.name,
                -LEVELS.index(one.level),
                one.line,
                one.rule.id,
                one.field,
            ),
        )

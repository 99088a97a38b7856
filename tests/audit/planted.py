"""The manifests of hazards/ and clean/, and what stands at their heads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from conformance.audit import command, examine, manifests
from conformance.audit.document import Document
from conformance.audit.examine import Audited
from conformance.audit.finding import Finding

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Planted:
    """finds: the ids of the rules that must hit, and no others. k8s: the minor to audit for."""

    file: Path
    finds: frozenset[str]
    k8s: int | None
    patched: bool

    @property
    def documents(self) -> list[Document]:
        read = manifests.read([str(self.file)])
        assert not read.unread and not read.others
        return read.documents

    def audited(self, documents: list[Document] | None = None) -> Audited:
        return examine.manifests(self.documents if documents is None else documents, self.k8s)

    def findings(self, documents: list[Document] | None = None) -> list[Finding]:
        return list(self.audited(documents).findings.ordered())


def all_of(folder: str) -> list[Planted]:
    return [_planted(file) for file in sorted((FOLDER / folder).glob("*.yaml"))]


def _planted(file: Path) -> Planted:
    head = file.read_text()
    finds = re.search(r"^# finds: (.*)$", head, re.MULTILINE)
    k8s = re.search(r"^# k8s: (.*)$", head, re.MULTILINE)
    return Planted(
        file,
        frozenset(finds[1].split(", ") if finds else ()),
        command.minor(k8s[1]) if k8s else None,
        "# no patch" not in head,
    )

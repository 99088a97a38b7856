"""Each workload before and after: what changes, what is refused, which hazards are new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from conformance.audit import live
from conformance.audit.document import Document, mapping, strings
from conformance.audit.examine import Audited
from conformance.audit.finding import Finding
from conformance.audit.preflight.dry_run import REVISION, Admission, DryRuns, Target
from conformance.audit.preflight.shape import EXPECTED, Change, changes
from conformance.audit.subject import Subject, subject
from conformance.audit.world import World, namespace

Outcome = Literal["same", "changed", "refused", "undecided", "unmeshed"]
INJECTION = "istio-injection"
_FINISHED = ("Complete", "Failed")


@dataclass(frozen=True)
class Checked:
    """A workload. why: of a refusal, or of what stays undecided. hazards: those that are new;
    cured: those that are gone. through: the namespace of the dry run, where it is another one.

    unmeshed: no injector has put a sidecar into it today, and so none is asked about it.
    """

    kind: str
    namespace: str
    name: str
    outcome: Outcome
    why: str = ""
    changes: Sequence[Change] = ()
    hazards: Sequence[Finding] = ()
    cured: Sequence[Finding] = ()
    through: str = ""

    @property
    def flips(self) -> Sequence[Change]:
        """Sidecars that change their pattern."""
        return [one for one in self.changes if one.kind == "pattern"]

    @property
    def matters(self) -> bool:
        """Whether somebody must look at it before the upgrade."""
        return self.outcome in ("changed", "refused") or bool(self.hazards)


@dataclass(frozen=True)
class Preflight:
    """A check of a cluster. world: what surrounds its workloads."""

    cluster: live.Cluster
    runs: DryRuns
    target: Target
    world: World

    def workloads(self) -> Iterator[Checked]:
        """Every workload that makes pods, one after another."""
        for resource in live.WORKLOADS:
            for document in self.cluster.objects(resource):
                if live.owner(document) == ("", "") and not _finished(document):
                    found = subject(document, space=self.world.spaces.get(document.namespace))
                    if found is not None:
                        yield self.check(found)

    def check(self, workload: Subject) -> Checked:
        """One workload: two dry runs, and what lies between them."""
        target = self._target(workload)
        through = target.namespace if target.namespace != workload.document.namespace else ""
        present = self.runs.present(workload)
        document = workload.document
        told = Checked(workload.kind, namespace(document), document.name, "same", through=through)
        if present.admitted is None:
            why = f"it is refused as it is today: {present.refused}"
            return replace(told, outcome="undecided", why=why)
        if not present.injected(by_revision=bool(target.revision)):
            return replace(told, outcome="unmeshed")
        after = self.runs.next(workload, target)
        if after.admitted is None:
            return replace(told, outcome="refused", why=_clash(after.refused))
        missed = self._missed(present, after, target)
        if missed:
            return replace(told, outcome="undecided", why=missed)
        found = list(changes(present.admitted, after.admitted))
        new, gone = _hazards(present.admitted, after.admitted, self.world)
        same = all(one.kind in EXPECTED for one in found) and not new
        outcome: Outcome = "same" if same else "changed"
        return replace(told, outcome=outcome, changes=found, hazards=new, cured=gone)

    def _target(self, workload: Subject) -> Target:
        """The target, in a namespace that leads to it where the workload's own does not.

        Istio's webhooks heed a pod's revision only in a namespace that has no label of its own
        (manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml).
        """
        if self.target.namespace or not self.target.revision:
            return self.target
        own = self.world.spaces.get(workload.document.namespace, {})
        if own.get(REVISION) == self.target.revision or not {INJECTION, REVISION} & own.keys():
            return Target(self.target.revision, workload.document.namespace)
        for name, marks in self.world.spaces.items():
            if marks.get(REVISION) == self.target.revision and INJECTION not in marks:
                return Target(self.target.revision, name)
        return Target(self.target.revision, workload.document.namespace)

    def _missed(self, present: Admission, after: Admission, target: Target) -> str:
        """Why the dry run did not meet the next injector; "" where it did, or there is none."""
        wanted = target.revision
        if not wanted or after.revision == wanted:
            return ""
        if not after.revision:
            return (
                f"no injector answered for revision {wanted}, and its pod would have no sidecar; "
                "see that the revision is installed"
            )
        if after.revision != present.revision:
            return ""  # a tag leads to a revision of another name
        return (
            f"revision {after.revision} answered, and not {wanted}: a label of the namespace "
            f"decides there. Name a namespace that is labelled {REVISION}={wanted}: --to-namespace"
        )


def _hazards(
    present: Subject, after: Subject, world: World
) -> tuple[Sequence[Finding], Sequence[Finding]]:
    before, now = (_found(one, world) for one in (present, after))
    new = [one for key, one in now.items() if key not in before]
    return new, [one for key, one in before.items() if key not in now]


def _found(workload: Subject, world: World) -> Mapping[tuple[str, str], Finding]:
    audited = Audited()
    audited.examine(workload, world)
    return {(one.rule.id, one.container): one for one in audited.findings.ordered()}


def _clash(refused: str) -> str:
    """The server's words, and what they mean where a template is the cause."""
    if "Duplicate value" in refused or "must be unique" in refused:
        return (
            f"{refused}: a name is there twice, as when a custom template names the proxy under "
            "containers and the injector makes it native"
        )
    return refused


def _finished(document: Document) -> bool:
    conditions = mapping(document.content.get("status")).get("conditions") or []
    return any(
        strings(one).get("type") in _FINISHED and strings(one).get("status") == "True"
        for one in conditions
    )

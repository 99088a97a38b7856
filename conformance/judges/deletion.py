"""The end of one pod of a cell: what was asked for, when its containers ended, what it lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.evidence.attempts import OK, UNENDED, Attempt, attempts
from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Life, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Role, Stamp, Step
from conformance.judges.lateness import blamable, sent_by
from conformance.judges.ordering import pairs
from conformance.judges.sources import at_step
from conformance.model import NS, Evidence, Measured

MIN_DRAINED = 3  # requests, as in stopping


@dataclass(frozen=True)
class Deletion:
    """A pod that was told to go. asked: the step; from its moment on the grace period runs."""

    bundle: Bundle
    role: str
    asked: Line
    grace_ns: int
    lives: Mapping[str, list[Life]]

    def last(self, container: str) -> Life:
        """A container's last run. Raises Unjudgeable when it never ran."""
        its = self.lives.get(container)
        if not its:
            raise Unjudgeable(f"{container} of {self.role} has no container id: it never started")
        return its[-1]

    def exited(self, container: str) -> int:
        """When a container had ended, at the latest (ns)."""
        latest = self.last(container).exited_latest
        if latest is None:
            raise Unjudgeable(f"no exit of {container} of {self.role} is in runtime.log")
        return latest

    def exit_evidence(self, container: str) -> Evidence:
        """The line of a container's exit."""
        life = self.last(container)
        if life.exited is None:
            raise Unjudgeable(f"no exit of {container} of {self.role} is in runtime.log")
        return life.exit_evidence(self.role)

    def since(self, ns: int) -> float:
        """Seconds from the deletion to a moment."""
        return round((ns - self.asked.ns) / NS, 3)

    def begun(self) -> int:
        """The first that the kubelet did about it, at the latest (ns): a hook, or a signal.

        A kubelet on a crowded machine may come to it seconds after the deletion.
        """
        found = [
            one.latest
            for name in self.lives
            for one in stamp_events(
                self.bundle,
                name,
                Stamp.HOOK_BEGIN,
                Stamp.APP_SIGTERM,
                Stamp.SIDECAR_SIGTERM,
                role=self.role,
            )
            if one.latest >= self.asked.ns
        ]
        found += [
            stop.ns
            for its in self.lives.values()
            for life in its
            for stop in life.stops
            if stop.ns >= self.asked.ns
        ]
        if not found:
            raise Unjudgeable(f"neither a hook nor a signal of {self.role} is recorded")
        return min(found)

    @property
    def asked_evidence(self) -> Evidence:
        text = f"{self.role}: deletion asked for"
        return at_step(self.asked, text)

    def drained(self) -> Sequence[Attempt]:
        """What the app sent after its SIGTERM and saw the end of; what its own end cut is no
        loss."""
        return [
            one
            for one in attempts(self.bundle, self.role, self.bundle.index.app)
            if one.kind == Kind.DRAIN and one.begin_ns >= self.asked.ns and one.outcome != UNENDED
        ]

    def lost(self) -> Sequence[Attempt]:
        """Those of them that were not answered rightly, or past the sidecar."""
        return [one for one in self.drained() if one.outcome != OK or one.bypassed]

    def blamable(self, measured: Measured) -> Sequence[Attempt]:
        """Of the lost those that cannot be a crowded machine's: see lateness.blamable."""
        return blamable(self.lost(), sent_by(self.bundle, self.role, Role.PEER), measured)

    def app_last(self) -> int:
        """The app's own last instruction (ns). Raises Unjudgeable when it never came to it."""
        found = stamp_events(self.bundle, self.bundle.index.app, Stamp.APP_LAST, role=self.role)
        if not found:
            raise Unjudgeable(f"the app of {self.role} never came to its last instruction")
        return found[-1].latest

    def order(self) -> tuple[str, int, Sequence[Evidence]]:
        """Whether the sidecars were told to end after the other containers had ended: yes, no or
        cannot tell; the smallest gap (ns); and what shows it."""
        found = pairs(self.bundle, self.asked.ns, self.role)
        if not found:
            raise Unjudgeable(f"no container of {self.role} can be held against its sidecar")
        for answer in ("no", "cannot tell"):
            those = [one for one in found if one.answer == answer]
            if those:
                worst = min(those, key=lambda one: one.gap_ns)
                return answer, worst.gap_ns, worst.evidence
        nearest = min(found, key=lambda one: one.gap_ns)
        return "yes", nearest.gap_ns, nearest.evidence

    def disorder(self) -> str:
        """The hazard of an order that was not kept: a sidecar that crashed is gone, and was not
        told to end too early."""
        wrong = [one for one in pairs(self.bundle, self.asked.ns, self.role) if one.answer == "no"]
        crashed = wrong and all(one.second.name.endswith("own exit") for one in wrong)
        return "sidecar-gone" if crashed else "wrong-order"


def deletion_of(bundle: Bundle, role: str) -> Deletion:
    """The deletion of a role's pod. Raises Unjudgeable when nobody asked for it."""
    asked = bundle.step(Step.DELETE_ASKED, role)
    if asked is None or asked.get("grace") is None:
        raise Unjudgeable(f"no deletion of {role} is in steps.jsonl")
    return Deletion(bundle, role, asked, int(asked["grace"]) * NS, lives(bundle, bundle.pod(role)))


def removed(bundle: Bundle, role: str) -> Line:
    """The receipt of the news that a pod's object is gone."""
    uid = bundle.pod(role).uid
    for line in bundle.watch():
        if (
            line.get("kind") == "Pod"
            and line.get("type") == "DELETED"
            and line["object"]["metadata"]["uid"] == uid
        ):
            return line
    raise Unjudgeable(f"the watch never told that {role} was gone")


def carries_traffic(bundle: Bundle) -> bool:
    """Whether the cell's sidecar carries the app's requests: then it has identities."""
    return bool(bundle.index.identities)

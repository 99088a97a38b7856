"""stop.eviction: who takes a pod off its node, and how hurried, does not change the order."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Role, Stamp
from conformance.judges.deletion import Deletion, deletion_of, removed
from conformance.judges.ordering import ended, require_meaning, told
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import versions
from conformance.model import NS, Evidence, Finding, Value

# By scenario: the pods whose time is enough, in words.
_IN_WORDS = {
    "eviction": {SUBJECT_ROLE: "an evicted", Role.PREEMPTED: "a preempted"},
    "drain": {SUBJECT_ROLE: "a drained"},
}


def keeps_order(bundle: Bundle) -> Finding:
    """To hold: in the evicted and the preempted pod (or the drained one) the sidecar was told to
    end after the app's end; in the hurried one not before the shorter grace period was over.

    To be broken: in any of them it was told to end too early.
    """
    measured: dict[str, Value] = {}
    evidence: list[Evidence] = []
    unclear: list[str] = []
    enough = _IN_WORDS.get(bundle.index.cell.scenario)
    if enough is None:
        raise Unjudgeable(f"nobody is taken off a node in scenario {bundle.index.cell.scenario}")
    if bundle.index.cell.scenario == "drain":
        evidence.append(drained(bundle))
        measured["refused_by_the_budget"], measured["one_at_a_time"] = _budget(bundle)
    for role, words in enough.items():
        deletion = deletion_of(bundle, role)
        answer, gap, seen = deletion.order()
        measured[f"{role}_gap_ms"] = round(gap / 1e6, 1)
        evidence += [deletion.asked_evidence, *seen]
        if answer == "no":
            return broken(
                deletion.disorder(),
                f"In {words} pod the sidecar was told to end, or was gone, {-gap / 1e6:.0f} ms "
                "before the app's end.",
                measured,
                evidence,
            )
        if answer != "yes":
            unclear.append(f"which came first in {words} pod cannot be told")
        else:
            require_meaning(bundle, deletion.lives, deletion.asked, role)
    hurried = deletion_of(bundle, Role.HURRIED)
    app, sidecar = (
        told(bundle, hurried.lives[name], hurried.asked.ns, Role.HURRIED)
        for name in (bundle.index.app, bundle.index.sidecars[0])
    )
    # Measured from the app's own signal: a kubelet may come late to both.
    apart = sidecar.earliest - app.earliest
    measured["hurried_grace_seconds"] = hurried.grace_ns / NS
    measured["hurried_signal_after_seconds"] = round(apart / NS, 3)
    evidence += [hurried.asked_evidence, *app.evidence, *sidecar.evidence]
    over = ended(bundle, hurried.last(bundle.index.app), Role.HURRIED)
    if (
        sidecar.latest - app.earliest < hurried.grace_ns / 2
        and happens_before(over, sidecar).answer != "yes"
    ):
        return broken(
            hurried.disorder(),
            f"In the hurried pod the sidecar was told to end {apart / NS:.1f} s after the app, "
            f"which had {measured['hurried_grace_seconds']:.0f} s of grace and was at work.",
            measured,
            evidence,
        )
    if sidecar.earliest - app.latest < hurried.grace_ns / 2:
        unclear.append("how long after the app the hurried pod's sidecar was told cannot be told")
    if unclear:
        raise Unjudgeable("; ".join(unclear), measured, evidence)
    _require_hurry(hurried)
    return holds(
        "The sidecar was told to end "
        + ", ".join(
            f"{measured[f'{role}_gap_ms']} ms after the app's end in {words} pod"
            for role, words in enough.items()
        )
        + f", and when {measured['hurried_grace_seconds']:.0f} s of grace were too short, "
        f"{measured['hurried_signal_after_seconds']} s after the app's signal.",
        measured,
        evidence,
    )


def drained(bundle: Bundle) -> Evidence:
    """It was kubectl drain that took both pods away, and it came to its end."""
    for line in bundle.commands():
        if line["command"].startswith("kubectl drain "):
            lacking = [
                role
                for role in (SUBJECT_ROLE, Role.HURRIED)
                if f"pod/{role} evicted" not in line["out"]
            ]
            if lacking or line["code"] != 0:
                raise Unjudgeable(
                    f"kubectl drain ended with {line['code']}, and evicted no "
                    f"{' and no '.join(lacking) or 'more'}: {line['err'][-200:]}"
                )
            return Evidence(File.COMMANDS, line.number, ns=line.ns, text="kubectl drain")
    raise Unjudgeable("nobody ran kubectl drain")


def _budget(bundle: Bundle) -> tuple[int, bool]:
    """How often the budget refused kubectl a pod, and whether one was gone before the other was
    told to go."""
    refused = sum(
        line["err"].count("disruption budget")
        for line in bundle.commands()
        if line["command"].startswith("kubectl drain ")
    )
    told = [_told(bundle, role) for role in (SUBJECT_ROLE, Role.HURRIED)]
    gone = [removed(bundle, role).ns for role in (SUBJECT_ROLE, Role.HURRIED)]
    return refused, min(gone) <= max(told)


def _told(bundle: Bundle, role: str) -> int:
    """When the watch told that a pod had been told to go (ns)."""
    for line in versions(bundle, role):
        if "deletionTimestamp" in line["object"]["metadata"]:
            return line.ns
    raise Unjudgeable(f"the watch never told that {role} was to go")


def _require_hurry(hurried: Deletion) -> None:
    """The app must have wanted to go on: one that ends by itself would have ended in order."""
    app = hurried.bundle.index.app
    if stamp_events(hurried.bundle, app, Stamp.APP_LAST, role=Role.HURRIED):
        raise Unjudgeable("the hurried pod's app had ended by itself: it was in no hurry")
    hurried.exited(app)

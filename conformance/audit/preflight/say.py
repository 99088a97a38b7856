"""What a preflight says: as text, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from conformance.audit.preflight.check import Checked

SCHEMA = 1
EXIT: Mapping[int, str] = {
    0: "nothing changes but images",
    1: "a pattern, a hook, a probe, a port or a name changes, a pod is refused, or a hazard is new",
    2: "wrong use",
    3: "the cluster could not be asked",
    4: "no workload has a sidecar of an injector",
    5: "nothing changes where it is known, but something stayed undecided",
}


def exit_code(checked: Sequence[Checked], unread: Sequence[str]) -> int:
    """What is found stands; what could not be read or decided comes after it."""
    if any(one.matters for one in checked):
        return 1
    if unread:
        return 3
    if any(one.outcome == "undecided" for one in checked):
        return 5
    return 0 if any(one.outcome == "same" for one in checked) else 4


def text(one: Checked) -> Iterator[str]:
    """A workload that changes, is refused, or stays undecided; nothing of one that does not."""
    if one.outcome in ("same", "unmeshed"):
        return
    through = f"  (asked in namespace {one.through})" if one.through else ""
    yield f"{one.kind} {one.namespace}/{one.name}: {one.outcome}{through}"
    if one.why:
        yield f"    {one.why}"
    for change in one.changes:
        yield f"    {change.kind}: {change}"
    for finding in one.hazards:
        yield f"    new hazard: {finding.rule.id} ({finding.level}): {finding.message}"
        yield f"        proof: {finding.proof}"
        yield f"        repair: {finding.rule.repair}"
    for finding in one.cured:
        yield f"    gone: {finding.rule.id}: {finding.message}"


def summary(checked: Sequence[Checked], sent: int) -> str:
    """One sentence: how many workloads come out how."""
    counted = Counter(one.outcome for one in checked)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counted.items()) or "no workload"
    flips = sum(bool(one.flips) for one in checked)
    pattern = f"; {flips} flip their pattern" if flips else ""
    return f"{told}{pattern}; {sent} dry runs, nothing was created"


def data(checked: Sequence[Checked], sent: int, unread: Sequence[str]) -> Mapping[str, Any]:
    """The whole as JSON: schema is raised when a field changes its meaning or goes."""
    return {
        "schema": SCHEMA,
        "dry_runs": sent,
        "unread": list(unread),
        "workloads": [
            {
                "kind": one.kind,
                "namespace": one.namespace,
                "name": one.name,
                "outcome": one.outcome,
                "why": one.why,
                "through": one.through,
                "changes": [asdict(change) for change in one.changes],
                "hazards": [finding.data() for finding in one.hazards],
                "cured": [finding.rule.id for finding in one.cured],
            }
            for one in checked
        ],
    }

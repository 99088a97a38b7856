"""What becomes of a finding where not all of the node was seen: a cluster of others that lets no
privileged pod run, or whose runtime has no hook for one.

What a judge cannot do without is then not verified, and says why; what it finds all the same says
on what it stands. Nothing that was not seen is a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace

from conformance.evidence import statuses
from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File
from conformance.model import Finding

# What the node alone can tell; and what is below capture/.
_OF_THE_NODE = {
    File.RUNTIME, File.CONTAINERD, File.KUBELET, File.CLOCK, File.GAPS, File.SUPPRESSED,
}  # fmt: skip
_STANDS_ON = " Seen by the programs' own stamps and the API alone."
_SUPPOSED = " By the API's whole seconds: the same wherever in them each moment lies."


def may_suppose(finding: Finding, bundle: Bundle, read: Set[str]) -> bool:
    """Whether a judge that could not do without the runtime's events may be asked again, with what
    statuses tell in their place."""
    if finding.observed != "inconclusive" or File.RUNTIME not in read:
        return False
    try:
        return bool(bundle.index.unseen) and not bundle.has(File.RUNTIME)
    except Unjudgeable:
        return False


def supposing(finding: Finding, bundle: Bundle, judged: Callable[[], Finding]) -> Finding:
    """What comes out wherever within their bounds the moments lie; the first finding where that
    cannot be told."""
    found: Finding | None = None
    try:
        for supposed in statuses.suppositions(bundle):
            bundle.supposed = supposed
            now = judged()
            if now.observed not in ("holds", "broken", "measured"):
                return finding
            if found and (now.observed, now.hazard) != (found.observed, found.hazard):
                return replace(
                    finding,
                    observed="not-verified",
                    reason=f"Not verified on this cluster: {bundle.index.unseen}, and by the API's "
                    "whole seconds it may have held or been broken.",
                )
            found = found or now
    finally:
        bundle.supposed = None
    if found is None:
        return finding
    # What a judge took for the runtime's line is one of the watch.
    evidence = [
        replace(one, file=File.WATCH) if one.file in (File.RUNTIME, File.CONTAINERD) else one
        for one in found.evidence
    ]
    return replace(found, reason=f"{found.reason}{_SUPPOSED}", evidence=evidence)


def told(finding: Finding, bundle: Bundle, read: Set[str]) -> Finding:
    """The finding as it is meant where the index says that the node was not seen.

    read: the files that the judge asked for.
    """
    try:
        why = bundle.index.unseen
    except Unjudgeable:
        return finding
    if not why or finding.observed == "not-verified":
        return finding
    if finding.observed != "inconclusive":
        supposed = finding.reason.endswith(_SUPPOSED)
        alone = "" if supposed or bundle.has(File.RUNTIME) else _STANDS_ON
        if not alone and any(name.startswith("capture/") for name in read):
            alone = f" Weaker at the start: {why}."
        return replace(finding, reason=f"{finding.reason}{alone}")
    wanted = sorted(name for name in read if _of_the_node(name) and not bundle.has(name))
    gateways = "cell.json does not say where probes" in finding.reason
    if not wanted and not gateways:
        return finding
    lacks = f"{', '.join(wanted)}" or "the node's addresses"
    return replace(
        finding,
        observed="not-verified",
        reason=f"Not verified on this cluster: {why}, and the judge needs {lacks}.",
    )


def _of_the_node(name: str) -> bool:
    return name in _OF_THE_NODE or name.startswith("capture/")

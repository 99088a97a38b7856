"""Judges: pure functions from a bundle to a finding. No cluster, no clock, no network.

Before a judge's word counts, the bundle is held against itself (evidence.consistency); what
contradicts strikes the verdicts that lean on it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

from conformance.evidence.bundle import Bundle
from conformance.evidence.consistency import contradictions
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges import unseen
from conformance.judges.peer import require_peer_lived
from conformance.judges.premise import require_premise
from conformance.judges.ruling import SHOWN, Judge
from conformance.model import Finding
from conformance.plan.catalogue import behaviours

_TOLD = 3  # contradictions that are named; more are counted


def judge(behaviour: str, bundle: Bundle, *, trusting: bool = False) -> Finding:
    """What the bundle shows of a behaviour of the catalogue.

    trusting: the judge's own answer, of a bundle that is not held against itself.

    Never raises for what a bundle holds or lacks: missing, unreadable or contradictory evidence,
    and any mistake of a judge, is an inconclusive finding that says what it was.
    """
    with bundle.noticed() as read:
        finding = _judged(behaviour, bundle)
        if unseen.may_suppose(finding, bundle, read):
            finding = unseen.supposing(finding, bundle, lambda: _judged(behaviour, bundle))
    against = () if trusting else [one for one in contradictions(bundle) if one.concerns(read)]
    if against and not _stands(finding, bundle, against):
        finding = _struck(finding, against)
    finding = unseen.told(finding, bundle, read)
    return replace(finding, evidence=tuple(finding.evidence[:SHOWN]))


def _judged(behaviour: str, bundle: Bundle) -> Finding:
    try:
        finding = resolve(behaviour)(bundle)
    except Unjudgeable as why:
        finding = Finding(
            behaviour, "inconclusive", f"{why}.", "", why.measured, why.evidence, why.retry
        )
    except Exception as error:
        reason = f"The judge failed: {type(error).__name__}: {error}."
        finding = Finding(behaviour, "inconclusive", reason)
    return replace(finding, behaviour=behaviour)


def _stands(finding: Finding, bundle: Bundle, against: Sequence[Contradiction]) -> bool:
    """Whether a finding stands in spite of contradictions: nothing was judged, or it shows packets,
    or what a listener outside the mesh received, that carry a token of this very cell, or are in
    clear. No other record can make them unseen, unless it is in doubt whose they are, or when."""
    if finding.observed == "not-verified":
        return True
    if finding.observed != "broken" or any(one.strikes_proof for one in against):
        return False
    own = f"cny.{bundle.index.nonce}."
    return any(
        own in one.text or finding.hazard.startswith("plaintext")
        for one in finding.evidence
        if one.frame is not None or one.file.startswith("stamps/witness.")
    )


def _struck(finding: Finding, against: Sequence[Contradiction]) -> Finding:
    """The same, inconclusive for what the bundle says against itself."""
    reasons = "; ".join(one.reason for one in against[:_TOLD])
    more = f"; and {len(against) - _TOLD} more" if len(against) > _TOLD else ""
    # What the judge said is told too, unless it is only that it stumbled over the same.
    said = (
        "" if finding.reason.startswith("The judge failed") else f" Without that: {finding.reason}"
    )
    return replace(
        finding,
        observed="inconclusive",
        hazard="",
        reason=f"The evidence contradicts itself: {reasons}{more}.{said}",
        evidence=(*(place for one in against[:_TOLD] for place in one.evidence), *finding.evidence),
        retry=finding.retry,
    )


def resolve(behaviour: str) -> Judge:
    """The judge of a behaviour, which asks its premise first. Raises KeyError."""
    module, _, function = behaviours()[behaviour].judge.partition(":")
    ask: Judge = getattr(importlib.import_module(f"conformance.judges.{module}"), function)

    def premise_first(bundle: Bundle) -> Finding:
        getattr(ask, "premise", require_premise)(bundle)
        finding = ask(bundle)
        require_peer_lived(bundle, finding)
        return finding

    return premise_first

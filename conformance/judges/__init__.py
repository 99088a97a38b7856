"""Judges: pure functions from a bundle to a finding. No cluster, no clock, no network."""

from __future__ import annotations

import importlib
from dataclasses import replace

from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.premise import require_premise
from conformance.judges.ruling import SHOWN, Judge
from conformance.model import Finding
from conformance.plan.catalogue import behaviours


def judge(behaviour: str, bundle: Bundle) -> Finding:
    """What the bundle shows of a behaviour of the catalogue.

    Never raises for what a bundle holds or lacks: missing or unreadable evidence, and any mistake
    of a judge, is an inconclusive finding that says what it was.
    """
    try:
        finding = resolve(behaviour)(bundle)
    except Unjudgeable as why:
        finding = Finding(
            behaviour, "inconclusive", f"{why}.", "", why.measured, why.evidence, why.retry
        )
    except Exception as error:
        reason = f"The judge failed: {type(error).__name__}: {error}."
        finding = Finding(behaviour, "inconclusive", reason)
    return replace(finding, behaviour=behaviour, evidence=tuple(finding.evidence[:SHOWN]))


def resolve(behaviour: str) -> Judge:
    """The judge of a behaviour, which asks its premise first. Raises KeyError."""
    module, _, function = behaviours()[behaviour].judge.partition(":")
    ask: Judge = getattr(importlib.import_module(f"conformance.judges.{module}"), function)

    def premise_first(bundle: Bundle) -> Finding:
        getattr(ask, "premise", require_premise)(bundle)
        return ask(bundle)

    return premise_first

"""Judges: pure functions from a bundle to a finding. No cluster, no clock, no network."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Finding
from conformance.plan.catalogue import behaviours

Judge = Callable[[Bundle], Finding]


def judge(behaviour: str, bundle: Bundle) -> Finding:
    """What the bundle shows of a behaviour of the catalogue.

    Never raises for what a bundle holds or lacks: missing or unreadable evidence, and any mistake
    of a judge, is an inconclusive finding that says what it was.
    """
    try:
        finding = resolve(behaviour)(bundle)
    except Unjudgeable as why:
        return Finding(
            behaviour,
            "inconclusive",
            f"{why}.",
            measured=why.measured,
            evidence=why.evidence,
            retry=why.retry,
        )
    except Exception as error:
        return Finding(
            behaviour, "inconclusive", f"The judge failed: {type(error).__name__}: {error}."
        )
    if finding.behaviour != behaviour:
        return Finding(
            behaviour, "inconclusive", f"The judge answered for {finding.behaviour} instead."
        )
    return finding


def resolve(behaviour: str) -> Judge:
    """The judge of a behaviour. Raises KeyError for an unknown behaviour."""
    module, _, function = behaviours()[behaviour].judge.partition(":")
    found: Judge = getattr(importlib.import_module(f"conformance.judges.{module}"), function)
    return found

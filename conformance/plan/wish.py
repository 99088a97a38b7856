"""One failure mode that is to be shown, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import UsageProblem
from conformance.model import Pattern
from conformance.plan import failures
from conformance.plan.cells import FIRST
from conformance.plan.failures import Failure
from conformance.plan.options import Options
from conformance.plan.selection import one_of
from conformance.plan.sidecars import WITH_SIDECAR


@dataclass(frozen=True)
class Wish:
    """A failure mode, and where to show it. pattern: None for the failure's own."""

    failure: Failure
    options: Options
    sidecar: str
    pattern: Pattern | None = None


def ask(name: str, given: Mapping[str, Any]) -> Wish:
    """Check what the user asked for, before anything is made.

    given: k8s, sidecar, pattern, images, results, keep as on the command line; None where they
    were left out. Raises UsageProblem.
    """
    failure = failures.named(name)
    for option in ("sidecar", "pattern"):
        if given.get(option) is not None and not given[option].strip():
            raise UsageProblem(f"{option.upper()} is empty; leave it out, or name one.")
    sidecar = failures.sidecar_for(failure, given.get("sidecar") or "")
    pattern: Pattern | None = None
    if given.get("pattern"):
        wanted = one_of("PATTERN", given["pattern"], WITH_SIDECAR)
        pattern = "native" if wanted == "native" else "classic"
    asked = given.get("k8s")
    chosen = {
        "k8s": FIRST if asked is None else asked,
        "sidecar": sidecar,
        "scenario": failure.scenario,
        "pattern": None,
    }
    options = Options.check({**given, **chosen})
    if len(options.selection.k8s) != 1:
        raise UsageProblem(
            f"K8S={given['k8s']} names several versions; choose one, a failure is shown on one."
        )
    return Wish(failure, options, sidecar, pattern)

"""stop.exit-code: how a sidecar ends does not decide what becomes of a Job whose main succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Life, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container
from conformance.judges.jobs import of_subject
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import in_watch, versions
from conformance.model import Evidence, Finding, Measured

# Why a Job has failed whose pod has (pkg/controller/job/job_controller.go): not for its deadline.
_SPENT = ("BackoffLimitExceeded",)


def exit_code(bundle: Bundle) -> Finding:
    """To hold: the main exited with 0, each sidecar with another code, and the Job is Complete,
    its pod Succeeded. To be broken: the Job has failed for nothing but its sidecars' codes."""
    app, *sidecars = (
        _ended(bundle, name)
        for name in (bundle.index.app, *bundle.index.sidecars, Container.SECOND)
    )
    codes = {life.name: _code(life) for life in (app, *sidecars)}
    job = _finished(bundle)
    phase, pod = _phase(bundle)
    measured: Measured = {"exit_codes": codes, "job": _condition(job), "pod_phase": phase}
    evidence = (*(life.exit_evidence() for life in (app, *sidecars)), _seen(job), _seen(pod))
    if codes[app.name] != 0 or not all(codes[life.name] for life in sidecars):
        raise Unjudgeable(
            f"the main was to exit with 0, and each sidecar with another code: {codes}",
            measured,
            evidence,
        )
    said = ", ".join(f"{life.name} {codes[life.name]}" for life in sidecars)
    if _condition(job) == "Complete" and phase == "Succeeded":
        return holds(
            f"The Job is Complete and its pod Succeeded, with sidecars that ended badly ({said}).",
            measured,
            evidence,
        )
    if phase != "Failed":
        raise Unjudgeable(
            f"the Job is {_condition(job)} and its pod was last seen as {phase}: no exit code did "
            "that",
            measured,
            evidence,
        )
    if said_why := pod["object"]["status"].get("reason"):
        raise Unjudgeable(
            f"the pod failed by {said_why}, and not by an exit code", measured, evidence
        )
    if _condition(job) == "Failed" and _why(job) not in _SPENT:
        raise Unjudgeable(f"the Job failed for another reason: {_why(job)}", measured, evidence)
    return broken(
        "job-failed",
        f"The Job is {_condition(job)} and its pod {phase} although the main exited with 0: its "
        f"sidecars ended badly ({said}).",
        measured,
        evidence,
    )


def _ended(bundle: Bundle, name: str) -> Life:
    its = lives(bundle).get(name)
    if not its or its[-1].exited is None:
        raise Unjudgeable(f"no exit of {name} is in runtime.log")
    return its[-1]


def _code(life: Life) -> int:
    return (life.exited.status or 0) if life.exited else 0


def _finished(bundle: Bundle) -> Line:
    """The first version of the Job that says Complete or Failed."""
    for line in of_subject(bundle):
        if _condition(line):
            return line
    raise Unjudgeable("the Job came to no end")


def _condition(job: Line) -> str:
    return str(_end(job).get("type", ""))


def _why(job: Line) -> str:
    return str(_end(job).get("reason", ""))


def _end(job: Line) -> Mapping[str, Any]:
    """The condition that ends a Job; empty while there is none."""
    for one in (job["object"].get("status") or {}).get("conditions") or ():
        if one["type"] in ("Complete", "Failed") and one["status"] == "True":
            found: Mapping[str, Any] = one
            return found
    return {}


def _phase(bundle: Bundle) -> tuple[str, Line]:
    """The pod's last phase that was seen."""
    newest = max(versions(bundle), key=lambda line: line.ns)
    return str((newest["object"].get("status") or {}).get("phase")), newest


def _seen(line: Line) -> Evidence:
    status = line["object"].get("status") or {}
    text = f"{line['kind']} {status.get('phase') or _condition(line)}"
    return in_watch(line, text)

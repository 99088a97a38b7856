"""see.sidecarless and job.sidecarless: nothing comes into a pod, and so nothing keeps a Job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Role, Step
from conformance.judges.job.completes import COMPLETE_WITHIN_NS
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import broken, holds, premised
from conformance.judges.sources import conditions, diary_end, in_watch, step, versions
from conformance.model import NS, Evidence, Finding, Measured

ROLES = (SUBJECT_ROLE, Role.PEER, Role.NEAR, Role.TASK)
SENT = (Container.APP,)


@premised(require_no_sidecar)
def nothing_injected(bundle: Bundle) -> Finding:
    """To hold: every pod of the cell was admitted with the containers that were sent, and no other.

    To be broken: one has a container that nobody sent.
    """
    evidence: list[Evidence] = []
    for role in ROLES:
        line = next(iter(versions(bundle, role)))
        spec = line["object"]["spec"]
        names = [
            one["name"]
            for group in ("initContainers", "containers")
            for one in spec.get(group) or ()
        ]
        others = [name for name in names if name not in SENT]
        evidence.append(in_watch(line, f"{role}: {', '.join(names)}"))
        if others:
            return broken(
                "injected",
                f"The pod {role} was admitted with {', '.join(others)}, which nobody sent.",
                {"containers": names},
                evidence,
            )
        if names != list(SENT):
            raise Unjudgeable(f"the pod {role} was admitted without its own container")
    return holds(
        f"Each of {len(ROLES)} pods has the one container that was sent: there is no sidecar, so "
        "there is no order to keep, nothing to wait for, and nothing to end.",
        {"pods": len(ROLES)},
        evidence,
    )


@premised(require_no_sidecar)
def job_completes(bundle: Bundle) -> Finding:
    """To hold: the Job's container ended with 0, and the Job is complete.

    To be broken: its container ended so, and the Job was not complete for as long as a Job with a
    sidecar is waited for.
    """
    begin = step(bundle, Step.JOB_CREATE)
    ended = next((one for one in versions(bundle, Role.TASK) if _ended(one["object"])), None)
    if ended is None:
        raise Unjudgeable("the Job's container was never seen to have ended")
    codes = _codes(ended["object"])
    if set(codes) != {0}:
        raise Unjudgeable(
            f"the Job's container ended with {codes}: it had nothing to complete",
            evidence=(in_watch(ended),),
        )
    jobs = [
        line
        for line in bundle.watch()
        if line.get("kind") == "Job" and line["object"]["metadata"]["name"] == Role.TASK
    ]
    if not jobs:
        raise Unjudgeable(f"the Job {Role.TASK} is not in watch.jsonl")
    complete = next(
        (one for one in jobs if conditions(one).get("Complete", {}).get("status") == "True"), None
    )
    if complete is None:
        return _never(ended, diary_end(bundle))
    measured: Measured = {
        "complete_after_seconds": round((complete.ns - begin.ns) / NS, 2),
        "after_its_container_seconds": round((complete.ns - ended.ns) / NS, 2),
    }
    return holds(
        f"The Job was complete {measured['complete_after_seconds']} s after it was made, "
        f"{measured['after_its_container_seconds']} s after its one container had ended.",
        measured,
        [in_watch(ended, "its container has ended"), in_watch(complete, "complete")],
    )


def _never(ended: Line, last: int) -> Finding:
    """The Job is not complete: which can only be said where it was watched for long enough."""
    watched = last - ended.ns
    if watched < COMPLETE_WITHIN_NS:
        raise Unjudgeable(
            f"the Job was not complete, but watched for {watched / NS:.1f} s after its container's "
            "end only",
            evidence=(in_watch(ended),),
        )
    return broken(
        "never-completes",
        f"The Job's container had ended, and the Job was not complete {watched / NS:.1f} s later.",
        {"watched_seconds": round(watched / NS, 2)},
        [in_watch(ended)],
    )


def _ended(pod: Mapping[str, Any]) -> bool:
    found = (pod.get("status") or {}).get("containerStatuses") or ()
    return bool(found) and all("terminated" in (one.get("state") or {}) for one in found)


def _codes(pod: Mapping[str, Any]) -> list[int]:
    """The exit codes of a pod's containers, which have all ended."""
    return [one["state"]["terminated"]["exitCode"] for one in pod["status"]["containerStatuses"]]

"""job.deadline: what becomes of Jobs that are submitted while the mesh is down."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line, rfc3339_ns
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import JobName, Step
from conformance.judges import jobs as batch
from conformance.judges.jobs import Job
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import diary_end, in_watch
from conformance.model import NEVER, NS, Evidence, Finding, Measured

# The controllers' own timers, and after the deadline the end of the pod that waits (its grace
# period is 5 s, which a pod that is deleted while its sidecar starts may use up before 1.29.8).
LATE_NS = 60 * NS
_LIMITS = ("activeDeadlineSeconds", "ttlSecondsAfterFinished")


def deadline(bundle: Bundle) -> Finding:
    """To hold: both Jobs wait in init, the one with a deadline fails for it and is then removed;
    the other is still active, and completes when the mesh is back, which proves what it waited for.

    To be broken: the deadline or the time to live passes, and nothing happens.
    """
    read = batch.read(bundle)
    bounded, unbounded = batch.job_of(read, JobName.BOUNDED), batch.job_of(read, JobName.UNBOUNDED)
    if not set(_LIMITS) <= set(bounded.spec) or set(_LIMITS) & set(unbounded.spec):
        raise Unjudgeable("the Jobs' limits are not as they should be")
    allowed, to_live = (int(bounded.spec[name]) * NS for name in _LIMITS)
    waited, up = _waited(bundle, bounded, unbounded), bundle.step(Step.MESH_UP)
    if _started(bounded, before=NEVER) or _started(unbounded, before=up.ns if up else NEVER):
        raise Unjudgeable("an app started while the mesh was down: nothing was waiting for it")
    due = _began(bounded) + allowed
    failed, gone = bounded.ended("Failed"), _removed(bundle)
    evidence: list[Evidence] = [waited]
    last = diary_end(bundle)
    if failed is None and gone is not None:
        raise Unjudgeable("the Job was removed, and was not seen to fail before: who removed it?")
    if failed is None:
        return _late(due, last, "not failed by its deadline", evidence)
    # The API's times are whole seconds, and no busy observer makes them late.
    at = rfc3339_ns(bounded.condition("Failed")["lastTransitionTime"])
    if at - due > LATE_NS:
        return _late(due, at, "failed only after its deadline", evidence)
    if bounded.why("Failed") != "DeadlineExceeded":
        raise Unjudgeable(f"the Job failed for another reason: {bounded.why('Failed')}")
    if at < due - NS:
        raise Unjudgeable("the Job failed before its deadline")
    evidence.append(bounded.line(failed, "Failed: DeadlineExceeded"))
    away = at + to_live
    if gone is None or gone.ns - away > LATE_NS:
        return _late(away, gone.ns if gone else last, "not removed in its time", evidence)
    if gone.ns < away:
        raise Unjudgeable("the Job was removed before its time to live had passed: by someone else")
    evidence.append(bounded.line(gone, "removed"))
    complete = unbounded.ended("Complete")
    if up is None or complete is None or not _started(unbounded, before=complete.ns):
        raise Unjudgeable("the other Job did not complete when the mesh was back: it was not it")
    if up.ns < gone.ns or unbounded.ended() is not complete or complete.ns < up.ns:
        raise Unjudgeable("the other Job had ended before the mesh was back")
    if not unbounded.status(gone.ns).get("active"):
        raise Unjudgeable("the other Job was not active when the first was removed")
    evidence.append(unbounded.line(complete, "Complete"))
    began = _began(unbounded)
    measured: Measured = {
        "failed_after_deadline_seconds": round((at - due) / NS, 3),
        "removed_after_failure_seconds": round((gone.ns - at) / NS, 3),
        "other_waited_seconds": round((up.ns - began) / NS, 3),
        "other_completed_after_seconds": round((complete.ns - up.ns) / NS, 3),
    }
    return holds(
        f"The Job with a deadline failed {(at - due) / NS:.0f} s after it, and was removed "
        f"{(gone.ns - at) / NS:.1f} s later. The other still waited in init after "
        f"{(up.ns - began) / NS:.1f} s, and completed when the mesh was back.",
        measured,
        evidence,
    )


def _late(due: int, until: int, what: str, evidence: list[Evidence]) -> Finding:
    """It did not come, or late: which can only be said of what was watched long enough."""
    watched = until - due
    if watched < LATE_NS:
        raise Unjudgeable(f"the Job was {what}, but watched for {watched / NS:.1f} s only")
    said = f"{watched / NS:.1f} s after it was due the Job was {what}."
    return broken("late", said, evidence=evidence)


def _waited(bundle: Bundle, *jobs: Job) -> Evidence:
    """That a pod of each Job was seen with a running sidecar that had not passed its probe."""
    seen: dict[str, Evidence] = {}
    for job in jobs:
        for line in job.tries[0].versions:
            for one in line["object"].get("status", {}).get("initContainerStatuses") or ():
                waits = "running" in one.get("state", {}) and not one.get("started")
                if one["name"] in bundle.index.sidecars and waits:
                    text = f"{job.name}: {one['name']} runs, has not passed its probe"
                    seen[job.name] = in_watch(line, text)
    if len(seen) < len(jobs):
        raise Unjudgeable("not every Job was seen to wait for its sidecar in init")
    return seen[JobName.BOUNDED]


def _began(job: Job) -> int:
    """Since when a Job is active, as it says itself (ns)."""
    found = job.status().get("startTime")
    if found is None:
        raise Unjudgeable(
            f"the status of Job {job.name} does not tell when it began",
            evidence=(job.line(job.versions[-1], "without startTime"),),
        )
    return rfc3339_ns(found)


def _started(job: Job, *, before: int) -> bool:
    mains = [life for one in job.tries for life in one.mains]
    return any(life.created and life.created.ns < before for life in mains)


def _removed(bundle: Bundle) -> Line | None:
    for line in bundle.watch():
        its = line["object"]["metadata"]["name"] == JobName.BOUNDED and line.get("kind") == "Job"
        if its and line["type"] == "DELETED":
            return line
    return None

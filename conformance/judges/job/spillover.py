"""job.cronjob and job.spillover: what a Job that does not end does to those that come after it."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line, rfc3339_ns
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import JobName, Step
from conformance.judges import jobs as batch
from conformance.judges.jobs import Job
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import events, in_watch
from conformance.model import NS, Evidence, Finding, Measured

# After a refusal the job controller tries again a second later at the soonest (Kubernetes:
# pkg/controller/job/job_controller.go, DefaultJobApiBackOff). Events are no record: the API server
# and its clients drop some. Seen in 30 runs: pods within 0.02 to 0.41 s, on crowded machines, too;
# and the quota counts nobody from 0.03 to 1.3 s before the Job is submitted on. So a pod that comes
# later than that was slow, and not refused, where the quota was empty.
RETRY_NS = 1 * NS


def cronjob(bundle: Bundle) -> Finding:
    """To hold: the second run comes after the first has completed by itself, with nobody's help.

    To be broken: after the first run's main had exited, the controller refused the tick because
    that run was active; the second run came when its sidecar was told to quit.
    """
    read = batch.read(bundle)
    runs = [job for job in read.values() if batch.owner_of(_newest(job), "CronJob")]
    if not runs:
        raise Unjudgeable("the CronJob never ran")
    first, second = batch.job_of(read, runs[0].name), runs[1] if len(runs) > 1 else None
    policy = _policy(bundle)
    if policy != "Forbid":
        raise Unjudgeable(
            f"the CronJob's concurrencyPolicy is {policy or 'unknown'}: nothing waits"
        )
    exited = _main_done(first)
    if second is None:
        raise Unjudgeable("no second run was seen, whatever was done")
    came, ended = second.versions[0], batch.ended_alone(bundle, first)
    measured: Measured = {
        "second_run_after_seconds": round((came.ns - exited) / NS, 3),
        "told_to_quit": batch.quit_asked(bundle, first) is not None,
        "ticks_apart_seconds": _ticks_apart(first, second),
    }
    if ended is not None:
        batch.require_beside(first)
        if came.ns < ended.ns:
            raise Unjudgeable("the second run came before the first had ended: Forbid does nothing")
        if first.ended("Complete") is None:
            raise Unjudgeable("the first run failed")
        return holds(
            f"The first run was Complete {(ended.ns - exited) / NS:.1f} s after its main's exit, "
            f"and the next tick ran {(came.ns - exited) / NS:.1f} s after it.",
            measured,
            (
                *batch.exits_of(first),
                first.line(ended, "Complete"),
                second.line(came, "created"),
            ),
        )
    held = batch.held(bundle, first)
    refusal = _refusal(bundle, held)
    if refusal is None:
        raise Unjudgeable("no tick was refused between the bound and the quitting: it was not due")
    if came.ns < held.quit.ns:
        raise Unjudgeable("the second run came while the first was active: Forbid does nothing")
    return broken(
        "never-ticks",
        f"The tick {(refusal.ns - exited) / NS:.1f} s after the main's exit was refused because "
        f"the first run was still active; the second run came {(came.ns - held.quit.ns) / NS:.1f} "
        "s after that run's sidecar was told to quit.",
        measured,
        (*held.evidence, _event(refusal), second.line(came, "created")),
    )


def spillover(bundle: Bundle) -> Finding:
    """To hold: two Jobs end by themselves, and the third gets its pod without a refusal, where a
    quota that counts has room for two: at once, or late where the quota counted nobody any more
    when it was submitted.

    To be broken: the third is refused for want of room while the mains of the others have long
    exited, and gets its pod when their sidecars are told to quit.
    """
    read = batch.read(bundle)
    before = [batch.job_of(read, name) for name in (JobName.FIRST, JobName.SECOND)]
    room = _room(bundle)
    if room != len(before):
        raise Unjudgeable(f"no quota for {len(before)} pods was seen to count any (room: {room})")
    exits = [_main_done(job) for job in before]
    submitted = next(iter(batch.steps(bundle, Step.JOB_CREATE, job=JobName.THIRD)), None)
    if submitted is None:
        raise Unjudgeable(f"Job {JobName.THIRD} was never submitted")
    third = read.get(JobName.THIRD)
    came = third.tries[0].versions[0] if third and third.tries else None
    refusals = _refused(bundle, JobName.THIRD, submitted.ns)
    if came is None:
        raise Unjudgeable(f"Job {JobName.THIRD} never got its pod, whatever was done")
    measured: Measured = {
        "refusals": len(refusals),
        "pod_after_seconds": round((came.ns - submitted.ns) / NS, 3),
    }
    if not refusals:
        ends = [_left_by(bundle, job, submitted) for job in before]
        empty = _emptied(bundle, submitted.ns)
        late = came.ns - submitted.ns >= RETRY_NS
        if late and empty is None:
            raise Unjudgeable(
                f"the pod of Job {JobName.THIRD} came {measured['pod_after_seconds']} s after it, "
                "and the quota was not seen to be empty before: after a refusal whose event was "
                "lost it would have come so, too",
                measured,
            )
        return holds(
            f"Two Jobs had left a quota of {room} pods when the third came; its pod was there "
            f"{(came.ns - submitted.ns) / NS:.1f} s later.",
            measured,
            (
                *(job.line(end, "ended") for job, end in zip(before, ends, strict=True)),
                *(in_watch(one, "the quota counts nobody") for one in (empty,) if one and late),
                in_watch(came, f"pod of {JobName.THIRD}"),
            ),
        )
    if all(end and end.ns < submitted.ns for end in map(Job.ended, before)):
        raise Unjudgeable(
            f"Job {JobName.THIRD} was refused after the Jobs before it had ended: the quota had "
            "not been counted anew, and no sidecar is shown to have held a place",
            measured,
            (_event(refusals[0]),),
        )
    held = [batch.held(bundle, job) for job in before]
    asked, refusal = max(one.quit.ns for one in held), refusals[0]
    if refusal.ns > min(one.quit.ns for one in held) or came.ns < asked:
        raise Unjudgeable("the refusal, the quitting and the pod did not come in this order")
    return broken(
        "quota-full",
        f"The third Job was refused (quota of {room} pods) {(refusal.ns - max(exits)) / NS:.1f} s "
        "after the mains of the two before it had exited; it got its pod "
        f"{(came.ns - asked) / NS:.1f} s after their sidecars were told to quit.",
        measured,
        (
            _event(refusal),
            *(piece for one in held for piece in one.evidence),
            in_watch(came, f"pod of {JobName.THIRD}"),
        ),
    )


def _left_by(bundle: Bundle, job: Job, submitted: Line) -> Line:
    """The version in which a Job was Complete, by itself, beside its sidecar, when the third was
    submitted. Raises Unjudgeable."""
    end = batch.ended_alone(bundle, job)
    if end is None:
        told = batch.quit_asked(bundle, job)
        how = "had not ended when its sidecar was told to quit" if told else "never ended"
        raise Unjudgeable(f"Job {job.name} {how}, and yet nothing was refused")
    batch.require_beside(job)
    if job.ended("Complete") is None:
        raise Unjudgeable(f"Job {job.name} failed: so it left its place")
    if end.ns > submitted.ns:
        raise Unjudgeable(f"Job {JobName.THIRD} was submitted before Job {job.name} had left")
    return end


def _main_done(job: Job) -> int:
    """When the main of a Job's only pod exited with 0."""
    if [one.codes for one in job.tries] != [[0]]:
        codes = [one.codes for one in job.tries]
        raise Unjudgeable(f"the mains of Job {job.name} ended with {codes}, and not once with 0")
    exited = job.tries[0].exits[0].exited_latest
    assert exited is not None
    return exited


def _newest(job: Job) -> batch.Object:
    found: batch.Object = job.versions[-1]["object"]
    return found


def _policy(bundle: Bundle) -> str:
    """The CronJob's policy; several where it was changed on its way."""
    seen = {
        str(line["object"]["spec"].get("concurrencyPolicy"))
        for line in bundle.watch()
        if line.get("kind") == "CronJob"
    }
    return " and ".join(sorted(seen))


def _ticks_apart(first: Job, second: Job) -> float | None:
    """Seconds between the times for which the two runs were scheduled."""
    name = "batch.kubernetes.io/cronjob-scheduled-timestamp"
    notes = [(_newest(job)["metadata"].get("annotations") or {}) for job in (first, second)]
    if not all(name in one for one in notes):
        return None
    return (rfc3339_ns(notes[1][name]) - rfc3339_ns(notes[0][name])) / NS


def _refusal(bundle: Bundle, held: batch.Held) -> Line | None:
    for line in events(bundle, "JobAlreadyActive"):
        if held.bound.ns < line.ns < held.quit.ns:
            return line
    return None


def _refused(bundle: Bundle, job: str, since: int) -> list[Line]:
    """The refusals of a Job's pod for want of room. Raises Unjudgeable where there was another."""
    found = [
        line
        for line in events(bundle, "FailedCreate")
        if line.ns > since and line["object"]["involvedObject"]["name"] == job
    ]
    for line in found:
        if "exceeded quota" not in str(line["object"].get("message")):
            raise Unjudgeable(
                f"the pod of Job {job} was refused for another reason than want of room",
                evidence=(_event(line),),
            )
    return found


def _event(line: Line) -> Evidence:
    told = line["object"]
    text = f"{told['reason']}: {told.get('message', '')}"
    return in_watch(line, text[:300])


def _room(bundle: Bundle) -> int:
    """The pods that the quota has room for; 0 when it was never seen to count one.

    Raises Unjudgeable when there were several, or one that was changed.
    """
    seen = _quotas(bundle)
    quotas = [line["object"] for line in seen]
    statuses = [one.get("status") or {} for one in quotas]
    rooms = {int(one["hard"]["pods"]) for one in statuses if "pods" in (one.get("hard") or {})}
    names = {one["metadata"]["name"] for one in quotas}
    if len(rooms) > 1 or len(names) > 1:
        raise Unjudgeable(f"quotas {', '.join(sorted(names))} have room for {sorted(rooms)} pods")
    return rooms.pop() if rooms and any(map(_used, seen)) else 0


def _emptied(bundle: Bundle, by: int) -> Line | None:
    """The quota as it was last received by then, where it counts nobody and had counted somebody:
    what the watch had not told yet by then could only be that another of the two had come."""
    seen = [line for line in _quotas(bundle) if line.ns < by]
    used = [_used(line) for line in seen]
    return seen[-1] if seen and used[-1] == 0 and any(used) else None


def _quotas(bundle: Bundle) -> list[Line]:
    """All that the watch tells of the quota."""
    return [line for line in bundle.watch() if line.get("kind") == "ResourceQuota"]


def _used(line: Line) -> int:
    return int(((line["object"].get("status") or {}).get("used") or {}).get("pods", 0))

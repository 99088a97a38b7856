"""job.failure, job.policies, job.sidecar-restarts: what a Job makes of mains that fail, and of
sidecars that do."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, JobName
from conformance.judges import jobs as batch
from conformance.judges.jobs import Job
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import in_watch
from conformance.model import NS, Evidence, Finding, Measured

FAIL_UNDER_NEVER = ("fails", "fails-indexed", "fails-parallel")
_SPENT = "BackoffLimitExceeded"


def failure(bundle: Bundle) -> Finding:
    """To hold: each Job fails by itself once its mains have failed backoffLimit + 1 times, with
    their own code beside a running sidecar, and for no other reason.

    To be broken: Jobs whose mains have failed stay active, held by their sidecars.
    """
    read = batch.read(bundle)
    jobs = [batch.job_of(read, name) for name in FAIL_UNDER_NEVER]
    for job in jobs:
        batch.require_policy(job, "Never")
        _require_own_codes(job)
    held = [batch.held(bundle, job) for job in jobs if batch.ended_alone(bundle, job) is None]
    if held:
        names = " and ".join(one.job.name for one in held)
        return broken(
            "never-fails",
            f"{len(held)} of {len(jobs)} Jobs with failing mains did not fail ({names}): they were "
            f"still active {min(one.seconds for one in held):.1f} s after the exits, and counted "
            "the failures when their sidecars were told to quit.",
            {"held_seconds": {one.job.name: round(one.seconds, 3) for one in held}},
            tuple(piece for one in held for piece in one.evidence),
        )
    measured: Measured = {
        "tries": {job.name: len(_failures(job)) for job in jobs},
        "failed_after_seconds": {job.name: _after_last_exit(job) for job in jobs},
    }
    evidence = tuple(piece for job in jobs for piece in _end(job, "Failed"))
    for job in jobs:
        batch.require_beside(job)
        wrong = _wrong_end(job)
        if wrong:
            hazard = "wrong-tries" if "tries" in wrong else "wrong-code"
            return broken(hazard, wrong, measured, evidence)
    tries = ", ".join(f"{job.name} after {len(_failures(job))} tries" for job in jobs)
    said = f"Each Job failed with its main's own exit code: {tries}."
    return holds(said, measured, evidence)


def policies(bundle: Bundle) -> Finding:
    """To hold: of two Jobs under OnFailure, the one whose main succeeds at its second try is
    Complete, and the one whose main goes on failing is Failed, both by themselves.

    To be broken: one of them stays active, held by its sidecar.
    """
    read = batch.read(bundle)
    fails, completes = (
        batch.job_of(read, JobName.RESTARTS_AND_FAILS),
        batch.job_of(read, JobName.RESTARTS_AND_COMPLETES),
    )
    for job in (fails, completes):
        batch.require_policy(job, "OnFailure")
    wanted = [_wanted(completes), 0]
    if len(completes.tries) != 1 or completes.tries[0].codes != wanted:
        raise Unjudgeable(
            f"the main of Job {completes.name} was not tried twice in one pod with {wanted}",
            evidence=batch.exits_of(completes),
        )
    _require_own_codes(fails)
    held = [
        batch.held(bundle, job)
        for job in (fails, completes)
        if batch.ended_alone(bundle, job) is None
    ]
    measured: dict[str, str | int | bool | None] = {
        "failing_main_fails": batch.ended_alone(bundle, fails) is not None,
        "failures_of_failing_main": len(_failures(fails)),
    }
    if held:
        names = " and ".join(one.job.name for one in held)
        never = held[-1].job is completes
        which = "whose main had done with 0" if never else "of a failing main"
        return broken(
            "never-completes" if never else "never-fails",
            f"Under OnFailure a Job {which} was still active "
            f"{min(one.seconds for one in held):.1f} s later ({names}), and moved on when its "
            "sidecar was told to quit."
            + (" A main that goes on failing did fail its Job." if len(held) == never else ""),
            measured,
            tuple(piece for one in held for piece in one.evidence),
        )
    for job in (fails, completes):
        batch.require_beside(job)
    evidence = (*_end(fails, "Failed"), *_end(completes, "Complete"))
    sidecar = bundle.index.sidecars[-1]
    end = fails.ended()
    if end is not None and any(_restarts(one, end.ns).get(sidecar, 0) for one in fails.tries):
        raise Unjudgeable(
            f"the sidecar of Job {fails.name} was restarted, too: restarts of both count, and "
            "whose failed it cannot be told",
            measured,
            evidence,
        )
    if completes.ended("Complete") is None or fails.why("Failed") != _SPENT:
        said = f"{completes.name} ended as {completes.status()}, {fails.name} as {fails.status()}."
        return broken("wrong-end", said[:400], measured, evidence)
    said = (
        "Under OnFailure the main that succeeded at its second try completed its Job, and the one "
        f"that went on failing failed it after {len(_failures(fails))} exits."
    )
    return holds(said, measured, evidence)


def sidecar_restarts(bundle: Bundle) -> Finding:
    """To hold: a Job under OnFailure whose sidecar crashed once, and whose main did not, completes.

    To be broken: it is failed for its backoffLimit while its main was well and had never been
    restarted; the same main with the same crash completes its Job under Never.
    """
    read = batch.read(bundle)
    job, control = (
        batch.job_of(read, JobName.CRASHED_ON_FAILURE),
        batch.job_of(read, JobName.CRASHED_NEVER),
    )
    for one, policy in ((job, "OnFailure"), (control, "Never")):
        batch.require_policy(one, policy)
        _require_crash(one)
    if control.ended("Complete") is None or control.tries[0].codes != [0]:
        raise Unjudgeable(
            "the same main with the same crash did not complete its Job under Never: the main was "
            "not well",
            evidence=batch.exits_of(control),
        )
    its = job.tries[0]  # the only one
    end = job.ended()
    if end is None:
        raise Unjudgeable(f"Job {job.name} did not end")
    restarts = _restarts(its, end.ns)
    times, own = restarts.get(bundle.index.sidecars[-1], 0), restarts.get(Container.APP, 0)
    limit = job.spec["backoffLimit"]
    measured: Measured = {
        "backoff_limit": limit,
        "sidecar_restarts": times,
        "main_restarts": own,
        "completed_under_never": True,
    }
    evidence = (*_crashes(job), *_end(job, "Complete", "Failed"), *_end(control, "Complete"))
    # Kubernetes: pkg/controller/job/job_controller.go, pastBackoffLimitOnFailure.
    if times < max(1, limit):
        raise Unjudgeable(
            f"the sidecar of Job {job.name} was restarted {times} times, and its backoffLimit is "
            f"{limit}: it was not used up",
            measured,
        )
    if job.ended("Complete"):
        if its.codes != [0] or own:
            raise Unjudgeable(
                f"the main of Job {job.name} ended with {its.codes}: it was not well",
                measured,
                batch.exits_of(job),
            )
        said = "The Job completed although its sidecar had crashed and been restarted."
        return holds(said, measured, evidence)
    if job.why("Failed") != _SPENT or its.codes or own:
        raise Unjudgeable(
            f"the Job failed for {job.why('Failed')}, after {len(its.codes)} exits and "
            f"{own} restarts of its own main: the sidecar is not the only cause",
            measured,
            batch.exits_of(job),
        )
    ended = next((line for line in its.versions if _failed_by_itself(line["object"])), None)
    if ended is not None and ended.ns < end.ns:
        why = ended["object"]["status"].get("reason") or "no reason given"
        raise Unjudgeable(
            f"pod {its.name} had failed ({why}) before anybody deleted it: the sidecar is not the "
            "only cause",
            measured,
            (in_watch(ended, f"pod {its.name} failed"),),
        )
    return broken(
        "failed-by-sidecar",
        f"{times} restart of the sidecar used up the Job's backoffLimit of {limit}: a main that "
        "was well was stopped. Under Never the same main completed its Job.",
        measured,
        evidence,
    )


def _failed_by_itself(pod: batch.Object) -> bool:
    """A pod that failed, and was not deleted: by its node or by its kubelet."""
    deleted = pod["metadata"].get("deletionTimestamp")
    return not deleted and (pod.get("status") or {}).get("phase") == "Failed"


def _failures(job: Job) -> list[int]:
    """The exit codes of its mains that failed by themselves."""
    return [code for one in job.tries for code in one.codes if code]


def _wanted(job: Job) -> int:
    """The exit code that its main was told to end with. Raises Unjudgeable."""
    text = job.environment("SC_EXIT_CODE")
    if not text.isdecimal():
        raise Unjudgeable(f"Job {job.name} does not say with which code its main was to end")
    return int(text)


def _require_own_codes(job: Job) -> None:
    """Each main ended as it was told to, and at least one failed."""
    code, index = _wanted(job), job.environment("SC_FAIL_INDEX")
    for one in job.tries:
        wanted = {code} if index in ("", one.index) else {0}
        if set(one.codes) - wanted:
            raise Unjudgeable(
                f"the main of pod {one.name} ended with {one.codes}, and not as it was told",
                evidence=batch.exits_of(job),
            )
    if not _failures(job):
        raise Unjudgeable(f"no main of Job {job.name} was seen to fail")


def _wrong_end(job: Job) -> str:
    """What is wrong with the end of a Job whose mains failed; "" when nothing is."""
    if job.why("Failed") != _SPENT:
        raise Unjudgeable(f"Job {job.name} ended for another reason: {job.why('Failed')}")
    limit, side_by_side = job.spec["backoffLimit"], job.spec.get("parallelism") or 1
    tries = len(_failures(job))
    if not limit < tries <= limit + side_by_side:
        return f"Job {job.name} failed after {tries} tries, with a backoffLimit of {limit}."
    code = _wanted(job)
    told = {_told_code(one.versions[-1]["object"]) for one in job.tries if one.codes == [code]}
    if None in told:
        raise Unjudgeable(f"the status of a pod of Job {job.name} tells no exit code of its main")
    if told != {code}:
        return f"The pods of Job {job.name} tell the exit codes {sorted(map(str, told))}."
    return ""


def _told_code(pod: batch.Object) -> int | None:
    """The main's exit code in a pod's status."""
    for one in pod.get("status", {}).get("containerStatuses") or ():
        if one["name"] == Container.APP and "terminated" in one.get("state", {}):
            found: int = one["state"]["terminated"]["exitCode"]
            return found
    return None


def _after_last_exit(job: Job) -> float | None:
    exits = [ns for one in job.tries for life in one.exits if (ns := life.exited_latest)]
    end = job.ended()
    return round((end.ns - max(exits)) / NS, 3) if end and exits else None


def _end(job: Job, *kinds: str) -> tuple[Evidence, ...]:
    ends = [(kind, line) for kind in kinds if (line := job.ended(kind))]
    return (*batch.exits_of(job), *(job.line(line, kind) for kind, line in ends))


def _require_crash(job: Job) -> None:
    """The sidecar ended untold while the main ran, and was started again."""
    (its,) = job.tries if len(job.tries) == 1 else (None,)
    if its is None or not its.sidecars or not its.mains or its.mains[0].created is None:
        raise Unjudgeable(f"Job {job.name} had {len(job.tries)} pods, and none to judge")
    first, *rest = its.sidecars
    ended, began = first.exited_latest, its.mains[0].created.ns
    over = its.mains[0].exited_latest
    if not first.exited or not first.exited.status or first.stops or ended is None:
        raise Unjudgeable(f"the sidecar of Job {job.name} did not crash")
    if ended < began or (over is not None and over < ended):
        raise Unjudgeable(f"the sidecar of Job {job.name} did not crash beside its main")
    if not any(life.created for life in rest):
        raise Unjudgeable(f"the sidecar of Job {job.name} was not started again after its crash")


def _crashes(job: Job) -> list[Evidence]:
    return [
        Evidence(
            File.RUNTIME,
            life.exited.number,
            ns=life.exited_latest,
            text=f"{one.name}: {life.name} crashed with {life.exited.status}",
        )
        for one in job.tries
        for life in one.sidecars[:1]
        if life.exited
    ]


def _restarts(one: batch.Try, ns: int) -> dict[str, int]:
    """Restart counts of a pod's containers, as last seen before a moment."""
    status = one.at(ns).get("status", {})
    return {
        each["name"]: each["restartCount"]
        for group in ("initContainerStatuses", "containerStatuses")
        for each in status.get(group) or ()
    }

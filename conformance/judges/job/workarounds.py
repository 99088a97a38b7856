"""job.workarounds: what the old ways to end a classic sidecar achieve, and what they cost."""

from __future__ import annotations

from conformance.evidence.attempts import OK, Attempt, attempts
from conformance.evidence.bundle import Bundle, stamps_file
from conformance.evidence.packets.tokens import find
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Life
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, JobName, Kind, Role, Stamp, Step
from conformance.judges import jobs as batch
from conformance.judges.jobs import Job
from conformance.judges.ruling import broken, holds
from conformance.model import NS, Evidence, Finding, Value

WAYS = ("quit", "marker", "kill")


def completes(bundle: Bundle) -> Finding:
    """To hold: each Job whose main ended its sidecar completes by itself, and that sidecar ended
    at the main's word and not before.

    To be broken: one of them is held by its sidecar all the same, or fails. Measured besides: what
    became of what the mains sent after it, and of a Job whose main crashed before it came to it.
    """
    read = batch.read(bundle)
    submitted = {line.get("job") for line in batch.steps(bundle, Step.JOB_CREATE)}
    jobs = [batch.job_of(read, way) for way in WAYS if way in read or way in submitted]
    if not jobs:
        raise Unjudgeable("no Job with a workaround was seen")
    measured: dict[str, dict[str, Value]] = {}
    evidence: list[Evidence] = []
    said: list[str] = []
    for job in jobs:
        begin = _begin(bundle, job)
        if batch.ended_alone(bundle, job) is None:
            held = batch.held(bundle, job)
            return broken(
                "never-completes",
                f"The Job was still active {held.seconds:.1f} s after its main's exit, although "
                f"that had done all that {job.name} takes.",
                evidence=held.evidence,
            )
        main, sidecar = _ends(job, begin)
        end = job.ended("Complete")
        if end is None:
            return broken(
                "failed-by-sidecar",
                f"The Job failed, although its main ended with 0: {job.name} ended the sidecar "
                f"with {sidecar.exited.status if sidecar.exited else None}.",
                evidence=(*batch.exits_of(job), *_exit_of(sidecar)),
            )
        assert main.exited_latest is not None
        assert sidecar.exited_latest is not None
        cost = _cost(bundle, job)
        alone = max(0.0, (main.exited_latest - sidecar.exited_latest) / NS)
        measured[job.name] = {
            "complete_after_seconds": round((end.ns - main.exited_latest) / NS, 3),
            "main_alone_seconds": round(alone, 3),
            **cost,
        }
        told = f", {cost['late_lost']} of {cost['late_requests']} late requests lost"
        told += f" and {cost['late_leaked']} in clear"
        said.append(f"{job.name} ({alone:.1f} s alone{told if cost['late_requests'] else ''})")
        evidence += (begin, *batch.exits_of(job), *_exit_of(sidecar), job.line(end, "Complete"))
    crashed, words, proof = _crashed(bundle, batch.job_of(read, JobName.CRASH))
    return holds(
        f"These completed a classic Job: {', '.join(said)}. A main that crashed before: {words}.",
        {**measured, JobName.CRASH: crashed},
        (*evidence, *proof),
    )


def _begin(bundle: Bundle, job: Job) -> Evidence:
    """When its main set about its workaround."""
    file = stamps_file(job.tries[0].name, Container.APP)
    if bundle.has(file):
        for line in bundle.stamps(job.tries[0].name, Container.APP):
            if line.event != Stamp.WORKAROUND_BEGIN:
                continue
            where = Evidence(file, line.number, ns=line.ns, text=f"{job.name}: {line['how']}")
            if line["how"] != job.name:
                raise Unjudgeable(
                    f"the main of Job {job.name} set about another one: {line['how']}",
                    evidence=(where,),
                )
            return where
    raise Unjudgeable(f"the main of Job {job.name} never came to its workaround")


def _ends(job: Job, begin: Evidence) -> tuple[Life, Life]:
    """The lives of its main and its sidecar; the sidecar ended untold by the kubelet, at the word
    of the main."""
    (its,) = job.tries if len(job.tries) == 1 else (None,)
    if its is None or its.codes != [0] or len(its.sidecars) != 1:
        raise Unjudgeable(f"Job {job.name} had no single pod whose main ended with 0")
    main, sidecar = its.exits[0], its.sidecars[0]
    gone = sidecar.exited_latest
    if gone is None or gone < (begin.ns or 0):
        raise Unjudgeable(
            f"the sidecar of Job {job.name} had ended before the main set about its workaround",
            evidence=_exit_of(sidecar),
        )
    if any(stop.ns < gone for stop in sidecar.stops):
        raise Unjudgeable(f"the sidecar of Job {job.name} was told to stop by the kubelet")
    return main, sidecar


def _cost(bundle: Bundle, job: Job) -> dict[str, Value]:
    """What became of what its main sent after its workaround."""
    late = [
        one for one in attempts(bundle, job.tries[0].name, Container.APP) if one.kind == Kind.LATE
    ]
    to_peer = [one for one in late if not _of_witness(bundle, one)]
    heard = _heard(bundle)
    return {
        "late_requests": len(to_peer),
        "late_lost": sum(one.outcome != OK for one in to_peer),
        # To the witness nothing ever succeeds: what it heard in clear went past the mesh.
        "late_leaked": sum(one.token in heard for one in late),
    }


def _of_witness(bundle: Bundle, one: Attempt) -> bool:
    return one.target.endswith(f":{bundle.index.ports['witness_mesh']}")


def _heard(bundle: Bundle) -> set[str]:
    """The tokens that reached the listener outside the mesh in clear."""
    if not bundle.has(stamps_file(Role.WITNESS, "witness")):
        return set()
    lines = bundle.stamps(Role.WITNESS, "witness")
    first = (bytes.fromhex(line["first_bytes"]) for line in lines if _is_connection(line))
    return {token.text for data in first for token in find(data)}


def _is_connection(line: Line) -> bool:
    return line.event == Stamp.WITNESS_CONNECTION and bool(line.get("first_bytes"))


def _crashed(bundle: Bundle, job: Job) -> tuple[dict[str, Value], str, tuple[Evidence, ...]]:
    """What became of the Job whose main never came to its workaround."""
    if not any(one.codes and one.codes[0] for one in job.tries):
        raise Unjudgeable(f"the main of Job {job.name} did not crash")
    end = batch.ended_alone(bundle, job)
    if end is not None:
        ended = (job.line(end, "ended"), *batch.exits_of(job))
        return {"never_ends": False}, "its Job ended by itself", ended
    held = batch.held(bundle, job)
    said = (
        f"its Job was still active {held.seconds:.1f} s later, until its sidecar was told to quit"
    )
    return {"never_ends": True, "held_seconds": round(held.seconds, 3)}, said, held.evidence


def _exit_of(life: Life) -> tuple[Evidence, ...]:
    return (life.exit_evidence(),) if life.exited else ()

"""Jobs as a bundle shows them: their conditions, their pods, and what each pod's containers did.

What a Job waits for is proven by its cause: the Job is active at the bound, its pod's main exited
long before, the sidecar runs and nobody has signalled it; and the Job moves on when the sidecar is
told to quit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Life, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Step
from conformance.judges.premise import pattern_of
from conformance.judges.sources import at_step, in_watch
from conformance.judges.sources import versions as versions_of
from conformance.model import NS, Evidence

Object = Mapping[str, Any]
_ENDS = ("Complete", "Failed")
_ASKED = (
    "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "parallelism",
    "completions", "completionMode", "suspend", "template",
)  # fmt: skip


@dataclass(frozen=True)
class Try:
    """One pod of a Job: its versions as received, and the lives of its main and its sidecar."""

    name: str
    versions: Sequence[Line]
    mains: Sequence[Life]
    sidecars: Sequence[Life]

    @cached_property
    def index(self) -> str:
        """Its index in an indexed Job, or ""."""
        notes = self.versions[0]["object"]["metadata"].get("annotations") or {}
        return str(notes.get("batch.kubernetes.io/job-completion-index", ""))

    @cached_property
    def exits(self) -> Sequence[Life]:
        """The lives of its main that ended by themselves, the oldest first."""
        return [one for one in self.mains if one.exited and not _told_before_exit(one)]

    @property
    def codes(self) -> list[int]:
        """Their exit codes, as the runtime has them."""
        return [one.exited.status or 0 for one in self.exits if one.exited]

    def at(self, ns: int) -> Object:
        """The newest version that was received by then; empty before the first."""
        return _newest(self.versions, ns)


@dataclass(frozen=True)
class Job:
    """A Job: its versions as received, and its pods, the oldest first."""

    name: str
    versions: Sequence[Line]
    tries: Sequence[Try]

    @property
    def spec(self) -> Object:
        found: Object = self.versions[0]["object"]["spec"]
        return found

    def ended(self, kind: str = "") -> Line | None:
        """The first version with this condition; any of Complete and Failed by default."""
        kinds = (kind,) if kind else ("Complete", "Failed")
        return next((line for line in self.versions if _condition(line, kinds)), None)

    def condition(self, kind: str) -> Object:
        """A condition that is True, as first received; empty when there is none."""
        line = self.ended(kind)
        return (_condition(line, (kind,)) if line else None) or {}

    def why(self, kind: str) -> str:
        """The reason of a condition, or ""."""
        return str(self.condition(kind).get("reason", ""))

    def status(self, ns: int | None = None) -> Object:
        """The status in the newest version that was received by then, or in the last of all."""
        newest = self.versions[-1]["object"] if ns is None else _newest(self.versions, ns)
        found: Object = newest.get("status") or {}
        return found

    def environment(self, name: str, default: str = "") -> str:
        """A variable of its main's environment."""
        containers = self.spec["template"]["spec"]["containers"]
        none: Object = {}
        main = next((one for one in containers if one["name"] == Container.APP), none)
        found = {one["name"]: one.get("value", "") for one in main.get("env") or ()}
        return str(found.get(name, default))

    def line(self, line: Line, text: str) -> Evidence:
        """One of its versions, as evidence."""
        return in_watch(line, f"Job {self.name} {text}")


@dataclass(frozen=True)
class Held:
    """A Job that its sidecar held, from its main's exit to its next step. Times in ns."""

    job: Job
    exited: int
    bound: Line
    quit: Line
    moved: Line

    @property
    def seconds(self) -> float:
        """How long it had been held when the bound was declared."""
        return (self.bound.ns - self.exited) / NS

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return (
            *exits_of(self.job),
            at_step(self.bound, "bound"),
            at_step(self.quit, "sidecar told to quit"),
            self.job.line(self.moved, "moved on"),
        )


def read(bundle: Bundle) -> Mapping[str, Job]:
    """Every Job of a bundle by name, in order of appearance.

    Raises Unjudgeable unless every pod of every Job has its sidecar as the cell says.
    """
    jobs: dict[str, list[Line]] = {}
    pods: dict[str, list[Line]] = {}
    for line in bundle.watch():
        if line["type"] != "DELETED" and line.get("kind") in ("Job", "Pod"):
            found = jobs if line["kind"] == "Job" else pods
            found.setdefault(line["object"]["metadata"]["name"], []).append(line)
    tries: dict[str, list[Try]] = {}
    for name, versions in pods.items():
        owner = owner_of(versions[0]["object"], "Job")
        if owner:
            tries.setdefault(owner, []).append(_try(bundle, name, versions))
    for name, versions in jobs.items():
        _require_one(name, versions)
    read = {name: Job(name, versions, tries.get(name, ())) for name, versions in jobs.items()}
    for job in read.values():
        _require_end_after_mains(job)
    return read


def _require_end_after_mains(job: Job) -> None:
    """Raises Unjudgeable when a Job had ended and no main of it had exited by then, or when it is
    Complete and all of its mains failed."""
    line = job.ended()
    ends = [ns for one in job.tries for life in one.exits if (ns := life.exited_latest)]
    if line is None or not ends or job.why("Failed") == "DeadlineExceeded":
        return
    kind = "Complete" if job.ended("Complete") else "Failed"
    evidence = (job.line(line, kind), *exits_of(job))
    if line.ns < min(ends):
        raise Unjudgeable(f"Job {job.name} was {kind} before its main had exited", None, evidence)
    if kind == "Complete" and not any(one.codes[-1:] == [0] for one in job.tries):
        raise Unjudgeable(f"Job {job.name} is Complete, and no main ended with 0", None, evidence)


def of_subject(bundle: Bundle) -> Sequence[Line]:
    """The versions of the Job that made the pod under test. Raises Unjudgeable."""
    pod = next(versions_of(bundle))
    name = owner_of(pod["object"], "Job")
    found = [
        line
        for line in bundle.watch()
        if line["type"] != "DELETED"
        and line.get("kind") == "Job"
        and line["object"]["metadata"]["name"] == name
    ]
    if not found:
        raise Unjudgeable(f"the Job {name or 'of the pod'} is not in watch.jsonl")
    _require_one(name, found)
    return found


def _require_one(name: str, found: Sequence[Line]) -> None:
    """Raises Unjudgeable unless all versions are of one Job, which came to one end and stayed
    there, and of which the same was always asked."""
    if len({line["object"]["metadata"].get("uid") for line in found}) > 1:
        raise Unjudgeable(f"there were several Jobs of the name {name}: which is judged?")
    ends = [{kind for kind in _ENDS if _condition(line, (kind,))} for line in found]
    if len(set().union(*ends)) > 1:
        raise Unjudgeable(
            f"Job {name} is said to be Complete and Failed", evidence=(in_watch(found[-1]),)
        )
    if any(before and not after for before, after in pairwise(ends)):
        raise Unjudgeable(f"Job {name} had ended, and then had not")
    asked = [[line["object"]["spec"].get(key) for key in _ASKED] for line in found]
    if any(one != asked[0] for one in asked):
        raise Unjudgeable(f"what is asked of Job {name} was changed on its way")


def job_of(jobs: Mapping[str, Job], name: str) -> Job:
    """One of the Jobs. Raises Unjudgeable when it or its pods were never seen."""
    if name not in jobs or not jobs[name].tries:
        raise Unjudgeable(f"Job {name} and a pod of it are not in watch.jsonl")
    return jobs[name]


def require_policy(job: Job, policy: str) -> None:
    """Raises Unjudgeable unless the pods of a Job have this restartPolicy."""
    if job.spec["template"]["spec"].get("restartPolicy") != policy:
        raise Unjudgeable(f"Job {job.name} is not under {policy}")


def owner_of(thing: Object, kind: str) -> str:
    """The name of an object's owner of this kind, or ""."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return next((str(one["name"]) for one in owners if one["kind"] == kind), "")


def steps(bundle: Bundle, name: str, **fields: object) -> Iterator[Line]:
    """The scenario's steps of a name, with these fields."""
    for line in bundle.steps():
        if line.event == name and all(line.get(key) == value for key, value in fields.items()):
            yield line


def quit_asked(bundle: Bundle, job: Job) -> Line | None:
    """When a sidecar of the Job was first told to quit that the kubelet had not ended before."""
    pods = {one.name: one for one in job.tries}
    for line in steps(bundle, Step.SIDECAR_QUIT_ASKED):
        if line["pod"] in pods and not _ended_by_kubelet(pods[line["pod"]], line.ns):
            return line
    return None


def ended_alone(bundle: Bundle, job: Job) -> Line | None:
    """The version in which the Job has ended, without any of its sidecars told to quit before."""
    line, asked = job.ended(), quit_asked(bundle, job)
    return line if line and (asked is None or line.ns < asked.ns) else None


def require_beside(job: Job) -> None:
    """Raises Unjudgeable unless each exit of a main was one beside a running sidecar, which ended
    because the kubelet told it to.

    A Job whose sidecar had gone first, or went by itself, has nothing to wait for.
    """
    for one in job.tries:
        for life in one.exits:
            began, ended = life.created, life.exited_latest
            assert ended is not None
            if began is None or not any(_covers(side, began.ns, ended) for side in one.sidecars):
                raise Unjudgeable(
                    f"no sidecar ran beside the main of pod {one.name} up to its exit",
                    evidence=exits_of(job),
                )
        for side in one.sidecars[-1:]:
            if side.exited and not _told_before_exit(side):
                raise Unjudgeable(
                    f"the sidecar of pod {one.name} ended by itself: it may be why the pod did",
                    evidence=exits_of(job),
                )


def held(bundle: Bundle, job: Job) -> Held:
    """The proof that a Job's sidecars held it. Raises Unjudgeable where something is lacking."""
    its = next(
        (s for s in steps(bundle, Step.JOB_BOUND) if job.name in (s.get("jobs") or ())), None
    )
    asked = quit_asked(bundle, job)
    if its is None or asked is None:
        raise Unjudgeable(
            f"Job {job.name} did not end, and its bound was not reached either: the scenario did "
            "not come to its end"
        )
    status = job.status(its.ns)
    if not status.get("active") or status.get("failed") or status.get("succeeded"):
        raise Unjudgeable(f"the watch does not show all of Job {job.name} active at the bound")
    exits = [_held_since(one, its, asked) for one in job.tries if one.at(its.ns)]
    if not exits:
        raise Unjudgeable(f"no pod of Job {job.name} is in the watch by the bound")
    least = bundle.index.job_bound_seconds * 0.9
    if (its.ns - max(exits)) / NS < least:
        raise Unjudgeable(f"the bound of Job {job.name} was declared too early")
    moved = next((line for line in job.versions if line.ns > asked.ns and _moved(line)), None)
    if moved is None:
        raise Unjudgeable(
            f"Job {job.name} did not move on when its sidecar was told to quit: the cause is not "
            "proven"
        )
    return Held(job, max(exits), its, asked, moved)


def exits_of(job: Job) -> tuple[Evidence, ...]:
    """The exits of its mains, as evidence."""
    return tuple(
        life.exit_evidence(one.name) for one in job.tries for life in one.exits if life.exited
    )


def _try(bundle: Bundle, name: str, versions: Sequence[Line]) -> Try:
    spec = versions[0]["object"]["spec"]
    for sidecar in bundle.index.sidecars:
        seen = pattern_of(spec, sidecar)
        if seen != bundle.index.cell.pattern:
            raise Unjudgeable(
                f"sidecar never injected as {bundle.index.cell.pattern}: {sidecar} is {seen} in "
                f"pod {name}",
                evidence=(in_watch(versions[0]),),
            )
    pod = bundle.index.pods.get(name)
    found = lives(bundle, pod) if pod else {}
    sidecar = bundle.index.sidecars[-1]
    return Try(name, versions, found.get(Container.APP, ()), found.get(sidecar, ()))


def _held_since(one: Try, bound: Line, asked: Line) -> int:
    """When the main of a pod exited whose sidecar ran on, untold, until it was told to quit."""
    phase = one.at(bound.ns).get("status", {}).get("phase")
    if phase != "Running" or not one.exits:
        raise Unjudgeable(
            f"pod {one.name} was {phase} at the bound, with {len(one.exits)} exits of its main"
        )
    exited = one.exits[-1].exited_latest
    assert exited is not None
    sidecar = one.sidecars[-1] if one.sidecars else None
    if sidecar is None or not sidecar.created or sidecar.created.ns > bound.ns:
        raise Unjudgeable(f"no sidecar ran in pod {one.name} at the bound")
    gone = sidecar.exited_latest
    if gone is None:
        raise Unjudgeable(f"the sidecar of pod {one.name} did not end when it was told to quit")
    if gone <= asked.ns:
        raise Unjudgeable(
            f"the sidecar of pod {one.name} had ended by itself: it is not what was waited for"
        )
    if any(stop.ns < asked.ns for stop in sidecar.stops):
        raise Unjudgeable(
            f"the kubelet had told the sidecar of pod {one.name} to stop: the Job was slow, and "
            "not held"
        )
    return exited


def _told_before_exit(life: Life) -> bool:
    exited = life.exited_latest
    return exited is not None and any(stop.ns < exited for stop in life.stops)


def _ended_by_kubelet(one: Try, before: int) -> bool:
    its = one.sidecars[-1] if one.sidecars else None
    gone = its.exited_latest if its else None
    return its is not None and gone is not None and gone < before and _told_before_exit(its)


def _covers(life: Life, begin: int, end: int) -> bool:
    if life.created is None or life.created.ns > begin:
        return False
    return life.exited_latest is None or life.exited_latest > end


def _moved(line: Line) -> bool:
    status = line["object"].get("status") or {}
    return bool(status.get("failed") or status.get("succeeded") or _condition(line, ("Complete",)))


def _condition(line: Line, kinds: Sequence[str]) -> Object | None:
    for one in (line["object"].get("status") or {}).get("conditions") or ():
        if one["type"] in kinds and one["status"] == "True":
            found: Object = one
            return found
    return None


def _newest(versions: Sequence[Line], ns: int) -> Object:
    found: Object = {}
    for line in versions:
        if line.ns <= ns:
            found = line["object"]
    return found

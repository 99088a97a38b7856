"""Jobs and CronJobs with sidecars."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.audit import patch
from conformance.audit.document import mapping, mappings
from conformance.audit.rule import Hit, Rule, rule
from conformance.audit.rules.pattern import world_can
from conformance.audit.subject import Subject
from conformance.audit.world import World

# What a main does to end its classic sidecar: it completes the Job, unless the main crashes first.
_WORKAROUND = re.compile(
    r"quitquitquit|linkerd-await|\bscuttle\b|/v1\.0/shutdown|pilot-agent|:4191/shutdown"
    r"|\b(?:pkill|killall)\b|\btouch\s+/\S+"
)
DEADLINE = 3600  # seconds: only the owner knows how long a run may take


@rule(
    Rule(
        id="job-with-a-classic-sidecar",
        title="A Job's classic sidecar keeps it from completing",
        level="error",
        behaviour="job.completes",
        see="kubectl get pods -l job-name=JOB: the pod is NotReady (1/2) long after its main "
        "container's Completed.",
        repair="Make the sidecar native: the Job then completes with its main container.",
    )
)
def never_completes(subject: Subject, world: World) -> Iterator[Hit]:
    """Also where the main has a workaround: it fails with the main, and is said to."""
    if not subject.is_job or not world_can(world):
        return
    main = " ".join(one.words for one in subject.apps)
    around = _WORKAROUND.search(main)
    forbids = mapping(subject.document.content.get("spec")).get("concurrencyPolicy") == "Forbid"
    for one in subject.classics:
        undone = "livenessProbe" in one.spec and subject.spec.get("restartPolicy") != "Never"
        if around and undone:
            message = (
                f"The main ends {one.name} ({around[0].strip()}), and its livenessProbe has it "
                "started again: the Job stays active."
            )
        elif around:
            message = (
                f"The main ends {one.name} itself ({around[0].strip()}): a main that crashes "
                "before that leaves the Job active for ever."
            )
        else:
            message = (
                f"{one.name} goes on when the main has ended, and the Job stays active, unless the "
                "main ends it in its own code"
                + (": the CronJob, which forbids concurrent runs, then never ticks again" * forbids)
                + "."
            )
        yield Hit(
            one.path,
            message,
            one.name,
            patch.native(subject, one),
            "job.workarounds" if around else "job.cronjob" if forbids else "",
            "warning" if around and not undone else None,
        )


@rule(
    Rule(
        id="job-asks-for-a-classic-sidecar",
        title="A Job asks an injector for a sidecar that keeps it from completing",
        level="error",
        behaviour="job.completes",
        see="kubectl get pods -l job-name=JOB: the pod is NotReady (1/2) long after its main "
        "container's Completed.",
        repair="Ask for the native pattern, for the init container alone (Vault: "
        "agent-pre-populate-only), or for no sidecar.",
    )
)
def asks_for_classic(subject: Subject, world: World) -> Iterator[Hit]:
    """Injectors that know no other pattern, and those that are asked for it in so many words."""
    if not subject.is_job or subject.owner[0] or not world_can(world):
        return
    main = " ".join(one.words for one in subject.apps)
    for injector in subject.asked:
        marked = [
            name
            for classic in injector.classic
            for name, value in classic.items()
            if subject.marks.get(name) == value
        ]
        if not (marked or injector.classic_only) or _WORKAROUND.search(main):
            continue
        asked = marked[0] if marked else next(name for name in injector.asks)
        mended = injector.once if injector.classic_only else {asked: "true"}
        yield Hit(
            (*subject.path, "metadata", "annotations", asked),
            f"{asked}: {subject.marks.get(asked)!r} brings a classic {injector.sidecar} sidecar, "
            "which goes on when the main has ended, unless the main ends it in its own code.",
            patch=patch.annotated(subject, mended) if mended else None,
            level=None if marked else "warning",
        )


@rule(
    Rule(
        id="job-without-a-deadline",
        title="A Job with a sidecar has no activeDeadlineSeconds",
        level="warning",
        behaviour="job.deadline",
        see="kubectl get pods -l job-name=JOB shows Init:0/1 for as long as the mesh is down.",
        repair="Set activeDeadlineSeconds, which fails the Job, and ttlSecondsAfterFinished, which "
        f"removes it. {DEADLINE} s in the patch is a guess: take the longest run that you accept.",
    )
)
def no_deadline(subject: Subject, world: World) -> Iterator[Hit]:
    """With the mesh down its pods wait in init, for ever."""
    del world
    if not subject.job or not subject.has_sidecar:
        return
    if subject.job.get("activeDeadlineSeconds") or subject.spec.get("activeDeadlineSeconds"):
        return
    path = (*subject.job_path, "activeDeadlineSeconds")
    mended = patch.put(subject.document, path, DEADLINE)
    yield Hit(
        subject.job_path,
        "Nothing ends this Job when its sidecar never becomes ready.",
        patch=None if subject.owner[0] else mended,
    )


@rule(
    Rule(
        id="sidecar-restarts-fail-the-job",
        title="Under OnFailure the restarts of a native sidecar count against backoffLimit",
        level="note",
        behaviour="job.sidecar-restarts",
        see="kubectl describe job JOB says BackoffLimitExceeded while restartCount of the sidecar "
        "grows and the main did not fail.",
        repair="Use restartPolicy: Never, or a backoffLimit that bears the sidecar's restarts.",
    )
)
def restarts_count(subject: Subject, world: World) -> Iterator[Hit]:
    """On every minor up to now: the Job controller counts the restarts of all containers."""
    del world
    if not subject.job or subject.spec.get("restartPolicy") != "OnFailure":
        return
    path = (*subject.spec_path, "restartPolicy")
    for one in subject.natives:
        yield Hit(
            path,
            f"Each restart of {one.name} is taken for a failure of the Job.",
            one.name,
            patch.owned(subject, patch.put(subject.document, path, "Never")),
        )


@rule(
    Rule(
        id="failure-policy-for-every-container",
        title="A podFailurePolicy names no container: a sidecar's exit code can match it",
        level="note",
        behaviour="stop.exit-code",
        see="kubectl get job JOB -o jsonpath='{.status.conditions}' names the rule that failed it.",
        repair="Name the main container in onExitCodes.containerName.",
    )
)
def failure_policy(subject: Subject, world: World) -> Iterator[Hit]:
    """The API: without containerName a rule applies to all containers, init containers included.
    A sidecar that is killed at the end has 137, one that does not handle SIGTERM 143."""
    del world
    rows = mapping(subject.job.get("podFailurePolicy")).get("rules")
    for place, row in mappings(rows):
        codes = mapping(row.get("onExitCodes"))
        if not codes or codes.get("containerName") or not subject.natives:
            continue
        matched = {137, 143} & set(codes.get("values") or [])
        if matched if codes.get("operator") == "In" else not matched:
            path = (*subject.job_path, "podFailurePolicy", "rules", place, "onExitCodes")
            main = (subject.apps or subject.regular)[0].name
            mended = patch.put(subject.document, (*path, "containerName"), main)
            yield Hit(
                path,
                "137 and 143, with which a sidecar may end, match this rule.",
                patch=None if subject.owner[0] else mended,
            )

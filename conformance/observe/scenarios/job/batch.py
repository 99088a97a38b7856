"""What the scenarios about Jobs share: a Job's pods and how far they are, and telling the sidecars
of blocked ones to quit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.pods import condition, running_id
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.observe.watch import Json
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture.driver import HEALTH_PORT, ask_command

# Seconds after the main's exit at which an active Job counts as blocked. The job controller
# batches its status updates by about 1 s and a native sidecar gets its own drain (1.5 s) before.
BOUND_SECONDS = 10.0
# The stamps of a scenario with one pod under test; here each pod has its own.
_SHARED = "/evidence/stamps/subject."
_OWN = "/evidence/stamps/$(SC_POD)."
_POD_NAME = {"name": "SC_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}


def one_of_many(document: Manifest) -> None:
    """Have every fixture program file its stamps under its pod's name, and start without delay:
    there are several pods, and it is not their order of start that is looked at."""
    spec = manifests.pod_of(document)["spec"]
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        environment = container.get("env") or []
        for one in list(environment):
            if one["name"] == "SC_START_DELAY":
                one["value"] = "0"
            elif one["name"] == "SC_STAMPS" and one["value"].startswith(_SHARED):
                one["value"] = one["value"].replace(_SHARED, _OWN)
                environment.insert(0, dict(_POD_NAME))


def submit(
    stage: Stage,
    job: str,
    *,
    manifest: str = "task",
    spec: Mapping[str, Any] | None = None,
    policy: str = "Never",
    main: Mapping[str, object] | None = None,
    alter: Callable[[Manifest], None] | None = None,
) -> None:
    """Create a Job from a manifest, with a sidecar.

    spec: what to set in the Job's spec. policy: its pods' restartPolicy. main: variables of its
    main's environment (fixtures/app/task.py). alter: see Stage.create.
    """

    def all_changes(document: Manifest) -> None:
        one_of_many(document)
        document["metadata"]["name"] = job
        document["spec"].update(spec or {})
        pod = manifests.pod_of(document)
        pod["spec"]["restartPolicy"] = policy
        environment = manifests.container_of(pod, APP_CONTAINER)["env"]
        environment += [{"name": name, "value": str(value)} for name, value in (main or {}).items()]
        if alter:
            alter(document)

    stage.step(Step.JOB_CREATE, job=job)
    stage.create(manifest, role="subject", alter=all_changes)


def owned_by(thing: Json, kind: str, name: str) -> bool:
    """Whether an object's owner is the one named."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return any((one["kind"], one["name"]) == (kind, name) for one in owners)


def pods_of(stage: Stage, job: str) -> list[Json]:
    """The pods that a Job has, the oldest first."""
    found = [
        pod
        for pod in stage.watch.all("Pod")
        if owned_by(pod, "Job", job) and not stage.watch.gone("Pod", pod["metadata"]["name"])
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def await_pod(stage: Stage, job: str, *, seconds: float = 60) -> str:
    """Wait for a Job's first pod; its name. Raises Stuck."""
    found: list[Json] = stage.wait(
        f"a pod of Job {job}", lambda: pods_of(stage, job), seconds=seconds, seen=lambda: "none"
    )
    return str(found[0]["metadata"]["name"])


def await_main(stage: Stage, job: str) -> None:
    """Wait until the main of a Job's first pod has exited. Raises Stuck."""
    pod = await_pod(stage, job)
    stage.wait(
        f"the exit of the main of Job {job}",
        lambda: main_exited(stage.watch.newest("Pod", pod) or {}),
        seconds=120,
        seen=lambda: stage.describe(pod),
    )


def main_exited(pod: Json) -> bool:
    """Whether the main container of a pod has ended and is not started again."""
    return any(
        one["name"] == APP_CONTAINER and "terminated" in one.get("state", {})
        for one in pod.get("status", {}).get("containerStatuses") or ()
    )


def over(pod: Json) -> bool:
    """Whether a pod has ended."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def ended(stage: Stage, job: str) -> str:
    """Complete or Failed, or "" while a Job has not ended."""
    found = stage.watch.newest("Job", job) or {}
    return next((kind for kind in ("Complete", "Failed") if condition(found, kind)), "")


@dataclass
class Holds:
    """Which Jobs are held by their sidecars, and since when."""

    stage: Stage
    since: dict[str, float] = field(default_factory=dict)  # pod → monotonic seconds

    def settled(self, jobs: Sequence[str]) -> bool:
        """Whether each Job has ended, or all that is left of it has been held for the set time."""
        waiting = [job for job in self.left(jobs) if not self._long_held(job)]
        return not waiting

    def left(self, jobs: Sequence[str]) -> list[str]:
        """The Jobs that have not ended."""
        return [job for job in jobs if not ended(self.stage, job)]

    def pods(self, jobs: Sequence[str]) -> list[Json]:
        """The pods of these Jobs that are held."""
        return [pod for job in jobs for pod in pods_of(self.stage, job) if self._held(pod)]

    def _long_held(self, job: str) -> bool:
        now = time.monotonic()
        open_ones = [pod for pod in pods_of(self.stage, job) if not over(pod)]
        for pod in open_ones:
            name = pod["metadata"]["name"]
            if self._held(pod):
                self.since.setdefault(name, now)
            else:  # its main is started once more, or its sidecar is being stopped
                self.since.pop(name, None)
        since = [self.since.get(pod["metadata"]["name"], now) for pod in open_ones]
        return bool(open_ones) and now - max(since) >= BOUND_SECONDS

    def _held(self, pod: Json) -> bool:
        """Whether a pod runs on although its main has exited, by a sidecar that nobody stops."""
        name = pod["metadata"]["name"]
        if not main_exited(pod) or pod["status"].get("phase") != "Running":
            return False
        sidecar = self.stage.sidecars(name)[-1]
        return bool(running_id(pod, sidecar)) and not self._being_stopped(name)

    def _being_stopped(self, pod: str) -> bool:
        return any(
            event.get("reason") == "Killing" and event["involvedObject"]["name"] == pod
            for event in self.stage.watch.all("Event")
        )


def await_settled(stage: Stage, jobs: Sequence[str], *, seconds: float = 120) -> list[str]:
    """Wait until each Job has ended, or has been held for the set time; the latter. Raises Stuck.

    That they are held is written down.
    """
    holds = Holds(stage)
    stage.wait(
        f"the end of {' and '.join(jobs)}, or what holds them",
        lambda: holds.settled(jobs),
        seconds=seconds,
        seen=lambda: describe(stage, jobs),
    )
    left = holds.left(jobs)
    if left:
        stage.step(Step.JOB_BOUND, jobs=left)
    return left


def describe(stage: Stage, jobs: Sequence[str]) -> str:
    """How far some Jobs are, and the pods of those that have not ended."""
    parts = []
    for job in jobs:
        pods = "; ".join(stage.describe(pod["metadata"]["name"]) for pod in pods_of(stage, job))
        parts.append(f"{job}: {ended(stage, job) or pods or 'no pod'}")
    return " | ".join(parts)


def quit_sidecars(stage: Stage, jobs: Sequence[str]) -> None:
    """Tell the last sidecar of each pod that these Jobs still have to end by itself."""
    for pod in [pod for job in jobs for pod in pods_of(stage, job) if not over(pod)]:
        name = pod["metadata"]["name"]
        sidecar = stage.sidecars(name)[-1]
        stage.step(Step.SIDECAR_QUIT_ASKED, pod=name, container=sidecar)
        try:
            answer = stage.quit(name, sidecar)
        except k8s.ApiException as error:  # it has ended meanwhile
            answer = f"{error.status}: {error.reason}"
        stage.step(Step.SIDECAR_QUIT_ANSWERED, pod=name, answer=answer[:200])


def crash_sidecar(stage: Stage, pod: str) -> None:
    """Have a plain sidecar end at once with 137, as if killed, as soon as its app runs."""
    stage.wait(
        f"the app of pod {pod}",
        lambda: any(
            one["event"] == Stamp.APP_STARTED for one in stage.stamps(f"{pod}.{APP_CONTAINER}")
        ),
        seconds=120,
        seen=lambda: stage.describe(pod),
    )
    sidecar = stage.sidecars(pod)[-1]
    stage.step(Step.SIDECAR_CRASH_ASKED, pod=pod, container=sidecar)
    stage.execute(pod, sidecar, ask_command(HEALTH_PORT, "/crash"))

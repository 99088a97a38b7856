"""The deadline scenario: the mesh is down while two Jobs are submitted, so their pods wait in init.

"Down" is a startupProbe that passes once a file is there, as a proxy's passes once its control
plane answers. One Job has a deadline and a time to live, the other has neither. When the first is
gone the mesh comes back: that the other then completes proves that nothing else held it.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import JobName, Step
from conformance.observe.scenarios.job import batch
from conformance.observe.stage import Stage
from conformance.observe.watch import Json
from conformance.sidecars.driver import Manifest

DEADLINE = 8  # seconds: activeDeadlineSeconds
TTL = 2  # seconds: ttlSecondsAfterFinished
MESH_IS_UP = Step.MESH_UP  # a file of the bundle, which every pod has as /evidence


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the unbounded Job's pod. Raises Stuck."""
    stage.without_capture()

    def waits_for_the_mesh(document: Manifest) -> None:
        probe = stage.sidecar_in(document)["startupProbe"]
        del probe["httpGet"]
        probe["exec"] = {"command": ["test", "-e", f"/evidence/{MESH_IS_UP}"]}

    batch.submit(stage, JobName.UNBOUNDED, alter=waits_for_the_mesh)
    spec = {"activeDeadlineSeconds": DEADLINE, "ttlSecondsAfterFinished": TTL}
    batch.submit(stage, JobName.BOUNDED, spec=spec, alter=waits_for_the_mesh)
    subject = batch.await_pod(stage, JobName.UNBOUNDED)
    with stage.going_on():
        _wait_out(stage)
    return subject


def _wait_out(stage: Stage) -> None:
    _await_init(stage, JobName.UNBOUNDED)
    _await_init(stage, JobName.BOUNDED)
    stage.wait(
        f"the removal of Job {JobName.BOUNDED}",
        lambda: stage.watch.gone("Job", JobName.BOUNDED),
        seconds=DEADLINE + TTL + 90,
        seen=lambda: batch.describe(stage, [JobName.BOUNDED]),
    )
    stage.step(Step.JOB_GONE, job=JobName.BOUNDED)
    (stage.bundle / MESH_IS_UP).touch()
    stage.step(Step.MESH_UP)
    stage.wait(
        f"the end of Job {JobName.UNBOUNDED}",
        lambda: batch.ended(stage, JobName.UNBOUNDED),
        seconds=60,
        seen=lambda: batch.describe(stage, [JobName.UNBOUNDED]),
    )
    stage.step(Step.JOB_ENDED, job=JobName.UNBOUNDED)


def _await_init(stage: Stage, job: str) -> None:
    stage.wait(
        f"a running sidecar that has not passed its probe, of Job {job}",
        lambda: any(_stuck_in_init(pod) for pod in batch.pods_of(stage, job)),
        seconds=60,
        seen=lambda: batch.describe(stage, [job]),
    )
    stage.step(Step.JOB_IN_INIT, job=job)


def _stuck_in_init(pod: Json) -> bool:
    return any(
        "running" in one.get("state", {}) and not one.get("started")
        for one in pod.get("status", {}).get("initContainerStatuses") or ()
    )

"""The ephemeral scenario: somebody attaches an ephemeral container to a busy pod, and forgets it.

The pod is deleted under it. It ignores its SIGTERM for a set time, which is longer than the app's
drain and the proxy's together: it talks after the proxy's end by design, not by chance.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Container, Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, delete, leak_on_purpose
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

# Seconds. Drains of 2 and at most 5 (Istio's) end far before its stay of 20 does, and that far
# before the grace period: with a hundred processes at work beside it the proxy ended after 11 s.
APP_DRAIN = 2
GRACE = 45
VISITS = 10  # answered, before the pod is deleted: more than the judge asks for


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""

    def briefly(document: Manifest) -> None:
        pod = manifests.pod_of(document)
        pod["spec"]["terminationGracePeriodSeconds"] = GRACE
        app = manifests.container_of(pod, APP_CONTAINER)
        manifests.set_variable(app, "SC_DRAIN_SECONDS", str(APP_DRAIN))

    stage.surround("witness", "peer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject", alter=briefly)
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        leak_on_purpose(stage)
        _attach(stage)
    delete(stage)
    return SUBJECT


def _attach(stage: Stage) -> None:
    """Add the ephemeral container, and wait until the mesh carries what it sends. Raises Stuck."""
    (patch,) = map(stage.fitted, stage.documents(Container.VISITOR))
    stage.core.patch_namespaced_pod_ephemeralcontainers(SUBJECT, stage.namespace, patch)
    stage.step(Step.VISITOR_ATTACHED)

    def answered() -> int:
        return sum(
            one["event"] == Stamp.REQUEST_END and one["kind"] == "visit" and one["outcome"] == "ok"
            for one in stage.stamps(f"{SUBJECT}.{Container.VISITOR}")
        )

    stage.wait(
        "answers to the ephemeral container",
        lambda: answered() >= VISITS,
        seconds=60,
        seen=lambda: f"{answered()} answers; {stage.describe(SUBJECT)}",
    )

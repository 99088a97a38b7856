"""The outdated scenario: a native pod meets a cluster that does not know the pattern.

First the pod is sent as it is. A cluster whose API server drops ``restartPolicy`` refuses the
sidecar's probes, which mean nothing to an ordinary init container; then the same pod is sent
without them, as a sidecar without a probe would be. What hangs is proven to hang for that cause:
the app starts when the sidecar is told to quit.
"""

from __future__ import annotations

import copy
from typing import Any

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage, Stuck
from conformance.sidecars import manifests

# Seconds after the sidecar runs at which an app that has not started counts as kept from starting:
# three times the sidecar's own start delay, which is all that a native pod would wait for.
BOUND_SECONDS = 10.0
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle")


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.create("services")
    return meet(stage, native_pod(stage))


def native_pod(stage: Stage) -> dict[str, Any]:
    """The pod under test with its sidecar, as it is to be sent."""
    (document,) = stage.documents("subject")
    document = manifests.with_sidecar(document, stage.driver, stage.cell, "subject")
    return manifests.place_images(document, stage.images)


def meet(stage: Stage, document: dict[str, Any]) -> str:
    """Send the pod, with its probes and without, and see what becomes of it; returns its name."""
    sidecar = sidecar_of(document)
    if not _send(stage, "as-sent", document):
        bare = copy.deepcopy(document)
        for name in _PROBES:
            sidecar_of(bare).pop(name, None)
        if not _send(stage, "without-probes", bare):
            return SUBJECT
    with stage.going_on():
        _hang(stage, sidecar["name"])
    stage.core.delete_namespaced_pod(SUBJECT, stage.namespace, grace_period_seconds=1)
    return SUBJECT


def sidecar_of(document: dict[str, Any]) -> dict[str, Any]:
    """The init container that is meant as a sidecar."""
    found: dict[str, Any] = next(
        one for one in document["spec"]["initContainers"] if one.get("restartPolicy") == "Always"
    )
    return found


def _send(stage: Stage, step: str, document: dict[str, Any]) -> bool:
    """Create the pod, and write down what was sent and what was answered."""
    sidecar = sidecar_of(document)
    sent = {"sidecar": sidecar["name"], "probes": "startupProbe" in sidecar}
    try:
        stage.core.create_namespaced_pod(stage.namespace, document)
    except k8s.ApiException as error:
        stage.step(step, **sent, status=error.status, message=str(error.body)[:600])
        return False
    stage.step(step, **sent, status=201, message="")
    return True


def _hang(stage: Stage, sidecar: str) -> None:
    def state(group: str, name: str, of: str) -> bool:
        pod = stage.watch.newest("Pod", SUBJECT) or {}
        statuses = pod.get("status", {}).get(group) or ()
        return any(one["name"] == name and of in one.get("state", {}) for one in statuses)

    def app_runs() -> bool:
        return state("containerStatuses", APP_CONTAINER, "running")

    stage.wait(
        "the running sidecar",
        lambda: state("initContainerStatuses", sidecar, "running"),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    stage.step(Step.SIDECAR_RUNNING, container=sidecar)
    try:
        stage.wait("the app", app_runs, seconds=BOUND_SECONDS, seen=lambda: "")
        stage.step(Step.APP_RUNNING)
        return
    except Stuck:
        stage.step(Step.INIT_BOUND, seen=stage.describe(SUBJECT))
    stage.step(Step.SIDECAR_QUIT_ASKED, container=sidecar)
    stage.execute(SUBJECT, sidecar, stage.driver.quit_command())
    stage.wait("the app", app_runs, seconds=60, seen=lambda: stage.describe(SUBJECT))
    stage.step(Step.APP_RUNNING)

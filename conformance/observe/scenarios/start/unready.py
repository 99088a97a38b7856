"""The unready scenario: a sidecar whose startup probe does not pass, until what it lacks is there.

Nobody waits for "never": once the kubelet has been refused several times it is written down what
the pod shows, and then the cause is taken away. An app that starts at that was kept from starting.
"""

from __future__ import annotations

from kubernetes import client as k8s

from conformance.evidence.vocabulary import File, Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.observe.watch import Json
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

REFUSALS = 3  # failed startup probes, one a second
REQUESTS = 10  # of an app that was not kept from starting


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""

    def waiting(document: Manifest) -> None:
        file = f"/evidence/{File.CONFIGURATION}"
        manifests.set_variable(stage.sidecar_in(document), "SC_WAITS_FOR", file)
        manifests.set_variable(stage.sidecar_in(document), "SC_START_DELAY", "0")

    stage.surround("witness", "peer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject", alter=waiting)
    stage.wait(
        "the third failure of the startup probe",
        lambda: refusals(stage.watch.all("Event"), SUBJECT) >= REFUSALS and _app_was_seen(stage),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    stage.kubectl("get", "pod", SUBJECT)
    _correct_in_place(stage)
    stage.step(Step.HEALED)
    stage.give(File.CONFIGURATION)
    stage.await_ready(SUBJECT)
    stage.step(Step.SUBJECT_READY)
    return SUBJECT


def refusals(events: list[Json], pod: str) -> int:
    """How many failed startup probes of a pod the kubelet has told of."""
    return sum(
        int(one.get("count") or 1)
        for one in events
        if one["involvedObject"].get("name") == pod
        and one.get("reason") == "Unhealthy"
        and one.get("message", "").startswith("Startup probe failed")
    )


def _app_was_seen(stage: Stage) -> bool:
    """Whether the app waits, or has sent enough to tell what becomes of it."""
    app = stage.containers(SUBJECT).get(APP_CONTAINER, {})
    waits = app.get("state", {}).get("waiting") or {}
    if waits.get("reason") == "PodInitializing":
        return True
    stamps = stage.stamps(f"{SUBJECT}.{APP_CONTAINER}")
    sent = sum(one["event"] == Stamp.REQUEST_END and one["kind"] == "steady" for one in stamps)
    return bool(sent >= REQUESTS)


def _correct_in_place(stage: Stage) -> None:
    """Try what is tried first where a probe is misconfigured: to correct it in the running pod."""
    sidecar = stage.sidecars(SUBJECT)[-1]
    group = "initContainers" if stage.cell.pattern == "native" else "containers"
    correction = {"name": sidecar, "startupProbe": {"failureThreshold": 120}}
    try:
        stage.core.patch_namespaced_pod(SUBJECT, stage.namespace, {"spec": {group: [correction]}})
        stage.step(Step.PROBE_CORRECTED, status=200, message="")
    except k8s.ApiException as error:
        stage.step(Step.PROBE_CORRECTED, status=error.status, message=str(error.body)[:300])

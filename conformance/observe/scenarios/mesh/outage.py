"""The outage scenario: the control plane and its injector go, pods are made meanwhile, and the
control plane comes back.

The cell has a control plane of its own. Two of its pods talk to each other through all of it. What
is made while it is down: a pod and owners of pods whose injector must not fail, a pod whose
injector may, and the pod under test, with the sidecar that the injector said in a dry run that it
would give it: as a pod whose node was restarted meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes import client as k8s
from kubernetes.utils import create_from_dict

from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.observe.pods import ROLE_LABEL, role_of
from conformance.observe.scenarios.lifecycle import SUBJECT, await_steady
from conformance.observe.stage import APP_CONTAINER, Stage, Stuck
from conformance.observe.watch import Json
from conformance.sidecars import dry_run, manifests
from conformance.sidecars.driver import Manifest, OwnsPlane

# What must have been answered before anything happens, and again at the end.
STEADY = {("running.app", "steady", "ok"): 20, ("peer.app", "quick", "ok"): 20}
BACK = {("subject.app", "steady", "ok"): 10}
PROBES = 3  # startup probes that fail before a pod counts as one that waits
HOOK_FAILED = "FailedPostStartHook"  # the kubelet's word for it
HOOK_SECONDS = 240  # a hook that waits for its proxy gives up after some 2 min
_SHELTERED = ("ReplicaSet", "Job")  # owners whose pods must not be made without a sidecar


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    driver, name = stage.driver, f"{stage.cell.scenario}-{stage.cell.pattern}"
    if not isinstance(driver, OwnsPlane):
        raise Stuck(f"{stage.cell.sidecar} has no control plane that a cell could have for itself")
    plane = driver.bring_plane(stage.handle, stage.client, name)
    stage.afterwards.callback(driver.remove_plane, stage.client, plane)
    stage.create("services")
    for name in ("peer", Role.RUNNING):
        stage.core.create_namespaced_pod(stage.namespace, _pod(stage, driver, plane, name))
    for name in ("peer", Role.RUNNING):
        stage.await_ready(name)
    stage.step(Step.RUNNING_READY)
    await_steady(stage, STEADY, since=Step.RUNNING_READY)
    planned = driver.past_the_injector(
        stage.create_pod(_pod(stage, driver, plane, SUBJECT), dry_run=True)
    )

    stage.step(Step.PLANE_DOWN_ASKED)
    driver.plane_down(stage.client, plane)
    stage.step(Step.PLANE_DOWN)
    _create_sheltered(stage, driver, plane)
    _create_naked(stage, driver, plane)
    stage.step(Step.SUBJECT_CREATE)
    stage.core.create_namespaced_pod(stage.namespace, planned)
    driver.on_injector_failure(stage.client, plane, "Fail")
    _await_waiting(stage, driver, planned)
    made_by = {role_of(pod): driver.control_plane_of(pod) for pod in stage.watch.all("Pod")}
    stage.step(Step.CONTROL_PLANES, wanted=plane, **made_by)
    await_steady(stage, STEADY, since=Step.PLANE_DOWN)

    stage.step(Step.PLANE_UP_ASKED)
    driver.plane_up(stage.client, plane)
    stage.step(Step.PLANE_UP)
    stage.await_ready(SUBJECT, seconds=240)
    stage.step(Step.SUBJECT_READY)
    await_steady(stage, {**STEADY, **BACK}, since=Step.PLANE_UP)
    return SUBJECT


def _pod(stage: Stage, driver: OwnsPlane, plane: str, name: str) -> Manifest:
    """A manifest's pod, to be injected by the cell's own control plane."""
    (document,) = stage.documents(name)
    return _injected(stage, driver, plane, document)


def _injected(stage: Stage, driver: OwnsPlane, plane: str, document: Manifest) -> Manifest:
    """The document with its pod marked. All but the peer get the cell's pattern."""
    document = copy.deepcopy(document)
    pod = manifests.pod_of(document)
    role = "peer" if pod["metadata"]["labels"][ROLE_LABEL] == "peer" else SUBJECT
    pod.update(driver.inject_by(plane, pod, stage.cell, role))
    return manifests.place_images(document, stage.images)


def _create_sheltered(stage: Stage, driver: OwnsPlane, plane: str) -> None:
    """Pods that must have a sidecar, made while nobody can give them one."""
    stage.step(Step.SHELTERED_CREATE)
    refused = _pod(stage, driver, plane, "naked")
    refused["metadata"]["name"] = "refused"
    stage.step(Step.POD_CREATED, pod="refused", **_answer(stage, refused))
    for document in stage.documents("owners"):
        create_from_dict(
            stage.client,
            _injected(stage, driver, plane, document),
            namespace=stage.namespace,
        )

    def told() -> set[str]:
        return {
            event["involvedObject"]["kind"]
            for event in stage.watch.all("Event")
            if event["reason"] == "FailedCreate"
        }

    stage.wait(
        f"the word of {' and '.join(_SHELTERED)} that no pod could be made",
        lambda: told() >= set(_SHELTERED),
        seconds=60,
        seen=lambda: ", ".join(sorted(told())) or "nothing",
    )
    apps, batch = k8s.AppsV1Api(stage.client), k8s.BatchV1Api(stage.client)
    apps.delete_namespaced_replica_set("sheltered", stage.namespace)
    batch.delete_namespaced_job("sheltered", stage.namespace, propagation_policy="Background")
    stage.step(Step.SHELTERED_DELETED)


def _create_naked(stage: Stage, driver: OwnsPlane, plane: str) -> None:
    """A pod that asks for a sidecar, where the injector's failure is ignored, as it is then for the
    pod under test."""
    driver.on_injector_failure(stage.client, plane, "Ignore")
    naked = _pod(stage, driver, plane, "naked")

    def created() -> Mapping[str, Any] | None:  # the API server learns the policy a little later
        answer = _answer(stage, naked)
        return answer if answer["status"] == 201 else None

    answer = stage.wait(
        "a pod whose injector may fail", created, seconds=30, seen=lambda: "it was refused"
    )
    stage.step(Step.POD_CREATED, pod="naked", **answer)
    pod = stage.wait(
        "the naked pod in the watch",
        lambda: stage.watch.newest("Pod", "naked"),
        seconds=10,
        seen=lambda: "nothing",
    )
    admitted = stage.driver.admitted(pod, stage.cell)
    stage.step(Step.NAKED_ADMITTED, pattern=admitted.pattern, why=admitted.why)


def _answer(stage: Stage, pod: Manifest) -> Mapping[str, Any]:
    """What the API server says to a new pod: HTTP status, and why."""
    try:
        stage.core.create_namespaced_pod(stage.namespace, pod)
    except k8s.ApiException as error:
        return {"status": error.status, "message": dry_run.said_by(error)[:1000]}
    return {"status": 201, "message": ""}


def _await_waiting(stage: Stage, driver: OwnsPlane, planned: Manifest) -> None:
    """Until the new pod's sidecar has failed its startup probe a few times, and says why; or, where
    a hook of it keeps the app from starting, until the hook has given up and the app has tried."""

    def events(reason: str) -> Iterator[Json]:
        for event in stage.watch.all("Event"):
            if event["involvedObject"]["name"] == SUBJECT and event["reason"] == reason:
                yield event

    def failed() -> int:
        return sum(
            int(event.get("count") or 1)
            for event in events("Unhealthy")
            if event["message"].startswith("Startup probe failed")
        )

    def output() -> str:
        (sidecar,) = stage.sidecars(SUBJECT)
        log = stage.bundle / "logs" / f"{SUBJECT}.{sidecar}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def tried() -> int:
        stamps = stage.stamps(f"{SUBJECT}.{APP_CONTAINER}")
        return sum(stamp["event"] == Stamp.REQUEST_END for stamp in stamps)

    hooks = any(
        "postStart" in (one.get("lifecycle") or {}) for one in planned["spec"]["containers"]
    )

    def waited() -> bool:
        if hooks:
            return bool(list(events(HOOK_FAILED))) and tried() >= PROBES
        return failed() >= PROBES and driver.misses_plane(output())

    stage.wait(
        "a sidecar of the new pod that is not ready, and misses its control plane",
        waited,
        seconds=HOOK_SECONDS if hooks else 60,
        seen=lambda: f"{failed()} of {PROBES} probes; {stage.describe(SUBJECT)}",
    )
    stage.step(Step.SUBJECT_WAITS, probes=failed())

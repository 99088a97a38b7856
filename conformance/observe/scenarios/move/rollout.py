"""The rollout scenario: a Deployment is moved from the other pattern to the cell's, under load.

The pod that goes has the role "former", the one that comes is the pod under test. Both are made by
the Deployment's own rolling update; the scenario only changes the pod template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Role, Step
from conformance.observe import workloads
from conformance.observe.pods import condition, role_of
from conformance.observe.scenarios.lifecycle import SUBJECT, await_steady, leak_on_purpose
from conformance.observe.stage import Stage
from conformance.observe.watch import Json
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

DEPLOYMENT = "subject"
# What must have been answered before the move, and again after it.
STEADY = {("peer.app", "quick", "ok"): 20, ("peer.app", "inflight", "ok"): 1}
OWN = 20  # of the pod's own


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the new pod. Raises Stuck."""
    (document,) = stage.documents("subject")
    other = replace(stage.cell, pattern="classic" if stage.cell.pattern == "native" else "native")
    before = manifests.with_sidecar(document, stage.driver, other, SUBJECT)
    after = manifests.with_sidecar(document, stage.driver, stage.cell, SUBJECT)
    return move(stage, before, lambda: after)


def move(stage: Stage, before: Manifest, after: Callable[[], Manifest]) -> str:
    """Have a Deployment, and a ready pod of it under load; change its template to that of
    ``after()``; see the former pod end and the new one at work. Returns the new pod's name."""
    apps = k8s.AppsV1Api(stage.client)
    stage.surround("witness", "peer")

    stage.step(Step.FORMER_CREATE)
    apps.create_namespaced_deployment(stage.namespace, _as_former(stage, before))
    former = _await_ready(stage, Role.FORMER)
    stage.step(Step.FORMER_READY, pod=former)
    leak_on_purpose(stage, former, Role.FORMER)
    await_steady(stage, _steady(Role.FORMER), since=Step.FORMER_READY)

    stage.step(Step.ROLLOUT_BEGIN)
    moved = stage.fitted(after())
    apps.replace_namespaced_deployment(DEPLOYMENT, stage.namespace, moved)
    subject = _await_ready(stage, SUBJECT)
    stage.step(Step.SUBJECT_READY, pod=subject)
    stage.wait(
        "the end of the former pod",
        lambda: stage.watch.gone("Pod", former) and stage.capture_ended(former),
        seconds=120,
        seen=lambda: stage.describe(former),
    )
    stage.step(Step.FORMER_GONE)
    leak_on_purpose(stage, subject)
    await_steady(stage, _steady(SUBJECT), since=Step.FORMER_GONE)
    stage.step(Step.ROLLOUT_END)
    _scale_to_nothing(stage, apps, subject)
    return subject


def _as_former(stage: Stage, document: Manifest) -> Manifest:
    """The Deployment whose pods go; what they write goes by the name of the former."""
    made = stage.fitted(document)
    template = workloads.as_role(made["spec"]["template"], Role.FORMER)
    return {**made, "spec": {**made["spec"], "template": template}}


def _await_ready(stage: Stage, role: str) -> str:
    """The name of the role's pod, as soon as it is ready."""

    def its() -> list[Json]:
        return [pod for pod in stage.watch.all("Pod") if role_of(pod) == role]

    def ready() -> Json | None:
        return next((pod for pod in its() if condition(pod, "Ready")), None)

    pod = stage.wait(
        f"a ready pod with the role {role}",
        ready,
        seconds=120,
        seen=lambda: ", ".join(stage.describe(pod["metadata"]["name"]) for pod in its()) or "none",
    )
    return str(pod["metadata"]["name"])


def _steady(role: str) -> Mapping[tuple[str, str, str], int]:
    """What must have been answered of the peer and of the pod with the role."""
    return {**STEADY, (f"{role}.app", "steady", "ok"): OWN}


def _scale_to_nothing(stage: Stage, apps: k8s.AppsV1Api, subject: str) -> None:
    """So that nobody makes new pods when the stage is struck."""
    apps.patch_namespaced_deployment_scale(DEPLOYMENT, stage.namespace, {"spec": {"replicas": 0}})

    def going() -> bool:
        pod = stage.watch.newest("Pod", subject) or {}
        return "deletionTimestamp" in pod.get("metadata", {}) or stage.watch.gone("Pod", subject)

    stage.wait(
        "the deletion of the last pod", going, seconds=60, seen=lambda: stage.describe(subject)
    )

"""The drain scenario: kubectl drains the node, of this cell's pods alone.

    subject  its app ends within the grace period that the drain leaves it
    hurried  its app wants to go on for longer
    standby  takes the place of the first of them that is gone

A disruption budget lets go one of the two at a time: kubectl is refused the other one, and asks
again until the standby is ready. That comes to the other node, where there is one; else to the same
one, for it tolerates the cordon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Role, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

GRACE = 8  # seconds; enough for the subject's drain and its sidecar's, and too little for the other
DRAINS = {SUBJECT: 4, Role.HURRIED: 20}  # seconds that the apps go on
# Both go, one after the other, and kubectl asks only every 5 s: some 30 s on a quiet machine.
PATIENCE_SECONDS = 150
_BUDGET, _DRAINED = "budget", "drained"  # labels: who is counted, and who is to go


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    departing.surround(stage)
    stage.create(_BUDGET)
    for role in DRAINS:
        departing.create(stage, role, _goes(stage, role))
    departing.await_ready(stage, *DRAINS)
    _await_budget(stage)
    node = stage.handle.node
    stage.afterwards.callback(_uncordon, stage, node)  # whatever becomes of the rest
    for role in DRAINS:
        stage.step(Step.DELETE_ASKED, pod=role, grace=GRACE, how="drain")
    with ThreadPoolExecutor(1, thread_name_prefix="drain") as beside:
        drain = beside.submit(stage.kubectl, *_drain(stage, node), seconds=PATIENCE_SECONDS + 10)
        first = _await_eviction(stage, list(DRAINS))
        departing.await_gone(stage, first)
        departing.create(stage, Role.STANDBY, _takes_a_place(stage))
        stage.await_ready(Role.STANDBY, seconds=120)
        _await_eviction(stage, [role for role in DRAINS if role != first])
        departing.await_gone(stage, *DRAINS)
        drain.result()
    stage.kubectl("uncordon", node)
    return SUBJECT


def _drain(stage: Stage, node: str) -> Sequence[str]:
    return (
        *("drain", node, f"--pod-selector={_DRAINED}={stage.namespace}"),
        *("--force", "--ignore-daemonsets", "--delete-emptydir-data"),  # they have no controller
        *(f"--grace-period={GRACE}", f"--timeout={PATIENCE_SECONDS}s"),
    )


def _goes(stage: Stage, role: str) -> Callable[[Manifest], None]:
    def alter(document: Manifest) -> None:
        document["metadata"]["labels"] |= {_BUDGET: SUBJECT, _DRAINED: stage.namespace}
        manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", str(DRAINS[role]))

    return alter


def _takes_a_place(stage: Stage) -> Callable[[Manifest], None]:
    def alter(document: Manifest) -> None:
        document["metadata"]["labels"] |= {_BUDGET: SUBJECT}
        if stage.far:
            stage.go_far(document)
        else:
            document["spec"]["tolerations"] = [
                {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
            ]

    return alter


def _await_budget(stage: Stage) -> None:
    """Until the budget has counted both: before, it lets nobody go."""
    policy = k8s.PolicyV1Api(stage.client)

    def allowed() -> int:
        found = policy.read_namespaced_pod_disruption_budget_status(SUBJECT, stage.namespace)
        return int((found.status and found.status.disruptions_allowed) or 0)

    stage.wait(
        "a budget of one disruption",
        lambda: allowed() == 1,
        seconds=60,
        seen=lambda: f"{allowed()} allowed",
        every=0.5,
    )


def _await_eviction(stage: Stage, roles: Sequence[str]) -> str:
    """Wait until one of the pods is told to end; which. Raises Stuck."""

    def told() -> str:
        for role in roles:
            pod = stage.watch.newest("Pod", role) or {}
            if "deletionTimestamp" in pod.get("metadata", {}):
                return role
        return ""

    role: str = stage.wait(
        f"the eviction of {' or '.join(roles)}",
        told,
        seconds=90,
        seen=lambda: "; ".join(f"{role}: {stage.describe(role)}" for role in roles),
    )
    stage.step(Step.DELETE_ACCEPTED, pod=role)
    return role


def _uncordon(stage: Stage, node: str) -> None:
    stage.core.patch_node(node, {"spec": {"unschedulable": None}})

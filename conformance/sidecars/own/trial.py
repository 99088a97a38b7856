"""A dry run of a pod of the user's own: what the API server refuses is said once, in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.cluster.state import base_namespace
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.model import Cell
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import dry_run
from conformance.sidecars.driver import Manifest

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

ACCOUNT_SECONDS = 60.0
"""A young cluster makes a namespace's account a moment after it; a pod is refused until then."""


def trial_namespace(cluster: ClusterHandle) -> str:
    """Where pods are tried: on a cluster of others, in the run's own namespace."""
    return base_namespace(cluster.label) if cluster.label else "default"


def require_taken(client: Any, pod: Manifest, cell: Cell) -> Manifest:
    """The pod as it would be made in its namespace. Raises EnvironmentProblem when the API server
    would not take it.

    cell: whose pod it is.
    """
    namespace = pod["metadata"]["namespace"]
    refused = ""
    made: Manifest = {}

    def taken() -> bool:
        nonlocal refused, made
        try:
            refused, made = "", dry_run.admitted(client, namespace, pod)
        except k8s.ApiException as error:
            refused = dry_run.said_by(error)
            return "serviceaccount" not in refused.lower()
        return True

    waiting.within(ACCOUNT_SECONDS, taken)
    if refused:
        raise EnvironmentProblem(
            f"The API server refuses a {cell.pattern} pod with {cell.sidecar}: {refused}; correct "
            f"{REGISTRY[cell.sidecar].file}."
        )
    return made

"""A dry run of a pod of the user's own: what the API server refuses is said once, in its words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from conformance.cluster.state import base_namespace
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.model import Cell
from conformance.plan.sidecars import REGISTRY
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
    refused, made = "", ""

    def taken() -> bool:
        nonlocal refused, made
        try:
            answer = k8s.CoreV1Api(client).create_namespaced_pod(
                namespace, pod, dry_run="All", _preload_content=False
            )
        except k8s.ApiException as error:
            refused = said_by(error)
            return "serviceaccount" not in refused.lower()
        refused, made = "", answer.data
        return True

    waiting.within(ACCOUNT_SECONDS, taken)
    if refused:
        raise EnvironmentProblem(
            f"The API server refuses a {cell.pattern} pod with {cell.sidecar}: {refused}; correct "
            f"{REGISTRY[cell.sidecar].file}."
        )
    found: Manifest = json.loads(made)
    return found


def said_by(error: k8s.ApiException) -> str:
    """The API server's own words for a refusal."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return " ".join(str(error.body).split())[:300]

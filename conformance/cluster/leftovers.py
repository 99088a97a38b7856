"""What runs have on a cluster of others: namespaces with the run's label, and all that is in them.

Nothing else is made there, so that nothing is left when they are gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kubernetes import client as k8s
from urllib3.exceptions import HTTPError

from conformance.cluster.state import RUN_LABEL
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting

_LONGEST = 200  # characters of an error
_GONE_WITHIN = 180.0  # seconds: a pod in them may use its grace period


def found(client: Any, run_id: str = "") -> Mapping[str, Sequence[str]]:
    """Run → its namespaces, all of them or one run's. Raises EnvironmentProblem."""
    selector = f"{RUN_LABEL}={run_id}" if run_id else RUN_LABEL
    try:
        listed = k8s.CoreV1Api(client).list_namespace(label_selector=selector).items
    except (k8s.ApiException, HTTPError) as error:
        why = getattr(error, "reason", None) or error
        raise EnvironmentProblem(
            f"The cluster's namespaces cannot be listed: {str(why)[-_LONGEST:]}; what runs have "
            "there stays until sidecar-conformance cleanup can."
        ) from error
    runs: dict[str, list[str]] = {}
    for one in listed:
        runs.setdefault(one.metadata.labels[RUN_LABEL], []).append(one.metadata.name)
    return runs


def remove(client: Any, run_id: str) -> Sequence[str]:
    """Delete all that a run has there, and see it gone; the names of its namespaces.

    Raises EnvironmentProblem when something stays.
    """
    core = k8s.CoreV1Api(client)
    seen: dict[str, None] = {}
    seen_none = 0

    def gone() -> bool:
        """None, twice in a row: what a dying run still makes is deleted too."""
        nonlocal seen_none
        left = found(client, run_id).get(run_id, ())
        for name in left:
            if name not in seen:
                with suppress(k8s.ApiException):
                    core.delete_collection_namespaced_pod(name, grace_period_seconds=0)
                with suppress(k8s.ApiException):
                    core.delete_namespace(name, grace_period_seconds=0)
            seen[name] = None
        seen_none = 0 if left else seen_none + 1
        return seen_none >= 2

    waiting.until(
        f"the end of run {run_id}'s namespaces",
        gone,
        seconds=_GONE_WITHIN,
        every=1.0,
        seen=lambda: ", ".join(found(client, run_id).get(run_id, ())),
    )
    return list(seen)

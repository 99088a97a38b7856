"""Pods as the API server and its webhooks would make them; none is made."""

from __future__ import annotations

import json
from typing import Any

from kubernetes import client as k8s

from conformance.sidecars.driver import Manifest


def admitted(client: Any, namespace: str, pod: Manifest) -> Manifest:
    """The pod as it would be made. Raises ApiException for one that is refused."""
    told = k8s.CoreV1Api(client).create_namespaced_pod(
        namespace, pod, dry_run="All", _preload_content=False
    )
    found: Manifest = json.loads(told.data)
    return found


def bare_pod(**metadata: Any) -> Manifest:
    """A pod of one container that says nothing else. metadata: its labels, its annotations."""
    return {
        "metadata": {"name": "injected", **metadata},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    }


def said_by(error: k8s.ApiException) -> str:
    """The API server's own words for a refusal."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return " ".join(str(error.body or error.reason).split())[:300]

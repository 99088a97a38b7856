"""What a pod asks the cluster for, as Kubernetes adds its containers up."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

Spec = Mapping[str, Any]


def pod_request(spec: Spec, resource: str) -> Decimal:
    """A pod's request of a resource: its containers and sidecars together, or the largest step of
    its start, whichever is more. A step is an init container on top of the sidecars before it.

    spec: of a pod, without overhead or requests of its own. Source: KEP-753, "Resources calculation
    for scheduling and pod admission"; k8s.io/component-helpers/resource, PodRequests.
    """
    together = sum((_request(one, resource) for one in spec["containers"]), Decimal())
    sidecars = largest = Decimal()
    for one in spec.get("initContainers") or ():
        if one.get("restartPolicy") == "Always":
            sidecars += _request(one, resource)
            largest = max(largest, sidecars)
        else:
            largest = max(largest, sidecars + _request(one, resource))
    return max(together + sidecars, largest)


def _request(container: Mapping[str, Any], resource: str) -> Decimal:
    asked = (container.get("resources") or {}).get("requests") or {}
    found: Decimal = parse_quantity(asked.get(resource, 0))
    return found

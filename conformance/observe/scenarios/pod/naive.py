"""A collector as agents were before native sidecars: init containers are over when a pod runs, so
a pod's containers are those of its containerStatuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MEMORY = "container_memory_working_set_bytes"


def collect(pod: Mapping[str, Any], metrics: str) -> Mapping[str, Any]:
    """What such an agent says of a pod: its containers, their restarts, and their memory (bytes).

    metrics: the kubelet's /metrics/resource.
    """
    statuses = pod["status"]["containerStatuses"]
    names = [one["name"] for one in statuses]
    memory = 0.0
    for line in metrics.splitlines():
        match = re.match(rf'{_MEMORY}{{container="([^"]+)".*}} (\S+)', line)
        if match and match[1] in names and f'pod="{pod["metadata"]["name"]}"' in line:
            memory += float(match[2])
    restarts = sum(one["restartCount"] for one in statuses)
    return {"containers": names, "restarts": restarts, "memory_bytes": memory}

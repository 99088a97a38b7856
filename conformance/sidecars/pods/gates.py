"""By what the kubelet learns that the sidecars of a pod have started, where evidence shows it."""

from __future__ import annotations

from conformance.sidecars.own.file import port_number
from conformance.sidecars.pods.file import Workload


def gate_of(workload: Workload) -> tuple[str, int]:
    """ "http" with its port, "exec" with 0, or "" with 0 for nothing that the evidence can show.

    Of several sidecars it is the last one with a probe by HTTP: the app comes after it.
    """
    its = workload.sidecar_containers
    for container in reversed(its):
        asked = (container.get("startupProbe") or {}).get("httpGet")
        if asked and (port := port_number(container, asked["port"])):
            return "http", port
    if len(its) == 1:
        hooked = "exec" in ((its[0].get("lifecycle") or {}).get("postStart") or {})
        if "exec" in (its[0].get("startupProbe") or {}) and not hooked:
            return "exec", 0
    return "", 0

"""What a pod of the user's own counts for: its effective request, and its class."""

from __future__ import annotations

from conformance.evidence.pod_request import pod_request
from conformance.sidecars.driver import Manifest


def counts_for(pod: Manifest) -> str:
    """In words: what a quota and the scheduler count, and what the API server made of it.

    pod: as the API server would make it (a LimitRange's defaults included). That quotas and nodes
    count so is the promise of account.requests and account.node.
    """
    spec = pod["spec"]
    milli = pod_request(spec, "cpu") * 1000
    mebibytes = pod_request(spec, "memory") / 2**20
    quality = pod.get("status", {}).get("qosClass") or "of no class"
    return f"{float(milli):g}m of CPU and {float(mebibytes):g}Mi of memory, {quality}"

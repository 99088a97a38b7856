"""What every judge asks first: is this the pod that the cell is about, and was the clock sane?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import CLOCK_STEP_NS, clock_step_ns
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence

GAPS = "gaps.jsonl"


def require_premise(bundle: Bundle, *, gaps: bool = False) -> None:
    """Raises Unjudgeable unless the sidecar was injected as the cell says, the clock was steady and
    the runtime's events were watched all the time.

    The index is not taken at its word: the pod as the watch received it must say the same.
    gaps: the judge knows of gaps in the events, and goes by other evidence.
    """
    index = bundle.index
    if index.admitted != index.cell.pattern:
        raise Unjudgeable(
            f"sidecar never injected as {index.cell.pattern}: the admitted pod is "
            f"{index.admitted or 'none'} ({index.admitted_why})",
            evidence=(Evidence("cell.json", text=index.admitted_why),),
        )
    if not index.sidecars:
        raise Unjudgeable("sidecar never injected: cell.json names none")
    if index.subject not in index.pods:
        raise Unjudgeable(f"the pod under test, {index.subject}, was never seen")
    require_admitted(bundle, dict.fromkeys(index.sidecars, index.cell.pattern))
    _require_accepted(bundle)
    if not gaps:
        _require_watched(bundle)
    step = clock_step_ns(bundle)
    if step > CLOCK_STEP_NS:
        raise Unjudgeable(
            f"clock unusable: the real-time clock was moved by {step / 1e6:.1f} ms during the run"
        )


def _require_watched(bundle: Bundle) -> None:
    if not bundle.has(GAPS):
        return
    for number, text in bundle.lines(GAPS):
        gap = json.loads(text)
        raise Unjudgeable(
            f"{gap['what']} was not watched for up to {(gap['until_ns'] - gap['ns']) / 1e9:.1f} s",
            evidence=(Evidence(GAPS, line=number, ns=gap["ns"]),),
        )


def _require_accepted(bundle: Bundle) -> None:
    """No proxy refused what its control plane sent: else it is not the proxy that was asked for."""
    if not bundle.has("mesh/nacks.jsonl"):
        return
    refused = [json.loads(text) for _, text in bundle.lines("mesh/nacks.jsonl")]
    if refused:
        raise Unjudgeable(
            f"configuration refused by a proxy, {len(refused)} times: {refused[0]['text'][:200]}",
            evidence=[Evidence(one["file"], line=one["line"]) for one in refused[:10]],
        )


def require_admitted(
    bundle: Bundle, patterns: Mapping[str, str], role: str = SUBJECT_ROLE
) -> Mapping[str, Any]:
    """The spec of a pod as the API server first sent it. patterns: sidecar → classic or native.

    Raises Unjudgeable when a sidecar in it is not what it should be.
    """
    line = next(versions(bundle, role))
    spec: Mapping[str, Any] = line["object"]["spec"]
    for sidecar, wanted in patterns.items():
        seen = pattern_of(spec, sidecar)
        if seen != wanted:
            raise Unjudgeable(
                f"sidecar never injected as {wanted}: {sidecar} is {seen} in the pod that the API "
                "server sent",
                evidence=(Evidence("watch.jsonl", line=line.number, ns=line.ns),),
            )
    return spec


def versions(bundle: Bundle, role: str = SUBJECT_ROLE) -> Iterator[Line]:
    """Every version of a pod that the watch brought, at least one. Raises Unjudgeable."""
    pod, found = bundle.pod(role), False
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["uid"] == pod.uid:
            found = True
            yield line
    if not found:
        raise Unjudgeable(f"the pod {pod.name} (uid {pod.uid}) is not in watch.jsonl")


def pattern_of(spec: Mapping[str, Any], name: str) -> str:
    """Native, classic, or what else a container of a pod's spec is."""
    for one in spec.get("initContainers") or ():
        if one["name"] == name:
            always = one.get("restartPolicy") == "Always"
            return "native" if always else "an init container that must end"
    if any(one["name"] == name for one in spec.get("containers") or ()):
        return "classic"
    return "absent"

"""What every judge asks first: is this the pod that the cell is about, and was the clock sane?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import CLOCK_STEP_NS, clock_step_ns
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File
from conformance.judges.sources import in_watch, versions
from conformance.model import NS, Evidence


def require_premise(bundle: Bundle) -> None:
    """Raises Unjudgeable unless the sidecar was injected as the cell says, the clock was steady,
    and the runtime's events and journal were watched all the time."""
    require_premise_but_gaps(bundle)
    _require_watched(bundle)


def require_premise_but_gaps(bundle: Bundle) -> None:
    """The same, for a judge that knows of gaps in the runtime's events, and goes by other evidence.

    The index is not taken at its word: the pod as the watch received it must say the same.
    """
    index = bundle.index
    if index.admitted != index.cell.pattern:
        raise Unjudgeable(
            f"sidecar never injected as {index.cell.pattern}: the admitted pod is "
            f"{index.admitted or 'none'} ({index.admitted_why})",
            evidence=(Evidence(File.CELL, text=index.admitted_why),),
        )
    if not index.sidecars:
        raise Unjudgeable("sidecar never injected: cell.json names none")
    if index.subject not in index.pods:
        raise Unjudgeable(f"the pod under test, {index.subject}, was never seen")
    require_admitted(bundle, dict.fromkeys(index.sidecars, index.cell.pattern))
    _require_accepted(bundle)
    _require_unsuppressed(bundle)
    _require_steady_clock(bundle)


def require_no_sidecar(bundle: Bundle) -> None:
    """For a judge of a network without sidecars: nothing was expected in the pod, the clock was
    steady, and the runtime's events and journal were watched all the time. Raises Unjudgeable."""
    index = bundle.index
    if index.cell.pattern != "sidecarless" or index.sidecars:
        raise Unjudgeable(
            f"the cell is not of a network without sidecars: {index.cell.pattern}, with "
            f"{', '.join(index.sidecars) or 'none'}"
        )
    if index.subject not in index.pods:
        raise Unjudgeable(f"the pod under test, {index.subject}, was never seen")
    _require_unsuppressed(bundle)
    _require_steady_clock(bundle)
    _require_watched(bundle)


def no_premise(_: Bundle) -> None:
    """For a judge of pods whose sidecar is not what it was sent as: that is what it judges."""


def _require_steady_clock(bundle: Bundle) -> None:
    step = clock_step_ns(bundle)
    if step > CLOCK_STEP_NS:
        raise Unjudgeable(
            f"clock unusable: the real-time clock was moved by {step / 1e6:.1f} ms during the run"
        )


def _require_watched(bundle: Bundle) -> None:
    if not bundle.has(File.GAPS):
        return
    for number, gap in bundle.objects(File.GAPS):
        raise Unjudgeable(
            f"{gap['what']} was not watched for up to {(gap['until_ns'] - gap['ns']) / 1e9:.1f} s",
            evidence=(Evidence(File.GAPS, line=number, ns=gap["ns"]),),
        )


def _require_unsuppressed(bundle: Bundle) -> None:
    """The journal kept every line: those of containerd say who was told to end, and when."""
    if not bundle.has(File.SUPPRESSED):
        return
    for number, lost in bundle.objects(File.SUPPRESSED):
        raise Unjudgeable(
            f"the node's journal dropped {lost['lines']} lines of {lost['unit']} "
            f"within {(lost['until_ns'] - lost['ns']) / NS:.1f} s, for they came too fast",
            evidence=(Evidence(File.SUPPRESSED, line=number, ns=lost["ns"]),),
        )


def _require_accepted(bundle: Bundle) -> None:
    """No proxy refused what its control plane sent: else it is not the proxy that was asked for."""
    if not bundle.has(File.NACKS):
        return
    refused = [one for _, one in bundle.objects(File.NACKS)]
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
    spec: Mapping[str, Any] = {}
    for line, sidecar, wanted in (
        (line, *pair) for line in versions(bundle, role) for pair in patterns.items()
    ):
        spec = spec or line["object"]["spec"]
        seen = pattern_of(line["object"]["spec"], sidecar)
        if seen != wanted:
            raise Unjudgeable(
                f"sidecar never injected as {wanted}: {sidecar} is {seen} in the pod that the API "
                "server sent",
                evidence=(in_watch(line),),
            )
    return spec


def pattern_of(spec: Mapping[str, Any], name: str) -> str:
    """Native, classic, or what else a container of a pod's spec is."""
    for one in spec.get("initContainers") or ():
        if one["name"] == name:
            always = one.get("restartPolicy") == "Always"
            return "native" if always else "an init container that must end"
    if any(one["name"] == name for one in spec.get("containers") or ()):
        return "classic"
    return "absent"

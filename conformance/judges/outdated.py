"""move.old-cluster: a cluster that cannot run a native sidecar says so."""

from __future__ import annotations

from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.records import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.premise import pattern_of
from conformance.model import NS, Evidence, Finding, Measured

_BEHAVIOUR = "move.old-cluster"
# How anyone can see it in one command: a sidecar's restartPolicy is what makes it one.
DETECT = "kubectl get pod POD -o jsonpath='{.spec.initContainers[*].restartPolicy}'"


def says_so(bundle: Bundle) -> Finding:
    """To hold: the API server refuses the pod, with and without the sidecar's probes.

    To be broken: it admits the pod without the sidecar's restartPolicy; the app does not start
    while the sidecar runs, and does once the sidecar is told to quit, which proves the cause.
    """
    if bundle.index.cell.pattern != "native":
        raise Unjudgeable("only a native pod can meet a cluster that does not know it")
    sent, bare = bundle.step("as-sent"), bundle.step("without-probes")
    if sent is None:
        raise Unjudgeable("steps.jsonl does not say that the pod was sent")
    admitted = bare if bare is not None and bare["status"] == 201 else sent
    refused = sent["status"] != 201
    measured: dict[str, Any] = {
        "refused_with_probes": refused,
        "refused_without_probes": bare is not None and bare["status"] != 201,
        "answer": sent["message"][:300],
        "detect": DETECT,
    }
    if admitted["status"] != 201:
        if _versions(bundle):
            raise Unjudgeable("the API server refused the pod, and yet it was seen")
        said = "The API server refused the pod, with the sidecar's probes and without them."
        return Finding(_BEHAVIOUR, "holds", said, measured=measured, evidence=(_line(sent),))
    return _admitted(bundle, admitted, refused, measured)


def _admitted(bundle: Bundle, sent: Line, refused: bool, measured: dict[str, Any]) -> Finding:
    versions = _versions(bundle)
    if not versions:
        raise Unjudgeable("the pod was admitted, but watch.jsonl has no version of it")
    pod = versions[0]
    kept = pattern_of(pod["object"]["spec"], sent["sidecar"])
    if kept == "native":
        raise Unjudgeable("this cluster knows native sidecars: nothing was dropped")
    running, bound = bundle.step("sidecar.running"), bundle.step("init.bound")
    asked, app = bundle.step("sidecar.quit-asked"), bundle.step("app.running")
    if running is None or bound is None or asked is None:
        raise Unjudgeable(
            "restartPolicy was dropped, but the app was not seen to be kept from starting"
        )
    if app is None or app.ns < asked.ns:
        raise Unjudgeable("the app did not start after the sidecar's end: something else held it")
    held = (asked.ns - running.ns) / NS
    result: Measured = {**measured, "held_seconds": round(held, 3), "became": kept}
    first = " Sent with a startupProbe it was refused." if refused else ""
    return Finding(
        _BEHAVIOUR,
        "broken",
        f"restartPolicy was dropped without a word: the sidecar became {kept}, and the app did not "
        f"start in the {held:.1f} s that it ran, but {(app.ns - asked.ns) / NS:.1f} s after it was "
        f"told to quit.{first}",
        "field-dropped",
        result,
        (
            Evidence("watch.jsonl", line=pod.number, ns=pod.ns, text=f"{sent['sidecar']}: {kept}"),
            *(_line(one) for one in (sent, running, bound, asked, app)),
        ),
    )


def _versions(bundle: Bundle) -> list[Line]:
    name = bundle.index.subject
    return [
        line
        for line in bundle.watch()
        if line.get("kind") == "Pod" and line["object"]["metadata"]["name"] == name
    ]


def _line(step: Line) -> Evidence:
    return Evidence("steps.jsonl", line=step.number, ns=step.ns, text=str(step["step"]))

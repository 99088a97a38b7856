"""move.old-cluster and move.webhook: what makes something else of a native sidecar says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.evidence.bundle import Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.judges.premise import no_premise, pattern_of
from conformance.judges.ruling import broken, holds, premised
from conformance.judges.sources import at_step, in_watch
from conformance.model import NS, Evidence, Finding, Measured

FIELD = "restartPolicy"  # what a refusal must be about
# How anyone can see it in one command: a sidecar's restartPolicy is what makes it one.
DETECT = "kubectl get pod POD -o jsonpath='{.spec.initContainers[*].restartPolicy}'"


@premised(no_premise)
def says_so(bundle: Bundle) -> Finding:
    """To hold: the API server refuses the pod, with and without the sidecar's probes.

    To be broken: it admits the pod without the sidecar's restartPolicy; the app does not start
    while the sidecar runs, and does once the sidecar is told to quit, which proves the cause.
    """
    return _judged(bundle)


@premised(no_premise)
def webhook(bundle: Bundle) -> Finding:
    """As says_so, on a cluster that knows the pattern, with a webhook that takes it from the pod:
    dry runs before and after the webhook keep what the one in between has lost.
    """
    if bundle.index.cell.pattern != "native":
        raise Unjudgeable("only a native pod can lose its pattern to a webhook")
    tries = {line["when"]: line for line in bundle.steps() if line.event == Step.DRY_RUN}
    if set(tries) != {"before", "with", "after"}:
        raise Unjudgeable(f"the pod was tried {', '.join(tries) or 'never'} the webhook only")
    for when in ("before", "after"):
        if tries[when]["restart_policy"] != "Always":
            raise Unjudgeable(f"the cluster itself does not keep {FIELD}, {when} the webhook")
    asked = [
        line
        for line in bundle.stamps(Role.WEBHOOK, Role.WEBHOOK)
        if line.event == Stamp.WEBHOOK_ASKED and not line["dry_run"] and line["removed"]
    ]
    if not asked:
        raise Unjudgeable("the webhook was not asked about the pod, or took nothing from it")
    found = _judged(bundle)
    file = stamps_file(Role.WEBHOOK, Role.WEBHOOK)
    took = Evidence(file, asked[0].number, ns=asked[0].ns, text="the webhook took restartPolicy")
    return replace(
        found, evidence=(took, *(at_step(one) for one in tries.values()), *found.evidence)
    )


def _judged(bundle: Bundle) -> Finding:
    if bundle.index.cell.pattern != "native":
        raise Unjudgeable("only a native pod can meet a cluster that does not know it")
    sent, bare = bundle.step(Step.AS_SENT), bundle.step(Step.WITHOUT_PROBES)
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
        if bare is None:
            raise Unjudgeable("the pod was never sent without the sidecar's probes")
        if FIELD not in bare["message"]:
            raise Unjudgeable(f"the pod was refused for another reason: {bare['message'][:200]}")
        said = "The API server refused the pod, with the sidecar's probes and without them."
        return holds(said, measured, (at_step(sent),))
    return _admitted(bundle, admitted, measured)


def _admitted(bundle: Bundle, sent: Line, measured: dict[str, Any]) -> Finding:
    versions = _versions(bundle)
    if not versions:
        raise Unjudgeable("the pod was admitted, but watch.jsonl has no version of it")
    pod = versions[0]
    became = pattern_of(pod["object"]["spec"], sent["sidecar"])
    if became == "native":
        raise Unjudgeable("this cluster knows native sidecars: nothing was dropped")
    running, bound = bundle.step(Step.SIDECAR_RUNNING), bundle.step(Step.INIT_BOUND)
    asked, app = bundle.step(Step.SIDECAR_QUIT_ASKED), bundle.step(Step.APP_RUNNING)
    if running is None or bound is None or asked is None:
        raise Unjudgeable(
            "restartPolicy was dropped, but the app was not seen to be kept from starting"
        )
    if app is None or app.ns < asked.ns:
        raise Unjudgeable("the app did not start after the sidecar's end: something else held it")
    held = (asked.ns - running.ns) / NS
    result: Measured = {**measured, "held_seconds": round(held, 3), "became": became}
    first = " Sent with a startupProbe it was refused." if measured["refused_with_probes"] else ""
    return broken(
        "field-dropped",
        f"restartPolicy was dropped without a word: the sidecar became {became}, and the app did "
        f"not start in the {held:.1f} s that it ran, but {(app.ns - asked.ns) / NS:.1f} s after "
        f"it was told to quit.{first}",
        result,
        (
            in_watch(pod, f"{sent['sidecar']}: {became}"),
            *(at_step(one) for one in (sent, running, bound, asked, app)),
        ),
    )


def _versions(bundle: Bundle) -> list[Line]:
    name = bundle.index.subject
    return [
        line
        for line in bundle.watch()
        if line.get("kind") == "Pod" and line["object"]["metadata"]["name"] == name
    ]

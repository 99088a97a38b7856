"""wire.no-agent: a pod waits for the agent of its node, as a container waits for its sidecar."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import PUBLISH_LAG_NS, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Step
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import broken, holds, premised
from conformance.judges.sources import at_step, step
from conformance.judges.wire.sent import node_of
from conformance.model import NS, Evidence, Finding, Measured

LEAST_WAITED_NS = 10 * NS  # many times what a pod's start takes on a node that is well


@premised(require_no_sidecar)
def waits(bundle: Bundle) -> Finding:
    """To hold: the pod was made for the node after its agent was gone, none of its containers was
    made for a long time, and they were once the agent was asked for.

    To be broken: a container of the pod was made while there was no agent.
    """
    taken, asked = step(bundle, Step.AGENT_TAKEN), step(bundle, Step.AGENT_ASKED)
    created, ready = step(bundle, Step.SUBJECT_CREATE), step(bundle, Step.SUBJECT_READY)
    if node_of(bundle, SUBJECT_ROLE) != taken["node"]:
        raise Unjudgeable("the pod was on another node than the one without an agent")
    made = [
        life.created
        for name, its in lives(bundle).items()
        for life in its
        if name and life.created is not None
    ]
    if not made:
        raise Unjudgeable("no creation of a container of the pod is in runtime.log")
    first = min(made, key=lambda one: one.ns)
    earliest = first.ns - PUBLISH_LAG_NS
    measured: Measured = {
        "waited_seconds": round((asked.ns - created.ns) / NS, 2),
        "started_after_asked_seconds": round((first.ns - asked.ns) / NS, 2),
        "ready_after_asked_seconds": round((ready.ns - asked.ns) / NS, 2),
    }
    where = Evidence(File.RUNTIME, first.number, ns=first.ns, text="the first container is made")
    evidence = [at_step(taken), at_step(created), at_step(asked), where]
    if first.ns < asked.ns:
        return broken(
            "unprotected",
            f"A container of the pod was made {(first.ns - created.ns) / NS:.1f} s after the pod, "
            "while its node had no agent.",
            measured,
            evidence,
        )
    if earliest - created.ns < LEAST_WAITED_NS:
        raise Unjudgeable("the agent came back too soon for anything to be seen", measured)
    return holds(
        f"The pod waited {measured['waited_seconds']} s on a node without an agent, and started "
        f"{measured['started_after_asked_seconds']} s after one was asked for.",
        measured,
        evidence,
    )

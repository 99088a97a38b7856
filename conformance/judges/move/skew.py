"""move.kubelet-skew: a node whose kubelet is too old for a native pod refuses it, in words."""

from __future__ import annotations

from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Role, Stamp, Step
from conformance.judges.premise import require_admitted
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import at_step, in_watch, statuses, step, versions
from conformance.model import NS, Evidence, Finding, Measured
from conformance.plan.selection import minor_number

# Kubernetes 1.28: pkg/kubelet/lifecycle/predicate.go.
FORBIDDEN = "InitContainerRestartPolicyForbidden"
# A sidecar that has been ready for so long without its app starting holds it up for good: three
# times its start delay, which is all that the app would wait for.
HELD_NS = 10 * NS


def refused(bundle: Bundle) -> Finding:
    """To hold: the API server kept the sidecar's restartPolicy, and the kubelet of the old node
    refused the pod with the reason for that, and ran nothing of it; the same pod came up on a node
    as new as the API server, and the classic one on the old node.

    To be broken: the old node made something else of it, in which the app ran before its sidecar
    was ready, or did not run though the sidecar was.
    """
    if bundle.index.cell.pattern != "native":
        raise Unjudgeable("only a native pod can be too new for a kubelet")
    nodes = step(bundle, Step.NODES)
    _require_same_kubelets(bundle, nodes)
    seen = list(versions(bundle))
    admitted, last = seen[0], seen[-1]
    old = _kubelet(nodes, _node(last))
    if _minor(old) >= _minor(nodes["server"]):
        raise Unjudgeable(f"the pod's kubelet, {old}, is as new as the API server: no skew")
    evidence = [
        at_step(nodes),
        in_watch(admitted, "restartPolicy kept"),
        *_controls(bundle, nodes, _node(last)),
    ]
    status = last["object"].get("status", {})
    ran = {name for name, one in bundle.pod().containers.items() if one.ids}
    ran |= {name for one in seen for name, its in statuses(one).items() if its.get("containerID")}
    ran |= {one for one in (bundle.index.app, *bundle.index.sidecars) if _stamped(bundle, one)}
    if status.get("phase") != "Failed" or ran:
        return _otherwise(bundle, old, evidence, sorted(ran))
    if status.get("reason") != FORBIDDEN:
        raise Unjudgeable(
            f"the pod failed for another reason: {status.get('reason')}, {status.get('message')}"
        )
    failed = next(one for one in seen if one["object"].get("status", {}).get("phase") == "Failed")
    took = (failed.ns - step(bundle, f"{SUBJECT_ROLE}.create").ns) / NS
    command = _detected(bundle)
    storm, words = _storm(bundle)
    measured: Measured = {
        "kubelet": old,
        "server": nodes["server"],
        "reason": FORBIDDEN,
        "message": str(status.get("message", ""))[:300],
        "refused_after_seconds": round(took, 3),
        **storm,
    }
    return holds(
        f"The API server {nodes['server']} kept restartPolicy, and the kubelet {old} refused the "
        f"pod {took:.1f} s after it was sent: {FORBIDDEN}. The same pod came up on a node as new "
        f"as the API server, and the classic one on the old node.{words}",
        measured,
        [*evidence, in_watch(failed, FORBIDDEN), command],
    )


def _require_same_kubelets(bundle: Bundle, nodes: Line) -> None:
    """The step and the index tell the same of each node. Raises Unjudgeable."""
    for node, said in bundle.index.kubelets.items():
        if nodes["kubelets"].get(node, said) != said:
            raise Unjudgeable(
                f"cell.json says that the kubelet of {node} is {said}, and steps.jsonl "
                f"{nodes['kubelets'][node]}",
                evidence=(Evidence(File.CELL), at_step(nodes)),
            )


def _stamped(bundle: Bundle, container: str) -> bool:
    return bool(stamp_events(bundle, container, Stamp.APP_STARTED, Stamp.SIDECAR_STARTED))


def _controls(bundle: Bundle, nodes: Line, old: str) -> list[Evidence]:
    """The classic pod was ready on the old node, the native one on a new one."""
    found = []
    for role, pattern in ((Role.CLASSIC, "classic"), (Role.CURRENT, "native")):
        require_admitted(bundle, dict.fromkeys(bundle.index.sidecars, pattern), role)
        ready = next((one for one in versions(bundle, role) if _ready(one)), None)
        if ready is None:
            raise Unjudgeable(f"the {role} pod never was ready: nothing is said of the native one")
        node = _node(ready)
        if (node == old) != (role == Role.CLASSIC):
            raise Unjudgeable(f"the {role} pod was on {node}, which says nothing")
        found.append(in_watch(ready, f"{role}: ready on {node}"))
        if role == Role.CURRENT and _minor(_kubelet(nodes, node)) != _minor(nodes["server"]):
            raise Unjudgeable(f"{node} is not as new as the API server")
    return found


def _otherwise(bundle: Bundle, old: str, evidence: list[Evidence], ran: list[str]) -> Finding:
    """The pod was not refused: what became of it?"""
    app = stamp_events(bundle, bundle.index.app, Stamp.APP_STARTED)
    ready = [
        event
        for name in bundle.index.sidecars
        for event in stamp_events(bundle, name, Stamp.SIDECAR_READY)
    ]
    bound = bundle.step(Step.BOUND)
    if app:
        if ready and ready[0].latest < app[0].earliest:
            raise Unjudgeable(f"the kubelet {old} runs native sidecars: nothing is too new for it")
        said, hazard = "ran the app before its sidecar was ready", "wrong-order"
        evidence += app[0].evidence
    elif bound is not None and ready and bound.ns - ready[0].latest > HELD_NS:
        held = (bound.ns - ready[0].latest) / NS
        said, hazard = f"did not run the app in the {held:.1f} s after its sidecar was", "stuck"
        evidence += [*ready[0].evidence, at_step(bound)]
    else:
        raise Unjudgeable(
            f"the pod was not refused, and ran {', '.join(ran) or 'nothing'}: what the kubelet "
            "makes of it cannot be told"
        )
    return broken(
        hazard,
        f"The kubelet {old} did not refuse the pod, but {said}{' ready' * (hazard == 'stuck')}.",
        {"kubelet": old},
        evidence,
    )


def _detected(bundle: Bundle) -> Evidence:
    """The catalogue's command showed it."""
    for line in bundle.commands():
        if "status.phase=Failed" in line["command"]:
            if line["out"].split() != [FORBIDDEN]:
                raise Unjudgeable(f"the command that is to show it printed {line['out']!r}")
            return Evidence(File.COMMANDS, line.number, ns=line.ns, text=line["out"])
    raise Unjudgeable("nobody looked for failed pods")


def _storm(bundle: Bundle) -> tuple[dict[str, Any], str]:
    """How many pods a ReplicaSet of one made in the time that it had; and that in words."""
    begin, end = bundle.step(Step.STORM_BEGIN), bundle.step(Step.STORM_END)
    if begin is None or end is None:
        return {}, ""
    uids = {
        line["object"]["metadata"]["uid"]
        for line in bundle.watch()
        if line.get("kind") == "Pod"
        and begin.ns <= line.ns <= end.ns
        and line["object"]["metadata"].get("labels", {}).get("app") == Role.STORM
        and line["object"].get("status", {}).get("reason") == FORBIDDEN
    }
    seconds = round((end.ns - begin.ns) / NS, 1)
    words = f" A ReplicaSet of one left {len(uids)} such pods in {seconds} s."
    return {"storm_pods": len(uids), "storm_seconds": seconds}, words


def _node(version: Line) -> str:
    return str(version["object"]["spec"].get("nodeName", ""))


def _kubelet(nodes: Line, node: str) -> str:
    found = nodes["kubelets"].get(node)
    if found is None:
        raise Unjudgeable(f"nothing is known of the kubelet of {node or 'no node'}")
    return str(found)


def _minor(version: str) -> int:
    return minor_number(version.removeprefix("v"))


def _ready(version: Line) -> bool:
    conditions = version["object"].get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

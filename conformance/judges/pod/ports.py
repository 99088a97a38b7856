"""What a sidecar's ports count for: by their name in a Service, and by their place on the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import PortService, Role, Step
from conformance.judges.premise import require_admitted
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import at_step, conditions, in_watch, specified, step, versions
from conformance.model import Finding, Value

ANSWERED = "200"
LEAST_TRIES = 3  # through a Service that is never answered, at least a second apart
_NO_PLACE = "free ports"  # in the scheduler's word on a node whose ports are taken
_SERVICE = "kubernetes.io/service-name"


def named(bundle: Bundle) -> Finding:
    """To hold: the EndpointSlice of the Service that names the port carries its number, and a
    request through that Service was answered.

    To be broken: the slice lists the pod as ready and carries another number or none, while no
    request through the Service was answered, and those through a Service that gives the number
    were, before and after.
    """
    port = _port(require_admitted(bundle, _patterns(bundle)), bundle.index.sidecars[0])
    number = int(port["containerPort"])
    for service, target in ((PortService.NAMED, port.get("name")), (PortService.NUMBERED, number)):
        _require_target(bundle, service, target)
    tries, control = (
        _tries(bundle, service) for service in (PortService.NAMED, PortService.NUMBERED)
    )
    before = [one for one in control if one.ns < tries[0]["began_ns"] and _answered(one)]
    after = [one for one in control if one["began_ns"] > tries[-1].ns and _answered(one)]
    answered = [one for one in tries if _answered(one)]
    slices = _slices(bundle, tries[0]["began_ns"], tries[-1].ns)
    carried = [_numbers(one) for one in slices]
    measured: dict[str, Value] = {
        "tries": len(tries),
        "answered": len(answered),
        "carried": ",".join(map(str, carried[-1])),
    }
    evidence = [
        *(in_watch(one, f"ports {_said(_numbers(one))}") for one in slices),
        *(printed_in(one) for one in (*before[-1:], *tries[-LEAST_TRIES:], *after[:1])),
    ]
    if answered:
        if carried[-1] != [number]:
            raise Unjudgeable(
                f"requests were answered, and the EndpointSlice carries {_said(carried[-1])}",
                measured,
                evidence,
            )
        return holds(
            f"The EndpointSlice carries {number}, the number of the sidecar's port "
            f"{port['name']!r}, and a request through the Service that names it was answered.",
            measured,
            evidence,
        )
    if not before or not after:
        raise Unjudgeable(
            "the port was not answered by its number before and after: whose fault it is that it "
            "was not by its name cannot be told",
            measured,
            evidence,
        )
    if number in carried[-1] or any(one != carried[0] for one in carried):
        raise Unjudgeable(
            f"no request was answered, although the EndpointSlice carries {_said(carried[-1])}",
            measured,
            evidence,
        )
    if len(tries) < LEAST_TRIES:
        raise Unjudgeable(f"{len(tries)} requests by the port's name are too few", measured)
    return broken(
        "no-port" if not carried[-1] else "wrong-port",
        f"The EndpointSlice lists the ready pod with {_said(carried[-1])} for the sidecar's port "
        f"{port['name']!r}, and none of {len(tries)} requests through the Service was answered "
        f"({_heard(tries)}); by its number, {number}, the port was answered before and after.",
        measured,
        evidence,
    )


def host(bundle: Bundle) -> Finding:
    """To hold: while a pod whose sidecar has a port of the node was bound there, the scheduler left
    a second one waiting, with a word on ports. To be broken: it bound the second one to the same
    node."""
    sidecar = bundle.index.sidecars[0]
    places = []
    for role in (SUBJECT_ROLE, Role.TWIN):
        port = _port(require_admitted(bundle, _patterns(bundle), role), sidecar)
        places.append(tuple(port.get(key) for key in ("hostPort", "protocol", "hostIP")))
    if not places[0][0] or places[0] != places[1]:
        raise Unjudgeable(f"the two pods do not want the same port of the node: {places}")
    scheduled = step(bundle, Step.SCHEDULED)
    # After that the pods are taken away, and the first one's port with it.
    twin = [one for one in versions(bundle, Role.TWIN) if one.ns <= scheduled.ns]
    word = next((one for one in twin if _bound_to(one) or "PodScheduled" in conditions(one)), None)
    first = [one for one in versions(bundle) if word and one.ns < word.ns][-1:]
    if word is None or not first or not _bound_to(first[0]):
        raise Unjudgeable("the second pod came to no scheduler while the first was on its node")
    node = _bound_to(first[0])
    phase = (first[0]["object"].get("status") or {}).get("phase")
    if phase != "Running" or first[0]["object"]["metadata"].get("deletionTimestamp"):
        raise Unjudgeable(f"the first pod was {phase} when the second was scheduled")
    later = next((one for one in twin if _bound_to(one)), None)
    measured: dict[str, Value] = {"host_port": int(places[0][0]), "bound": bool(later)}
    evidence = [in_watch(first[0], f"subject on {node}")]
    if later is not None:
        if _bound_to(later) != node:
            raise Unjudgeable("the second pod is on another node: that one has such a port too")
        return broken(
            "both-bound",
            f"Two pods whose sidecars want port {places[0][0]} of the node are bound to {node}.",
            measured,
            [*evidence, in_watch(later, f"twin on {node}"), at_step(scheduled)],
        )
    said = str(conditions(word)["PodScheduled"].get("message", ""))
    evidence += [in_watch(word, said), at_step(scheduled)]
    if _NO_PLACE not in said:
        raise Unjudgeable(f"the second pod waits for another reason: {said}", measured, evidence)
    return holds(
        f"The scheduler left the second pod that wants port {places[0][0]} of the node waiting: "
        f"{said.strip()}",
        measured,
        evidence,
    )


def _patterns(bundle: Bundle) -> Mapping[str, str]:
    return dict.fromkeys(bundle.index.sidecars, bundle.index.cell.pattern)


def _port(spec: Mapping[str, Any], sidecar: str) -> Mapping[str, Any]:
    """The one port of the sidecar in an admitted spec."""
    found = list(specified(spec).get(sidecar, {}).get("ports") or ())
    if len(found) != 1:
        raise Unjudgeable(f"the sidecar was admitted with {len(found)} ports")
    (port,) = found
    return dict(port)


def _require_target(bundle: Bundle, service: str, target: str | int | None) -> None:
    """A Service must ask for the port as the judge takes it to."""
    for line in bundle.watch():
        one = line["object"]
        if line.get("kind") == "Service" and one["metadata"]["name"] == service:
            asked = [port["targetPort"] for port in one["spec"]["ports"]]
            if asked != [target]:
                raise Unjudgeable(f"the Service {service} asks for {asked}, not for {target!r}")
            return
    raise Unjudgeable(f"the Service {service} is not in watch.jsonl")


def _tries(bundle: Bundle, service: str) -> Sequence[Line]:
    """The requests through a Service. Raises Unjudgeable when there is none."""
    found = [
        line
        for line in bundle.commands()
        if f" exec {Role.PEER} " in line["command"] and line["command"].endswith(f" {service}")
    ]
    if not found:
        raise Unjudgeable(f"nothing was asked through the Service {service}")
    return found


def _answered(line: Line) -> bool:
    return bool(line["code"] == 0 and line["out"].strip() == ANSWERED)


def _heard(tries: Sequence[Line]) -> str:
    """What there was in the place of an answer."""
    if failed := [one for one in tries if one["code"]]:
        raise Unjudgeable(f"the asking itself failed: {failed[0]['err'].strip()[:200]}")
    return ", ".join(sorted({one["out"].strip() for one in tries}))


def _slices(bundle: Bundle, begin: int, end: int) -> Sequence[Line]:
    """The EndpointSlice of the named Service, as it was when the asking began and until its end;
    it lists the pod as ready. Raises Unjudgeable where it is not there, or does not."""
    found: list[Line] = []
    for line in bundle.watch():
        labels = line["object"]["metadata"].get("labels") or {}
        if (
            line.get("kind") == "EndpointSlice"
            and labels.get(_SERVICE) == PortService.NAMED
            and line.ns <= end
        ):
            found = [*found, line] if line.ns > begin else [line]
    if len({one["object"]["metadata"]["name"] for one in found}) != 1:
        raise Unjudgeable("the Service that names the port has no EndpointSlice, or several")
    ips = set(bundle.pod().ips)
    for one in found:
        ready = [
            endpoint
            for endpoint in one["object"].get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready") and ips & set(endpoint["addresses"])
        ]
        if not ready:
            raise Unjudgeable(
                "the EndpointSlice does not list the pod as ready", evidence=(in_watch(one),)
            )
    return found


def _numbers(line: Line) -> list[int]:
    return [int(one["port"]) for one in line["object"].get("ports") or () if one.get("port")]


def _said(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers)) or "no port"


def _bound_to(version: Line) -> str:
    return str(version["object"]["spec"].get("nodeName") or "")

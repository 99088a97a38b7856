"""What a pod with a sidecar counts for: in a quota, a LimitRange, its class, and on its node."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from conformance.evidence.bundle import Bundle
from conformance.evidence.commands import command
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.parse import Line
from conformance.evidence.pod_request import pod_request
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, Step
from conformance.judges.premise import pattern_of
from conformance.judges.ruling import held_against
from conformance.judges.sources import at_step, in_watch, versions
from conformance.model import Evidence, Finding, Value
from conformance.plan.selection import minor_number

ADMITTED = 201
LAYOUTS = ("no-init", "init-before", "init-behind", "init-between")
# What each pod's class must be if the sidecar counts: guaranteed only where both are.
CLASSES = {
    "both": "Guaranteed", "app-only": "Burstable", "sidecar-only": "Burstable",
    "neither": "BestEffort",
}  # fmt: skip
# The gate ContainerRestartRules: alpha and off in 1.34, on from 1.35.
ANY_POLICY_MINOR = 35


def requests(bundle: Bundle) -> Finding:
    """To hold: for each layout a quota one milli below the effective request refuses the pod, and
    says so, one that is equal admits it, and the real pod uses up just that. To be broken: a quota
    that is too small admits, or one that fits refuses."""
    wrong: list[str] = []
    sizes: dict[str, Value] = {}
    evidence: list[Evidence] = []
    for layout in LAYOUTS:
        answers = [one for one in _answers(bundle, "quota") if one["layout"] == layout]
        admitted = [one for one in answers if one["status"] == ADMITTED]
        if not admitted:
            raise Unjudgeable(f"the pod {layout} was never admitted")
        size = _milli(_spec(bundle, admitted[-1]), "cpu")
        sizes[layout] = size
        for milli, fits in ((size - 1, False), (size, True)):
            last = [one for one in answers if one["quota_milli"] == milli][-1:]
            if not last:
                raise Unjudgeable(f"the pod {layout}, {size}m, met no quota of {milli}m")
            evidence.append(_line(last[0]))
            got = last[0]["status"] == ADMITTED
            words = ["exceeded quota"]
            if not fits:
                words.append(f"requested: requests.cpu={_said(size)},")
            if not got and not all(one in last[0]["message"] for one in words):
                raise Unjudgeable(
                    f"the pod {layout} was refused for another reason: {last[0]['message']}"
                )
            if got is not fits:
                done = "admitted" if got else "refused"
                wrong.append(f"{layout}: {size}m {done} by a quota of {milli}m")
    used = bundle.step(Step.QUOTA_USED)
    real = _milli(next(versions(bundle))["object"]["spec"], "cpu")
    if used is None:
        raise Unjudgeable("what the real pod used of the quota is not on record")
    evidence.append(at_step(used))
    if parse_quantity(used["cpu"]) * 1000 != real:
        wrong.append(f"the real pod, {real}m, used {used['cpu']} of its quota")
    return held_against(
        wrong,
        "Each pod was refused by a quota one milli below its effective request and admitted by one "
        "equal to it: " + ", ".join(f"{name} {its}m" for name, its in sizes.items()) + ".",
        "miscounted",
        sizes,
        evidence,
    )


def limit_range(bundle: Bundle) -> Finding:
    """To hold: a sidecar that asks for nothing gets the default request, one that asks for as much
    as is allowed is admitted, and one milli more is refused."""
    answers = _answers(bundle, "limit")
    given = [one for one in answers if one["asked_milli"] is None and one["status"] == ADMITTED]
    bounds = [one for one in answers if one["asked_milli"] is not None]
    fit = {one["asked_milli"] <= one["most_milli"] for one in bounds}
    if not given or fit != {True, False}:
        raise Unjudgeable("the pods that were to meet the LimitRange are not on record")
    default = _request(_spec(bundle, given[-1]))
    wrong = []
    if default != given[-1]["default_milli"]:
        wrong.append(f"a sidecar that asked for nothing got {default}m")
    for one in bounds:
        fits = one["asked_milli"] <= one["most_milli"]
        got = one["status"] == ADMITTED
        if got is not fits and (got or "maximum cpu usage" in one["message"]):
            wrong.append(f"{one['asked_milli']}m of at most {one['most_milli']}m: {one['status']}")
        elif not got and "maximum cpu usage per Container" not in one["message"]:
            raise Unjudgeable(f"refused for another reason: {one['message']}")
    return held_against(
        wrong,
        f"A sidecar that asked for nothing got {default}m, {bounds[0]['asked_milli']}m were "
        f"admitted, and {bounds[-1]['asked_milli']}m refused.",
        "miscounted",
        {"default_milli": default},
        [_line(given[-1]), *(_line(one) for one in bounds)],
    )


def quality(bundle: Bundle) -> Finding:
    """To hold: the pod's class is Guaranteed only if the sidecar's limits are as its requests, and
    BestEffort only if it has none."""
    answers = {one["limited"]: one for one in _answers(bundle, "class")}
    if any(answers[one]["status"] != ADMITTED for one in CLASSES if one in answers):
        raise Unjudgeable("a pod that was to show its class was refused")
    if set(answers) != set(CLASSES):
        raise Unjudgeable(f"the classes of {sorted(set(CLASSES) - set(answers))} are not on record")
    for one in answers.values():
        _spec(bundle, one)
    seen = {name: answers[name]["object"]["status"].get("qosClass") for name in CLASSES}
    wrong = [
        f"{name}: {seen[name]}, not {its}" for name, its in CLASSES.items() if its != seen[name]
    ]
    return held_against(
        wrong,
        "The sidecar counts for the class: " + ", ".join(f"{k} {v}" for k, v in seen.items()) + ".",
        "miscounted",
        dict(seen),
        [_line(answers[one]) for one in CLASSES],
    )


def node(bundle: Bundle) -> Finding:
    """To hold: the scheduler kept the pod waiting while the node had one unit less than the pod's
    effective request of a resource, placed it when it had just that, and kubectl describe node adds
    up the same. To be broken: placed before, or counted otherwise."""
    diary = list(bundle.steps())
    asked = [one for one in diary if one.event == Step.NODE_OFFER_ASKED and one["units"]]
    offers = [one for one in diary if one.event == Step.NODE_OFFERS and one["units"]]
    if len(offers) < 2:
        raise Unjudgeable("the node did not offer one unit more")
    if asked and [one["units"] for one in asked] != [one["units"] for one in offers]:
        raise Unjudgeable(
            f"the node was asked to offer {_units(asked)} units, and offered {_units(offers)}",
            evidence=[at_step(one) for one in (*asked, *offers)],
        )
    # The latest that it had less, and the earliest that it had enough, which older bundles lack.
    less, enough = offers[0], (asked or offers)[1]
    resource = less["resource"]
    its = list(versions(bundle))
    spec = its[0]["object"]["spec"]
    units = int(pod_request(spec, resource))
    if (less["units"], enough["units"]) != (units - 1, units) or units < 2:
        raise Unjudgeable(f"the node offered {less['units']} and {enough['units']}, not {units}")
    placed = next((one for one in its if one["object"]["spec"].get("nodeName")), None)
    if placed is None:
        raise Unjudgeable("the pod was never scheduled: what the scheduler counts is not shown")
    held = next((one for one in its if _lacks(one, resource)), None)
    evidence = [at_step(one) for one in (less, enough)]
    evidence.append(in_watch(placed, "scheduled"))
    wrong = []
    if placed.ns < enough.ns and not asked:
        raise Unjudgeable("when the node was told to offer one unit more is not on record")
    if placed.ns < enough.ns:
        wrong.append(f"{units} units were placed on a node that had {less['units']}")
    elif held is None or held.ns > enough.ns:
        raise Unjudgeable("the scheduler never said that the node lacks a unit")
    else:
        evidence.append(in_watch(held, "Insufficient"))
    printed = command(bundle, "describe node", since=placed.ns)
    evidence.append(printed_in(printed))
    cpu = _milli(spec, "cpu")
    row = re.search(
        rf"^ +{re.escape(_namespace(less))} +{bundle.index.subject} +(\S+) ", printed["out"], re.M
    )
    total = re.search(rf"^ +{re.escape(resource)} +(\S+) ", printed["out"], re.M)
    if row is None or total is None:
        raise Unjudgeable("kubectl describe node does not list the pod, or not the resource")
    if parse_quantity(row[1]) * 1000 != cpu:
        wrong.append(f"kubectl describe node counts {row[1]} CPU for {cpu}m")
    if int(total[1]) != units:
        wrong.append(f"kubectl describe node adds up {total[1]} units, not {units}")
    return held_against(
        wrong,
        f"The scheduler held the pod while the node had {less['units']} of {units} units, and "
        f"placed it {(placed.ns - enough.ns) / 1e6:.0f} ms after it had {units}; kubectl describe "
        f"node counts {row[1]} CPU and {total[1]} units.",
        "miscounted",
        {"units": units, "cpu_milli": cpu, "described_cpu": row[1], "described_units": total[1]},
        evidence,
    )


def policies(bundle: Bundle) -> Finding:
    """see.any-restart-policy. To hold: restartPolicy on a regular container, or another than Always
    on an init container, is kept from 1.35 on, and before it is refused or dropped."""
    answers = _answers(bundle, "policy")
    if len(answers) < 3:
        raise Unjudgeable("the pods with restartPolicy in other places are not on record")
    legal = minor_number(bundle.index.cell.k8s) >= ANY_POLICY_MINOR
    became: dict[str, Value] = {}
    wrong = []
    for one in answers:
        where = f"{one['policy']} on {one['container']}"
        became[where] = _became(one)
        if (became[where] == "kept") is not legal:
            wrong.append(f"{where}: {became[where]}")
    return held_against(
        wrong,
        f"restartPolicy {', '.join(f'{where}: {how}' for where, how in became.items())}.",
        "kept" if not legal else "not-kept",
        became,
        [_line(one) for one in answers],
    )


def _became(answer: Line) -> str:
    """What became of the field: kept, dropped or refused."""
    if answer["status"] != ADMITTED:
        if "restartPolicy" not in answer["message"]:
            raise Unjudgeable(f"refused for another reason: {answer['message']}")
        return "refused"
    spec = answer["object"]["spec"]
    found = (*spec.get("initContainers", ()), *spec["containers"])
    its = next((one for one in found if one["name"] == answer["container"]), None)
    if its is None:
        raise Unjudgeable(
            f"the pod was admitted without {answer['container']}", evidence=(_line(answer),)
        )
    return "kept" if its.get("restartPolicy") == answer["policy"] else "dropped"


def _answers(bundle: Bundle, what: str) -> Sequence[Line]:
    return [one for one in bundle.answers() if one["what"] == what]


def _spec(bundle: Bundle, answer: Line) -> Mapping[str, Any]:
    """The spec of an admitted pod, in which the sidecar must be of the cell's pattern."""
    spec: Mapping[str, Any] = answer["object"]["spec"]
    seen = pattern_of(spec, Container.SIDECAR)
    if seen != bundle.index.cell.pattern:
        raise Unjudgeable(
            f"sidecar never injected: {Container.SIDECAR} is {seen}", evidence=(_line(answer),)
        )
    return spec


def _milli(spec: Mapping[str, Any], resource: str) -> int:
    return int(pod_request(spec, resource) * 1000)


def _said(milli: int) -> str:
    """A quantity as the API server says it."""
    return f"{milli // 1000}" if milli % 1000 == 0 else f"{milli}m"


def _request(spec: Mapping[str, Any]) -> int | None:
    """What the sidecar itself asks for (milli CPU)."""
    found = (*spec.get("initContainers", ()), *spec["containers"])
    none: Mapping[str, Any] = {}
    its = next((one for one in found if one["name"] == Container.SIDECAR), none)
    asked = its.get("resources", {}).get("requests", {}).get("cpu")
    return int(Decimal(parse_quantity(asked)) * 1000) if asked else None


def _lacks(version: Line, resource: str) -> bool:
    conditions = version["object"].get("status", {}).get("conditions") or ()
    return any(
        one["type"] == "PodScheduled"
        and one["status"] == "False"
        and f"Insufficient {resource}" in one.get("message", "")
        for one in conditions
    )


def _units(offers: Sequence[Line]) -> str:
    return ", ".join(str(one["units"]) for one in offers)


def _namespace(offer: Line) -> str:
    """The cell's namespace, after which it names its resource."""
    return str(offer["resource"]).partition("/")[2]


def _line(answer: Line) -> Evidence:
    text = f"{answer['status']} {answer['message']}"[:200].strip()
    return Evidence(File.ANSWERS, line=answer.number, ns=answer.ns, text=text)

"""What tools show of a pod with a sidecar: the article's commands, READY, metrics, old agents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.commands import column, command
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.parse import Line
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, Role, Stamp, Step
from conformance.evidence.windows import container_statuses
from conformance.judges.ruling import held_against
from conformance.judges.sources import conditions, in_watch, versions
from conformance.model import Evidence, Finding, Value

_SERIES = re.compile(r"(\w+)\{([^}]*)\} (\S+)")


def spec(bundle: Bundle) -> Finding:
    """To hold: the article's commands print "Always" for the sidecar, and its name among the init
    containers, as the pod itself says."""
    policy = command(bundle, ".restartPolicy}")
    names = command(bundle, "{.spec.initContainers[*].name}")
    pod = next(versions(bundle))["object"]["spec"]
    meant = [one["name"] for one in pod["initContainers"]]
    wrong = []
    if policy["out"].strip() != "Always":
        wrong.append(f"restartPolicy was shown as {policy['out']!r}")
    if names["out"].split() != meant or Container.SIDECAR not in meant:
        wrong.append(f"the init containers were shown as {names['out']!r}, not {meant}")
    return held_against(
        wrong,
        f"The article's commands print {policy['out'].strip()} and {names['out'].strip()}.",
        "not-shown",
        {"policy": policy["out"], "names": names["out"]},
        [printed_in(policy), printed_in(names)],
    )


def status(bundle: Bundle) -> Finding:
    """To hold: the article's command prints a running state, the status has the sidecar started and
    ready, and the log that kubectl follows tells of its signal only after the app's exit."""
    printed = command(bundle, "{.status.initContainerStatuses[*].state}")
    wrong = []
    if "running" not in _states(printed):
        wrong.append(f"the state was shown as {printed['out']!r}")
    version = [one for one in versions(bundle) if one.ns <= printed["began_ns"]][-1:]
    its = _status(version[0], Container.SIDECAR) if version else {}
    if not (its.get("started") and its.get("ready") and "running" in its.get("state", {})):
        wrong.append(f"the status of the sidecar was {its}")
    signal, exited = _signal(bundle), _app_exit(bundle)
    ahead = (exited.ns or 0) - (signal.ns or 0)
    measured: dict[str, Value] = {
        "state": printed["out"],
        "signal_after_app_ms": round(-ahead / 1e6, 1),
    }
    hazard = "not-shown"
    if ahead > 0:
        hazard = hazard if wrong else "wrong-order"
        wrong.append(f"the sidecar tells of its signal {ahead / 1e6:.0f} ms before the app's exit")
    return held_against(
        wrong,
        f"The state is shown as running, the sidecar started and ready; the log that kubectl "
        f"follows tells of its signal {-ahead / 1e6:.0f} ms after the app's exit.",
        hazard,
        measured,
        [printed_in(printed), signal, exited],
    )


def _states(printed: Line) -> Mapping[str, Any]:
    """The states in the output: JSON objects, one after the other."""
    found: dict[str, Any] = {}
    try:
        rest = str(printed["out"]).strip()
        while rest:
            one, end = json.JSONDecoder().raw_decode(rest)
            found |= one
            rest = rest[end:].strip()
    except (ValueError, TypeError):
        return {}
    return found


def _signal(bundle: Bundle) -> Evidence:
    """The line in which the sidecar tells of its signal, in what kubectl logs -f printed."""
    for number, text in bundle.lines(File.FOLLOWED):
        match = re.fullmatch(r"sidecar\.sigterm (\d+)\s*", text)
        if match:
            return Evidence(File.FOLLOWED, line=number, ns=int(match[1]), text=text.strip())
    raise Unjudgeable("kubectl logs -f printed nothing of the sidecar's signal")


def _app_exit(bundle: Bundle) -> Evidence:
    its = lives(bundle)[bundle.index.app]
    if not its or its[-1].exited is None:
        raise Unjudgeable("no exit of the app is in runtime.log")
    return Evidence(File.RUNTIME, its[-1].exited.number, ns=its[-1].exited_latest, text="app exit")


def ready(bundle: Bundle) -> Finding:
    """To hold: READY and the pod's condition count the sidecar: both fall when it alone says that
    it is not ready, and come back with it."""
    asked = {one["path"]: one for one in bundle.steps() if one.event == Step.SIDECAR_ASKED}
    if not {"/unready", "/ready"} <= set(asked):
        raise Unjudgeable("the sidecar was not made unready, and ready again")
    before = _table(bundle)
    unready = _table(bundle, asked["/unready"].ns)
    after = _table(bundle, asked["/ready"].ns)
    name = bundle.index.subject
    shown = [column(one, name, "READY") for one in (before, unready, after)]
    version = _while_unready(bundle, asked["/unready"].ns, asked["/ready"].ns)
    told = conditions(version).get("Ready")
    if told is None:
        raise Unjudgeable(
            "the pod's status has no condition Ready while its sidecar was not ready",
            evidence=(in_watch(version),),
        )
    wrong = []
    other = [
        one
        for one, wanted in ((before, "2/2"), (unready, "1/2"), (after, "2/2"))
        if column(one, name, "READY") != wanted
    ]
    if other and all(column(one, name, "READY") in _counts(bundle, one) for one in other):
        raise Unjudgeable(
            f"READY was {', '.join(shown)}, and so were the containers: another probe failed",
            evidence=[printed_in(one) for one in other],
        )
    if other:
        wrong.append(f"READY was {', '.join(shown)}")
    if told["status"] != "False":
        wrong.append(f"the pod was Ready={told['status']} with an unready sidecar")
    return held_against(
        wrong,
        f"READY was {', '.join(shown)}, and the pod was not Ready while its sidecar alone was not.",
        "uncounted",
        {"shown": shown},
        [
            *(printed_in(one) for one in (before, unready, after)),
            in_watch(version, "sidecar not ready"),
        ],
    )


def _table(bundle: Bundle, since: int = 0) -> Line:
    """The first table that kubectl get printed after a moment."""
    wanted = f"kubectl get pod {bundle.index.subject}"
    for line in bundle.commands():
        if line["command"] == wanted and line.ns >= since:
            return line
    raise Unjudgeable("commands.jsonl lacks a table of kubectl get pod")


def _counts(bundle: Bundle, printed: Line) -> set[str]:
    """What READY is of each version of the pod that the command may have met."""
    until = [one for one in versions(bundle) if one.ns <= printed.ns]
    before = sum(one.ns <= printed["began_ns"] for one in until)
    each = [
        [container["ready"] for container in container_statuses(one["object"].get("status", {}))]
        for one in until[max(before - 1, 0) :]
    ]
    return {f"{sum(its)}/{len(its)}" for its in each}


def _while_unready(bundle: Bundle, since: int, until: int) -> Line:
    """The last version in which the sidecar alone is not ready."""
    found = [
        one
        for one in versions(bundle)
        if since < one.ns < until
        and not _status(one, Container.SIDECAR).get("ready", True)
        and _status(one, bundle.index.app).get("ready")
    ]
    if not found:
        raise Unjudgeable("the sidecar was never seen unready beside a ready app")
    return found[-1]


def _status(version: Line, name: str) -> Mapping[str, Any]:
    statuses = container_statuses(version["object"].get("status", {}))
    return next((one for one in statuses if one["name"] == name), {})


def metrics(bundle: Bundle) -> Finding:
    """To hold: the kubelet's resource metrics have the sidecar's CPU and the memory that it took,
    and the pod's own memory has it too. To be broken: they have the app, and not that."""
    taken = _taken(bundle)
    found = {(name, who): (value, line) for name, who, value, line in _series(bundle)}
    memory, cpu = "container_memory_working_set_bytes", "container_cpu_usage_seconds_total"
    if (memory, bundle.index.app) not in found:
        raise Unjudgeable("the kubelet's metrics do not know the app either")
    own = found.get((memory, Container.SIDECAR), (0.0, 0))
    pod = found.get(("pod_memory_working_set_bytes", ""), (0.0, 0))
    spent = found.get((cpu, Container.SIDECAR), (0.0, 0))
    wrong = []
    if not own[1] or not spent[1]:
        wrong.append("the sidecar is not in the kubelet's metrics")
    elif own[0] < taken:
        raise Unjudgeable(f"the metrics show {own[0] / 2**20:.0f} MiB of what the sidecar took")
    if pod[0] < taken:
        wrong.append(f"the pod's own memory is {pod[0] / 2**20:.0f} MiB, without the sidecar's")
    measured: dict[str, Value] = {
        "sidecar_memory_mib": round(own[0] / 2**20, 1),
        "pod_memory_mib": round(pod[0] / 2**20, 1),
        "sidecar_cpu_seconds": round(spent[0], 3),
        "taken_mib": taken >> 20,
    }
    return held_against(
        wrong,
        f"Of {pod[0] / 2**20:.0f} MiB of the pod the kubelet counts {own[0] / 2**20:.0f} MiB for "
        f"the sidecar, which took {taken >> 20} MiB, and {spent[0]:.2f} s of CPU.",
        "uncounted",
        measured,
        [Evidence(File.METRICS, line=one[1]) for one in (own, pod, spent) if one[1]]
        or [Evidence(File.METRICS, line=found[memory, bundle.index.app][1])],
    )


def naive(bundle: Bundle) -> Finding:
    """see.naive-tools. To hold: an agent that knows a pod's containers from containerStatuses alone
    counts every restart, and the memory that the sidecar took. To be broken: it misses them."""
    if not bundle.has(File.NAIVE):
        raise Unjudgeable("no old agent was asked")
    told = next((one for _, one in bundle.objects(File.NAIVE)), None)
    if told is None:
        raise Unjudgeable("the old agent said nothing")
    names = (bundle.index.app, *bundle.index.sidecars)
    restarts = sum(len(lives(bundle)[name]) - 1 for name in names)
    if restarts < 1:
        raise Unjudgeable("no container of the pod was started again: nothing could be missed")
    taken = _taken(bundle)
    whole = ("pod_memory_working_set_bytes", "")
    pod = next((one for one in _series(bundle) if one[:2] == whole), None)
    if pod is None:
        raise Unjudgeable("the kubelet's metrics do not have the pod's own memory")
    if pod[2] < taken:
        raise Unjudgeable("the pod's own memory does not show what the sidecar took")
    wrong = []
    if told["restarts"] != restarts:
        wrong.append(f"it counts {told['restarts']} restarts of {restarts}")
    if told["memory_bytes"] < taken:
        wrong.append(
            f"{told['memory_bytes'] / 2**20:.0f} MiB of the pod's {pod[2] / 2**20:.0f} MiB"
        )
    measured: dict[str, Value] = {
        "restarts": restarts,
        "naive_restarts": told["restarts"],
        "pod_memory_mib": round(pod[2] / 2**20, 1),
        "naive_memory_mib": round(told["memory_bytes"] / 2**20, 1),
        "naive_containers": len(told["containers"]),
    }
    starts = [
        Evidence(File.RUNTIME, life.created.number, text=f"{name} created")
        for name in names
        for life in lives(bundle)[name]
        if life.created
    ]
    return held_against(
        wrong,
        f"It counts {told['restarts']} restarts, and {told['memory_bytes'] / 2**20:.0f} MiB.",
        "miscounted",
        measured,
        [Evidence(File.NAIVE, line=1), Evidence(File.METRICS, line=pod[3]), *starts],
    )


def _taken(bundle: Bundle) -> int:
    """How much memory the sidecar took, by its own stamp (bytes)."""
    for line in bundle.stamps(Role.SUBJECT, Container.SIDECAR):
        if line.event == Stamp.SIDECAR_ALLOCATE:
            return int(line["mebibytes"]) << 20
    raise Unjudgeable("the sidecar took no memory")


def _series(bundle: Bundle) -> list[tuple[str, str, float, int]]:
    """The pod's metrics: name, container ("" for the pod's own), value, line."""
    found = []
    for number, text in bundle.lines(File.METRICS):
        match = _SERIES.match(text)
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2])) if match else {}
        if match and labels.get("pod") == bundle.index.subject:
            found.append((match[1], labels.get("container", ""), float(match[3]), number))
    return found

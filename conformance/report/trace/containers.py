"""Lanes of a cell's containers: created, started, ready, preStop, SIGTERM, exit.

The runtime's events make the bars; programs' stamps, the API watch and the announced signals are
ticks in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.timeline import lives
from conformance.report.trace.model import Lane, Mark
from conformance.report.trace.stamps import stamps

Json = dict[str, Any]
MOST = 24  # lanes; a cell of many Jobs has more pods than anyone can read
# Pods that every cell has around those under test.
AROUND = ("peer", "dialer", "witness", "sink", "webhook")
_POINTS = {
    "app.started": "started", "app.listening": "ready", "app.sigterm": "signal", "app.crash": "end",
    "app.last": "last", "sidecar.started": "started", "sidecar.exec": "started",
    "sidecar.ready": "ready", "sidecar.sigterm": "signal", "sidecar.drain": "hook",
    "sidecar.drained": "last", "sidecar.exited": "end", "sidecar.last": "last",
    "sidecar.rules": "rules", "hook.begin": "hook", "hook.quit": "hook", "hook.end": "hook",
}  # fmt: skip
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def roles(bundle: Bundle) -> list[str]:
    """The roles of the pods under test, the subject first."""
    index = bundle.index
    return ["subject", *(one for one in index.pods if one not in (index.subject, *AROUND))]


def lanes(bundle: Bundle) -> Iterator[Lane]:
    """A lane for each container of each pod under test, in the order in which they appeared."""
    index = bundle.index
    told = _told(bundle)
    number = 0
    for role in roles(bundle):
        name = index.subject if role == "subject" else role
        pod = index.pods.get(name)
        if pod is None:
            continue
        for container, found in lives(bundle, pod).items():
            if not container or number >= MOST:
                continue
            number += 1
            label = container if role == "subject" else f"{role} {container}"
            lane = Lane(label, "containers")
            for life in found:
                lane.marks += _life(life, label)
            lane.marks += _stamped(bundle, role, container)
            lane.marks += told.get((name, container), [])
            yield lane


def _life(life: Any, label: str) -> Iterator[Mark]:
    created, exited = life.created, life.exited
    if created is not None:
        end = life.exited_latest
        status = f", exit code {exited.status}" if exited else ", not seen to end"
        kind = "life" if exited else "cut"
        yield Mark(created.ns, end, kind, f"{label}{status}", "", "runtime.log", created.number)
    if exited is not None:
        title = f"exited with {exited.status}"
        yield Mark(life.exited_latest, None, "end", title, "", "runtime.log", exited.number)
    for stop in life.stops:
        title = f"signal {stop.signal} announced"
        yield Mark(stop.ns, None, "signal", title, "", "containerd.log", stop.number)


def _stamped(bundle: Bundle, role: str, container: str) -> Iterator[Mark]:
    for one in stamps(bundle.root, role, container):
        if one["event"] in _POINTS:
            yield Mark(
                one["ns"], None, _POINTS[one["event"]], one["event"], "", one["file"], one["line"]
            )


def _told(bundle: Bundle) -> dict[tuple[str, str], list[Mark]]:
    """When the API's watch first told of each change of a container's readiness."""
    found: dict[tuple[str, str], list[Mark]] = {}
    seen: dict[tuple[str, str], tuple[bool, bool]] = {}
    if not bundle.has("watch.jsonl"):
        return found
    for line in bundle.watch():
        if line.get("kind") != "Pod":
            continue
        pod = line["object"]
        for status in _statuses(pod.get("status") or {}):
            key = pod["metadata"]["name"], status["name"]
            now = bool(status.get("started")), bool(status.get("ready"))
            before = seen.get(key, (False, False))
            seen[key] = now
            if now != before:
                words = f"the API says {'started' if now[0] else 'not started'}"
                words += f", {'ready' if now[1] else 'not ready'}"
                kind = "ready" if now[1] else "told"
                mark = Mark(line.ns, None, kind, words, "", "watch.jsonl", line.number)
                found.setdefault(key, []).append(mark)
    return found


def _statuses(status: Json) -> Sequence[Json]:
    return [one for name in _STATUSES for one in status.get(name) or ()]

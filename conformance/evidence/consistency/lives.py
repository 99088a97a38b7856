"""The lives of containers: by the runtime, by the watch, and by what their programs wrote.

A program writes while its container lives. containerd publishes the creation after it made the
task and before it starts it; the time of an exit is when the exit was noticed, so nothing that the
program wrote is later. All of it is on one kernel's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.parse import rfc3339_ns
from conformance.evidence.timeline import CLOCK_STEP_NS, PUBLISH_LAG_NS, Life, lives
from conformance.model import NEVER, NS, Evidence

RUNTIME, WATCH, GAPS = "runtime.log", "watch.jsonl", "gaps.jsonl"
# The clock may be moved by so much without a verdict being struck (timeline).
_SLACK_NS = CLOCK_STEP_NS
# The API server's times have whole seconds: cut, and of the runtime's own.
_WHOLE_SECONDS_NS = 2 * NS
# What the kubelet says of a container that it lost sight of is its guess, not the runtime's word.
_GUESSED = ("ContainerStatusUnknown", "Unknown", "Error: unknown")
Json = Mapping[str, Any]


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """Lives that end before they begin, that overlap, or that the watch tells otherwise; and stamps
    from outside of any life. Where the runtime's events have a gap, nothing is held to them."""
    if not bundle.has(RUNTIME) or bundle.has(GAPS):
        return
    ends = _terminations(bundle)
    for name, pod in bundle.index.pods.items():
        role = SUBJECT_ROLE if name == bundle.index.subject else name
        for container, its in lives(bundle, pod).items():
            if not any(one.created or one.exited for one in its):
                continue  # of another node than the one whose events these are
            yield from _ordered(container or "the sandbox", role, its)
            for life in its:
                yield from _as_watched(life, role, ends.get(life.container_id))
            if container:
                yield from _within(bundle, role, container, its)


def _at(life: Life, *, created: bool) -> Evidence:
    event = life.created if created else life.exited
    assert event is not None
    return Evidence(RUNTIME, event.number, ns=event.ns)


def _runtime(reason: str, *evidence: Evidence, also: str = "") -> Contradiction:
    return Contradiction(reason, frozenset({RUNTIME, also} - {""}), evidence)


def _ordered(container: str, role: str, its: Sequence[Life]) -> Iterator[Contradiction]:
    what = f"{container} of {role}"
    for life in its:
        end = life.exited_latest
        if life.created and end is not None and end + _SLACK_NS < life.created.ns - PUBLISH_LAG_NS:
            yield _runtime(
                f"runtime.log says that {what} exited {_s(life.created.ns - end)} before it was "
                "created",
                _at(life, created=False),
                _at(life, created=True),
            )
    for one, other in pairwise(its):
        end = one.exited_latest
        if end is not None and other.created and other.created.ns + _SLACK_NS < end:
            yield _runtime(
                f"runtime.log says that {what} was made anew {_s(end - other.created.ns)} before "
                "the life before had ended",
                _at(other, created=True),
                _at(one, created=False),
            )


def _terminations(bundle: Bundle) -> dict[str, tuple[Json, Evidence]]:
    """What the watch says of the end of each container, by its id."""
    found: dict[str, tuple[Json, Evidence]] = {}
    for line in bundle.watch() if bundle.has(WATCH) else ():
        status = line["object"].get("status") or {}
        if line["kind"] != "Pod":
            continue
        for group in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
            for one in status.get(group) or ():
                for state in (one.get("state"), one.get("lastState")):
                    ended = (state or {}).get("terminated") or {}
                    ident = str(ended.get("containerID") or "").partition("://")[2]
                    if ident and ended.get("reason") not in _GUESSED:
                        where = Evidence(WATCH, line=line.number, ns=line.ns, text=one["name"])
                        found[ident] = ended, where
    return found


def _as_watched(
    life: Life, role: str, told: tuple[Json, Evidence] | None
) -> Iterator[Contradiction]:
    if told is None or life.exited is None or life.exited_latest is None:
        return
    ended, where = told
    what = f"{life.name} of {role}"
    code, status = ended.get("exitCode"), life.exited.status
    if isinstance(code, int) and code != status:
        yield _runtime(
            f"watch.jsonl says that {what} ended with {code}, and runtime.log with {status}",
            where,
            life.exit_evidence(),
            also=WATCH,
        )
    if not isinstance(ended.get("finishedAt"), str):
        return
    apart = rfc3339_ns(ended["finishedAt"]) - life.exited_latest
    if abs(apart) > _WHOLE_SECONDS_NS:
        yield _runtime(
            f"watch.jsonl says that {what} ended {_s(abs(apart))} "
            f"{'after' if apart > 0 else 'before'} runtime.log says it did",
            where,
            life.exit_evidence(),
            also=WATCH,
        )


def _within(
    bundle: Bundle, role: str, container: str, its: Sequence[Life]
) -> Iterator[Contradiction]:
    file = stamps_file(role, container)
    if not bundle.has(file):
        return
    begins = [one.created.ns - PUBLISH_LAG_NS - _SLACK_NS if one.created else 0 for one in its]
    ends = [NEVER if one.exited_latest is None else one.exited_latest + _SLACK_NS for one in its]
    both = frozenset({RUNTIME, file})
    started = 0
    worst: tuple[int, Contradiction] | None = None
    for line in bundle.records(file):
        started += line.event == "app.started"
        if any(begin <= line.ns <= end for begin, end in zip(begins, ends, strict=True)):
            continue
        where = Evidence(file, line=line.number, ns=line.ns, text=line.event)
        former = [one for one, end in zip(its, ends, strict=True) if end < line.ns]
        if former:
            life, far = former[-1], line.ns - ends[len(former) - 1] + _SLACK_NS
            reason = (
                f"{file} says that {container} wrote {_s(far)} after runtime.log says it exited"
            )
            evidence = (where, life.exit_evidence())
        else:
            far = begins[0] + PUBLISH_LAG_NS + _SLACK_NS - line.ns
            reason = (
                f"{file} says that {container} wrote {_s(far)} before runtime.log says it was made"
            )
            evidence = (where, _at(its[0], created=True))
        if worst is None or far > worst[0]:
            worst = far, Contradiction(reason, both, evidence)
    if worst is not None:
        yield worst[1]
    if started > len(its):
        yield Contradiction(
            f"{file} says that {container} began {started} times, and cell.json knows of "
            f"{len(its)} lives",
            both,
            (Evidence(file),),
        )


def _s(ns: int) -> str:
    return f"{ns / NS:.1f} s" if ns >= NS // 10 else f"{ns / 1e6:.1f} ms"

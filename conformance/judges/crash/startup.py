"""crash.startup-gate: a sidecar that was restarted has to pass its startup probe once more.

Until it has, the kubelet sends it no other probe: liveness would end a slow starter again and again
(pkg/kubelet/prober/worker.go goes by ``started`` in the status).
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence.bundle import Bundle
from conformance.evidence.crashes import Crash, Json, only_crash, versions
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.windows import container_statuses
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import diary_end, in_watch, specified
from conformance.model import NS, Finding, Value


def gate(bundle: Bundle) -> Finding:
    """To hold: the sidecar's next container was seen to run and not to be started, and was called
    started only after it had said itself that it was ready: before that no startup probe passes.

    To be broken: it was called started, or ready, before it said so.
    """
    one = only_crash(bundle)
    if one.new is None or one.new.created_event is None:
        raise Unjudgeable("no container of the sidecar was created after the old one's end")
    if one.ready is None:
        raise Unjudgeable("the restarted sidecar never said that it was ready")
    _require_startup_probe(bundle, one)
    born, ready = one.new.created_event.earliest, one.ready
    seen = list(_statuses(bundle, one))
    early = [(line, each) for line, each in seen if line.ns < ready.earliest]
    called = next(((line, each) for line, each in early if _passed(each)), None)
    measured: dict[str, Value] = {
        "ready_by_its_own_word_seconds": round((ready.latest - born) / NS, 3),
        "status_ahead_seconds": (
            round((ready.earliest - called[0].ns) / NS, 3) if called else None
        ),
    }
    if called:
        line, each = called
        words = " and ".join(name for name in ("started", "ready") if each.get(name))
        return broken(
            "gate-skipped",
            f"The restarted sidecar was called {words} {(ready.earliest - line.ns) / NS:.2f} s "
            "before it was ready: no startup probe of its own had passed.",
            measured,
            [in_watch(line, f"{words}: {one.new.container_id[:12]}"), *ready.evidence],
        )
    closed = next((line for line, each in early if "running" in each.get("state", {})), None)
    if closed is None:
        raise Unjudgeable("no version of the pod tells of the sidecar anew before it was ready")
    passed = next((line for line, each in seen if _passed(each)), None)
    if passed is None:
        raise Unjudgeable(
            "the restarted sidecar was not called started in the "
            f"{(diary_end(bundle) - ready.latest) / NS:.1f} s after it was ready"
        )
    if passed.ns <= ready.latest:
        raise Unjudgeable("whether the startup probe or the status came first cannot be told")
    measured["started_after_readiness_seconds"] = round((passed.ns - ready.latest) / NS, 3)
    return holds(
        "The restarted sidecar was called started "
        f"{measured['started_after_readiness_seconds']:.2f} s after it was ready, and not in the "
        f"{(ready.earliest - born) / NS:.2f} s before.",
        measured,
        [
            in_watch(closed, f"running, not started: {one.new.container_id[:12]}"),
            *ready.evidence,
            in_watch(passed, "started"),
        ],
    )


def _passed(status: Json) -> bool:
    return bool(status.get("started") or status.get("ready"))


def _statuses(bundle: Bundle, one: Crash) -> Iterator[tuple[Line, Json]]:
    """Each version of the pod that tells of the sidecar's next container, and what it says."""
    assert one.new is not None
    for line, status in versions(bundle):
        for each in container_statuses(status):
            if str(each.get("containerID", "")).endswith(one.new.container_id):
                yield line, each


def _require_startup_probe(bundle: Bundle, one: Crash) -> None:
    """The sidecar as it was admitted has a gate. Raises Unjudgeable."""
    for line, _ in versions(bundle):
        its = specified(line["object"].get("spec") or {})
        if "startupProbe" in its.get(one.old.name, {}):
            return
    raise Unjudgeable("the sidecar as it was admitted has no startup probe")

"""node.kubelet-restart and node.runtime-restart: a service of the node is restarted under a pod at
work, whose main is crashed afterwards, and under one in mid-drain.

The runtime's events have a gap while containerd is away. So what lives on is told by the programs'
own first instructions and by the containers' ids in the API, and what ends by events that came
after the gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.deletion import departure, removed
from conformance.judges.ordering import require_meaning
from conformance.judges.premise import GAPS, require_premise
from conformance.model import NS, Evidence, Finding, Value, Window

_KUBELET = "node.kubelet-restart"
DRAINED = "drained"  # the pod in mid-drain
# A first restart comes at the kubelet's next look at the pod, without a backoff: seconds. A kubelet
# that does not see that the main must be started again never does.
RESTARTED_WITHIN_NS = 30 * NS


def kubelet(bundle: Bundle) -> Finding:
    """See _judged."""
    return _judged(bundle, _KUBELET)


def runtime(bundle: Bundle) -> Finding:
    """See _judged."""
    return _judged(bundle, "node.runtime-restart")


def _judged(bundle: Bundle, behaviour: str) -> Finding:
    """To hold: no container of either pod was started anew until the subject's main was crashed,
    that one was started anew and its sidecar was not, and in both pods the sidecar was told to end
    after the app's end. To be broken: one of these is otherwise."""
    require_premise(bundle, gaps=True)
    begin, answers = (_step(bundle, name) for name in ("restart.begin", "restart.answers"))
    crash = _crash(bundle, begin)
    again = next(iter(_starts(bundle, SUBJECT_ROLE, bundle.index.app, crash.latest)), None)
    measured: dict[str, Value] = {
        "service_away_seconds": round((answers.ns - begin.ns) / NS, 3),
        "events_unwatched_seconds": _gap_seconds(bundle),
        "main_back_after_seconds": round((again.latest - crash.latest) / NS, 3) if again else None,
    }
    evidence = [
        Evidence("steps.jsonl", begin.number, ns=begin.ns, text="restart begins"),
        *crash.evidence,
    ]
    anew = _started_anew(bundle, crash)
    if anew:
        what, first = anew
        return _broken(
            behaviour, "restarted", f"{what} was started anew.", measured, evidence + first
        )
    if again is None:
        _require_patience(bundle, crash)
        why = "The main that crashed after the restart was not started again."
        return _broken(behaviour, "not-restarted", why, measured, evidence)
    evidence += again.evidence
    unclear: list[str] = []
    for role in (DRAINED, SUBJECT_ROLE):
        going = departure(bundle, role)
        answer, gap, seen = going.order()
        measured[f"{role}_gap_ms"] = round(gap / 1e6, 1)
        measured[f"{role}_gone_seconds"] = going.since(removed(bundle, role).ns)
        evidence += seen
        if answer == "no":
            why = (
                f"In the {role} pod the sidecar was told to end, or gone, {-gap / 1e6:.0f} ms early"
            )
            return _broken(behaviour, going.disorder(), f"{why}.", measured, evidence)
        if answer != "yes":
            unclear.append(f"which came first in the {role} pod cannot be told")
        require_meaning(bundle, going.lives, going.asked, role)
    _require_mid_drain(bundle, begin, answers)
    _require_restarted(bundle, behaviour, Window("restart", begin.ns, answers.ns))
    if unclear:
        raise Unjudgeable("; ".join(unclear), measured=measured, evidence=evidence)
    return Finding(
        behaviour,
        "holds",
        f"Containers lived on; a main that crashed afterwards was back after "
        f"{measured['main_back_after_seconds']} s; order was kept in a pod in mid-drain, which was "
        f"gone {measured[f'{DRAINED}_gone_seconds']} s after its deletion with "
        f"{departure(bundle, DRAINED).grace_ns // NS} s of grace, and in one deleted later.",
        measured=measured,
        evidence=evidence,
    )


def _broken(
    behaviour: str, hazard: str, why: str, measured: dict[str, Value], evidence: list[Evidence]
) -> Finding:
    return Finding(behaviour, "broken", why, hazard=hazard, measured=measured, evidence=evidence)


def _step(bundle: Bundle, name: str) -> Line:
    found = bundle.step(name)
    if found is None:
        raise Unjudgeable(f"no {name} is in steps.jsonl: the service did not come back")
    return found


def _crash(bundle: Bundle, begin: Line) -> Event:
    found = stamp_events(bundle, bundle.index.app, "app.crash")
    if not found:
        raise Unjudgeable("the main never told that it was to crash")
    if found[0].latest < begin.ns:
        raise Unjudgeable("the main crashed before the restart")
    return found[0]


def _starts(bundle: Bundle, role: str, container: str, since_ns: int) -> list[Event]:
    """First instructions of a container's runs, from then on."""
    program = "app.started" if container == bundle.index.app else "sidecar.started"
    return [
        one for one in stamp_events(bundle, container, program, role=role) if one.latest > since_ns
    ]


def _started_anew(bundle: Bundle, crash: Event) -> tuple[str, list[Evidence]] | None:
    """A container that had a second run without cause: which, and what shows it."""
    app = bundle.index.app
    for role in (SUBJECT_ROLE, DRAINED):
        for name in (app, *bundle.index.sidecars):
            runs = _starts(bundle, role, name, 0)
            if not runs:
                raise Unjudgeable(f"{name} of {role} never told that it started")
            caused = int(role == SUBJECT_ROLE and name == app)
            without = [one for one in runs[1:] if not caused or one.latest < crash.latest]
            ids = len(bundle.pod(role).containers[name].ids)
            if without or ids > 1 + caused:
                return f"{name} of {role}", [piece for one in without for piece in one.evidence]
    return None


def _require_patience(bundle: Bundle, crash: Event) -> None:
    waited = max((line.ns for line in bundle.steps()), default=0) - crash.latest
    if waited < RESTARTED_WITHIN_NS:
        raise Unjudgeable(f"the main was awaited for {waited / NS:.0f} s only after its crash")


def _require_mid_drain(bundle: Bundle, begin: Line, answers: Line) -> None:
    """The service must have been away while the app of the drained pod went on."""
    app = bundle.index.app
    told = stamp_events(bundle, app, "app.sigterm", role=DRAINED)
    if not told or told[0].latest > begin.ns:
        raise Unjudgeable("the app in mid-drain had not been told to end before the restart")
    if departure(bundle, DRAINED).app_last() < answers.ns:
        raise Unjudgeable("the app in mid-drain had ended before the service was back")


def _require_restarted(bundle: Bundle, behaviour: str, span: Window) -> None:
    """The service itself shows that it ended and began again, whatever the scenario asked for: the
    kubelet's journal by another process, containerd by the break in its events."""
    if behaviour == _KUBELET:
        pids = list(_kubelets(bundle))
        before = [pid for ns, pid in pids if ns <= span.start]
        after = [pid for ns, pid in pids if ns >= span.end]
        restarted = bool(before and after) and before[-1] != after[0]
    else:
        restarted = any(
            gap["ns"] <= span.end and gap["until_ns"] >= span.start for gap in _gaps(bundle)
        )
    if not restarted:
        raise Unjudgeable("nothing shows that the service was restarted")


def _kubelets(bundle: Bundle) -> Iterator[tuple[int, str]]:
    """When the kubelet wrote to its journal (ns), and as which process."""
    for _, text in bundle.lines("kubelet.log"):
        line = json.loads(text)
        yield int(line["__REALTIME_TIMESTAMP"]) * 1000, str(line["_PID"])


def _gaps(bundle: Bundle) -> list[dict[str, Any]]:
    if not bundle.has(GAPS):
        return []
    return [json.loads(text) for _, text in bundle.lines(GAPS)]


def _gap_seconds(bundle: Bundle) -> float:
    return round(sum(int(gap["until_ns"]) - int(gap["ns"]) for gap in _gaps(bundle)) / NS, 3)

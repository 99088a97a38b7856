"""node.kubelet-restart and node.runtime-restart: a service of the node is restarted under a pod at
work, whose main is crashed afterwards, and under one in mid-drain.

The runtime's events have a gap while containerd is away. So what lives on is told by the programs'
own first instructions and by the containers' ids in the API, and what ends by events that came
after the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Role, Stamp, Step
from conformance.judges.deletion import deletion_of, removed
from conformance.judges.ordering import require_meaning
from conformance.judges.premise import require_premise_but_gaps
from conformance.judges.ruling import broken, holds, premised
from conformance.judges.sources import at_step, diary_end, step
from conformance.model import NS, Evidence, Finding, Value, Window

_KUBELET = "node.kubelet-restart"
# A first restart comes at the kubelet's next look at the pod, without a backoff: seconds. A kubelet
# that does not see that the main must be started again never does.
RESTARTED_WITHIN_NS = 30 * NS


@premised(require_premise_but_gaps)
def kubelet(bundle: Bundle) -> Finding:
    """See _judged."""
    return _judged(bundle, _KUBELET)


@premised(require_premise_but_gaps)
def runtime(bundle: Bundle) -> Finding:
    """See _judged."""
    return _judged(bundle, "node.runtime-restart")


def _judged(bundle: Bundle, behaviour: str) -> Finding:
    """To hold: no container of either pod was started anew until the subject's main was crashed,
    that one was started anew and its sidecar was not, and in both pods the sidecar was told to end
    after the app's end. To be broken: one of these is otherwise."""
    begin, answers = (step(bundle, name) for name in (Step.RESTART_BEGIN, Step.RESTART_ANSWERS))
    crash = _crash(bundle, begin)
    again = next(iter(_starts(bundle, SUBJECT_ROLE, bundle.index.app, crash.latest)), None)
    measured: dict[str, Value] = {
        "service_away_seconds": round((answers.ns - begin.ns) / NS, 3),
        "events_unwatched_seconds": _gap_seconds(bundle),
        "main_back_after_seconds": round((again.latest - crash.latest) / NS, 3) if again else None,
    }
    evidence = [
        at_step(begin, "restart begins"),
        *crash.evidence,
    ]
    anew = _started_anew(bundle, crash)
    if anew:
        what, first = anew
        return broken("restarted", f"{what} was started anew.", measured, evidence + first)
    if again is None:
        _require_patience(bundle, crash)
        why = "The main that crashed after the restart was not started again."
        return broken("not-restarted", why, measured, evidence)
    evidence += again.evidence
    unclear: list[str] = []
    for role in (Role.DRAINED, SUBJECT_ROLE):
        deletion = deletion_of(bundle, role)
        answer, gap, seen = deletion.order()
        measured[f"{role}_gap_ms"] = round(gap / 1e6, 1)
        measured[f"{role}_gone_seconds"] = deletion.since(removed(bundle, role).ns)
        evidence += seen
        if answer == "no":
            why = (
                f"In the {role} pod the sidecar was told to end, or gone, {-gap / 1e6:.0f} ms early"
            )
            return broken(deletion.disorder(), f"{why}.", measured, evidence)
        if answer != "yes":
            unclear.append(f"which came first in the {role} pod cannot be told")
        require_meaning(bundle, deletion.lives, deletion.asked, role)
    _require_mid_drain(bundle, begin, answers)
    _require_restarted(bundle, behaviour, Window("restart", begin.ns, answers.ns))
    if unclear:
        raise Unjudgeable("; ".join(unclear), measured, evidence)
    return holds(
        f"Containers lived on; a main that crashed afterwards was back after "
        f"{measured['main_back_after_seconds']} s; order was kept in a pod in mid-drain, which was "
        f"gone {measured[f'{Role.DRAINED}_gone_seconds']} s after its deletion with "
        f"{deletion_of(bundle, Role.DRAINED).grace_ns // NS} s of grace, and in one deleted later.",
        measured,
        evidence,
    )


def _crash(bundle: Bundle, begin: Line) -> Event:
    found = stamp_events(bundle, bundle.index.app, Stamp.APP_CRASH)
    if not found:
        raise Unjudgeable("the main never told that it was to crash")
    if found[0].latest < begin.ns:
        raise Unjudgeable("the main crashed before the restart")
    return found[0]


def _starts(bundle: Bundle, role: str, container: str, since_ns: int) -> list[Event]:
    """First instructions of a container's runs, from then on."""
    program = Stamp.APP_STARTED if container == bundle.index.app else Stamp.SIDECAR_STARTED
    return [
        one for one in stamp_events(bundle, container, program, role=role) if one.latest > since_ns
    ]


def _started_anew(bundle: Bundle, crash: Event) -> tuple[str, list[Evidence]] | None:
    """A container that had a second run without cause: which, and what shows it."""
    app = bundle.index.app
    for role in (SUBJECT_ROLE, Role.DRAINED):
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
    waited = diary_end(bundle) - crash.latest
    if waited < RESTARTED_WITHIN_NS:
        raise Unjudgeable(f"the main was awaited for {waited / NS:.0f} s only after its crash")


def _require_mid_drain(bundle: Bundle, begin: Line, answers: Line) -> None:
    """The service must have been away while the app of the drained pod went on."""
    app = bundle.index.app
    told = stamp_events(bundle, app, Stamp.APP_SIGTERM, role=Role.DRAINED)
    if not told or told[0].latest > begin.ns:
        raise Unjudgeable("the app in mid-drain had not been told to end before the restart")
    if deletion_of(bundle, Role.DRAINED).app_last() < answers.ns:
        raise Unjudgeable("the app in mid-drain had ended before the service was back")


def _require_restarted(bundle: Bundle, behaviour: str, span: Window) -> None:
    """The service itself shows that it ended and began again, whatever the scenario asked for:
    another process writes its journal, and containerd's events broke off, which the end of who
    reads them does alone."""
    pids = list(_writers(bundle, File.KUBELET if behaviour == _KUBELET else File.CONTAINERD))
    before = [pid for ns, pid in pids if ns <= span.start]
    after = [pid for ns, pid in pids if ns >= span.end]
    restarted = bool(before and after) and before[-1] != after[0]
    if behaviour != _KUBELET:
        restarted &= any(
            gap["ns"] <= span.end and gap["until_ns"] >= span.start for gap in _gaps(bundle)
        )
    if not restarted:
        raise Unjudgeable("nothing shows that the service was restarted")


def _writers(bundle: Bundle, journal: str) -> Iterator[tuple[int, str]]:
    """When a service wrote to its journal (ns), and as which process."""
    for _, line in bundle.objects(journal):
        yield int(line["__REALTIME_TIMESTAMP"]) * 1000, str(line["_PID"])


def _gaps(bundle: Bundle) -> list[Mapping[str, Any]]:
    if not bundle.has(File.GAPS):
        return []
    return [one for _, one in bundle.objects(File.GAPS)]


def _gap_seconds(bundle: Bundle) -> float:
    return round(sum(int(gap["until_ns"]) - int(gap["ns"]) for gap in _gaps(bundle)) / NS, 3)

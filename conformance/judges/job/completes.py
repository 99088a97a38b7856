"""job.completes: a Job completes within seconds of its main container's exit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line, rfc3339_ns
from conformance.evidence.timeline import Life, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Stamp, Step
from conformance.judges.jobs import of_subject
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import at_step, diary_end, in_watch
from conformance.model import NS, Evidence, Finding, Measured

# "Within seconds": the sidecar's own drain (1.5 s in the fixtures), the job controller's batching
# of status updates (1 s: pkg/controller/job, syncJobBatchPeriod) and its backoff after a conflict,
# the kubelet's way to the pod's last phase (some 2 s), and a crowded machine.
COMPLETE_WITHIN_NS = 15 * NS


@dataclass(frozen=True)
class _Course:
    """What happened, in ns."""

    app: Life
    sidecar: Life
    exited: int
    complete: Line | None
    bound: Line | None
    quit: Line | None
    asked_to_stop: int | None

    @property
    def completed_alone(self) -> bool:
        """Complete was received before anyone told the sidecar to quit."""
        return self.complete is not None and (self.quit is None or self.complete.ns < self.quit.ns)

    @property
    def sidecar_left(self) -> bool:
        """The sidecar had ended when the Job was Complete, and the kubelet had not told it to."""
        gone = self.sidecar.exited_latest
        if gone is None or self.complete is None or gone > self.complete.ns:
            return False
        return self.asked_to_stop is None or self.asked_to_stop > gone


def completes(bundle: Bundle) -> Finding:
    """To hold: the Job is Complete soon after its main's exit, with a sidecar nobody told to quit.

    To be broken: it is still active at the bound, with the sidecar running and unsignalled; and
    completes once the sidecar is told to quit, which proves the cause.
    """
    course = _course(bundle)
    sidecar_gone = course.sidecar.exited_latest
    started = course.sidecar.created
    if started is None or started.ns > course.exited:
        raise Unjudgeable("the sidecar did not run beside the Job's main container")
    if sidecar_gone is not None and sidecar_gone < _earliest_exit(bundle, course):
        raise Unjudgeable(
            f"the sidecar had ended {(course.exited - sidecar_gone) / 1e6:.0f} ms before the main "
            "container: the Job had nothing left to wait for",
            evidence=_exits(course),
        )
    if course.complete and course.complete.ns < _earliest_exit(bundle, course):
        raise Unjudgeable(
            "the Job was Complete before its main container had exited",
            evidence=(_complete(course.complete), *_exits(course)),
        )
    after = (course.complete.ns - course.exited) / NS if course.complete else None
    measured: Measured = {
        "complete_after_seconds": round(after, 3) if after is not None else None,
        "told_to_quit": course.quit is not None,
        "watched_seconds": round((_watched_until(bundle) - course.exited) / NS, 3),
        "bound_seconds": bundle.index.job_bound_seconds,
        "sidecar_exit_after_seconds": (
            round((sidecar_gone - course.exited) / NS, 3) if sidecar_gone is not None else None
        ),
    }
    if course.completed_alone:
        if course.sidecar_left:
            raise Unjudgeable(
                "the sidecar ended by itself, and nobody had told it to: it may be why the Job did",
                measured,
                _exits(course),
            )
        return _completed(course, measured)
    return _blocked(bundle, course, measured)


def _completed(course: _Course, measured: Measured) -> Finding:
    assert course.complete is not None
    after = _complete_at(course.complete) - course.exited
    evidence = (*_exits(course), _complete(course.complete))
    if after <= COMPLETE_WITHIN_NS:
        return holds(
            f"The Job was Complete {after / NS:.2f} s after its main container's exit.",
            measured,
            evidence,
        )
    return broken(
        "late",
        f"The Job was Complete only {after / NS:.1f} s after its main container's exit.",
        measured,
        evidence,
    )


def _complete_at(line: Line) -> int:
    """When the Job was Complete (ns): at its receipt, or by the condition's own time, in whole
    seconds, where the news came late."""
    for one in _status(line).get("conditions") or ():
        if one["type"] == "Complete" and one.get("lastTransitionTime"):
            return min(line.ns, rfc3339_ns(one["lastTransitionTime"]) + NS)
    return line.ns


def _blocked(bundle: Bundle, course: _Course, measured: Measured) -> Finding:
    bound, quit_ = course.bound, course.quit
    if bound is None or quit_ is None:
        raise Unjudgeable(
            "the Job was not Complete, and the bound was not reached either: the scenario did not "
            "come to its end",
            measured,
        )
    if bound.ns - course.exited < bundle.index.job_bound_seconds * NS * 0.9:
        raise Unjudgeable(
            f"the bound was declared {(bound.ns - course.exited) / NS:.1f} s after the exit, too "
            "early",
            measured,
        )
    active, last = _active_at(bundle, bound.ns)
    if not active or last is None:
        raise Unjudgeable("the watch does not show the Job active at the bound", measured)
    gone = course.sidecar.exited_latest
    if gone is not None and gone <= quit_.ns:
        raise Unjudgeable(
            "the sidecar had ended by itself before it was told to quit: it is not what the Job "
            "waited for",
            measured,
            _exits(course),
        )
    if course.asked_to_stop is not None and course.asked_to_stop < quit_.ns:
        raise Unjudgeable(
            "the kubelet had told the sidecar to stop before the scenario did: the Job was slow, "
            "not blocked",
            measured,
        )
    if course.complete is None or gone is None:
        raise Unjudgeable(
            "the Job did not complete when the sidecar was told to quit: the cause is not proven",
            measured,
        )
    if course.complete.ns < gone:
        raise Unjudgeable(
            "the Job was Complete before its sidecar had ended: it is not what the Job waited for",
            measured,
            (_complete(course.complete), *_exits(course)),
        )
    return broken(
        "never-completes",
        f"The Job was still active {(bound.ns - course.exited) / NS:.1f} s after its main "
        f"container's exit, and completed {(course.complete.ns - quit_.ns) / NS:.1f} s after the "
        "sidecar was told to quit.",
        measured,
        (
            in_watch(last, "Job active"),
            at_step(quit_, "sidecar told to quit"),
            *_exits(course),
            _complete(course.complete),
        ),
    )


def _course(bundle: Bundle) -> _Course:
    found = lives(bundle)
    its, sidecars = found[bundle.index.app], found[bundle.index.sidecars[-1]]
    if not its or its[-1].exited is None:
        raise Unjudgeable("no exit of the Job's main container is in runtime.log")
    if not sidecars:
        raise Unjudgeable("the sidecar never started")
    app, sidecar = its[-1], sidecars[-1]
    assert app.exited is not None
    if app.exited.status:
        raise Unjudgeable(
            f"the Job's main container failed with {app.exited.status}: it had nothing to complete",
            evidence=(Evidence(File.RUNTIME, app.exited.number, ns=app.exited.ns),),
        )
    return _Course(
        app=app,
        sidecar=sidecar,
        exited=app.exited_latest or app.exited.ns,
        complete=_first_complete(bundle),
        bound=bundle.step(Step.JOB_BOUND),
        quit=bundle.step(Step.SIDECAR_QUIT_ASKED),
        asked_to_stop=min((stop.ns for stop in sidecar.stops), default=None),
    )


def _earliest_exit(bundle: Bundle, course: _Course) -> int:
    last = stamp_events(bundle, bundle.index.app, Stamp.APP_LAST)
    return last[-1].earliest if last else course.exited


def _first_complete(bundle: Bundle) -> Line | None:
    for line in of_subject(bundle):
        for one in _status(line).get("conditions") or ():
            if one["type"] == "Complete" and one["status"] == "True":
                return line
    return None


def _active_at(bundle: Bundle, ns: int) -> tuple[bool, Line | None]:
    """Whether the last version of the Job that was received by then says that it is active."""
    before = [line for line in of_subject(bundle) if line.ns <= ns]
    if not before:
        return False, None
    return bool(_status(before[-1]).get("active")), before[-1]


def _status(line: Line) -> Mapping[str, Any]:
    found: Mapping[str, Any] = line["object"].get("status") or {}
    return found


def _watched_until(bundle: Bundle) -> int:
    return diary_end(bundle)


def _complete(line: Line) -> Evidence:
    return in_watch(line, "Job Complete")


def _exits(course: _Course) -> tuple[Evidence, ...]:
    return tuple(life.exit_evidence() for life in (course.app, course.sidecar) if life.exited)

"""stop.ready-during-drain: who withdraws its readiness while its pod ends is called unready.

It must be before the container's own end: a container that has ended is not ready either, and says
nothing of the probe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Stamp
from conformance.judges.deletion import Deletion, deletion_of, removed
from conformance.judges.ordering import ended
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import Object, in_watch, specified, statuses, versions
from conformance.model import NS, Evidence, Finding, Measured

# A container must go on for so many times as long as the news of the twin's took, before none
# counts as frozen.
TIMES = 3


@dataclass(frozen=True)
class _Course:
    """What became of one container's readiness. over: its end. unready: the first version of the
    pod after the withdrawal that calls it running and not ready; None for none before its end."""

    name: str
    withdrawn: Event
    over: Event
    last: Line
    unready: Line | None

    @property
    def after(self) -> float | None:
        """Seconds from the withdrawal to the news of it."""
        return round((self.unready.ns - self.withdrawn.latest) / NS, 3) if self.unready else None

    @property
    def went_on_ns(self) -> int:
        return self.over.earliest - self.withdrawn.latest


def ready_during_drain(bundle: Bundle) -> Finding:
    """To hold: app and sidecar, ready at the deletion by an exec probe, were each called running
    and not ready after they had withdrawn their readiness and before their end.

    To be broken: one of them was called ready to its end, and went on for several times as long as
    the news of it took in a twin that was not deleted.
    """
    deletion = deletion_of(bundle, SUBJECT_ROLE)
    names = (bundle.index.app, *bundle.index.sidecars)
    courses = [_course(bundle, deletion, name) for name in names]
    slowest = max(_twins(bundle, name) for name in names)
    measured: Measured = {
        "unready_after_seconds": {one.name: one.after for one in courses},
        "went_on_seconds": {one.name: round(one.went_on_ns / NS, 3) for one in courses},
        "twin_unready_after_seconds": round(slowest / NS, 3),
    }
    evidence: list[Evidence] = []
    for one in courses:
        news = one.unready or one.last
        evidence += [*one.withdrawn.evidence, in_watch(news, f"{one.name}: {_word(one.unready)}")]
        evidence += one.over.evidence
    frozen = [one for one in courses if one.unready is None]
    if not frozen:
        told = ", ".join(f"{one.name} {one.after:.2f} s" for one in courses)
        return holds(
            f"Called unready after the withdrawal of its readiness: {told}; the app went on for "
            f"{courses[0].went_on_ns / NS:.1f} s.",
            measured,
            evidence,
        )
    for one in frozen:
        if one.went_on_ns < TIMES * slowest:
            raise Unjudgeable(
                f"{one.name} went on for {one.went_on_ns / NS:.1f} s only after it had withdrawn "
                f"its readiness, and the news of the twin's took {slowest / NS:.1f} s",
                measured,
                evidence,
            )
    told = " and ".join(f"{one.name} ({one.went_on_ns / NS:.1f} s)" for one in frozen)
    return broken(
        "ready-frozen",
        f"Called ready from the withdrawal of its readiness to its end: {told}; in a pod that was "
        f"not deleted the news took {slowest / NS:.1f} s.",
        measured,
        evidence,
    )


def _word(unready: Line | None) -> str:
    return "not ready" if unready else "ready"


def _course(bundle: Bundle, deletion: Deletion, name: str) -> _Course:
    """Raises Unjudgeable when it had no such probe, was not ready, or nothing can be told."""
    withdrawn = _withdrawn(bundle, SUBJECT_ROLE, name, deletion.asked.ns)
    over = ended(bundle, deletion.last(name))
    seen = list(_seen(bundle, SUBJECT_ROLE, name))
    before = [(line, each) for line, each in seen if line.ns < deletion.asked.ns]
    if not before or not before[-1][1].get("ready"):
        raise Unjudgeable(f"{name} was not ready when its pod was deleted")
    # The watch must have lived on, or its silence says nothing.
    if removed(bundle, SUBJECT_ROLE).ns < over.earliest:
        raise Unjudgeable(f"the pod was removed before {name} had ended")
    last = before[-1][0]
    for line, each in seen:
        if line.ns < withdrawn.latest:
            if line.ns >= deletion.asked.ns and not each.get("ready"):
                raise Unjudgeable(f"{name} was called unready before it had withdrawn it")
            last = line
        elif "running" not in each.get("state", {}):
            break
        elif not each.get("ready"):
            if line.ns >= over.earliest:
                raise Unjudgeable(
                    f"whether {name} was called unready before its end cannot be told"
                )
            return _Course(name, withdrawn, over, last, line)
        else:
            last = line
    return _Course(name, withdrawn, over, last, None)


def _twins(bundle: Bundle, name: str) -> int:
    """How long the news took in the twin (ns). Raises Unjudgeable when there was none."""
    withdrawn = _withdrawn(bundle, Role.TWIN, name, 0)
    for line, each in _seen(bundle, Role.TWIN, name):
        if line.ns > withdrawn.earliest and not each.get("ready"):
            return line.ns - withdrawn.earliest
    raise Unjudgeable(f"{name} of the twin, too, was never called unready")


def _withdrawn(bundle: Bundle, role: str, name: str, since_ns: int) -> Event:
    for one in stamp_events(bundle, name, Stamp.HOOK_END, role=role):
        if one.latest >= since_ns:
            return one
    raise Unjudgeable(f"{name} of {role} never told that it withdrew its readiness")


def _seen(bundle: Bundle, role: str, name: str) -> Iterator[tuple[Line, Object]]:
    """Each version of a pod with what it says of a container. Raises Unjudgeable when the
    container as it was admitted is not probed by a command."""
    for line in versions(bundle, role):
        its = specified(line["object"].get("spec") or {}).get(name, {})
        if "exec" not in its.get("readinessProbe", {}):
            raise Unjudgeable(f"{name} of {role} has no exec readiness probe")
        if name in (found := statuses(line)):
            yield line, found[name]

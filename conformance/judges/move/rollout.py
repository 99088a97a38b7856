"""move.rollout and move.upgrade: a workload is moved to the other pattern, or to another control
plane, by a rolling update under load.

Two things are asked of the whole move. Did anything cross in clear, on the pod that goes or on the
one that comes? And what became of every request: those that a classic pod loses while it starts or
ends are the price that the classic pattern has always had, and the move pays it once more; those
that a native pod loses while it ends are that pod's; any other loss is the move's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from conformance.evidence.access_log import Record, records
from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.coverage import Blind, Coverage
from conformance.evidence.probes import first_success
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside, identity
from conformance.judges.lateness import TIMEOUT, blamable, hazard_of
from conformance.judges.ordering import sidecars_end
from conformance.judges.premise import pattern_of, require_premise
from conformance.judges.survey import Survey, Surveyor
from conformance.model import Finding, Measured, Value, Window

_ROLLOUT, _UPGRADE = "move.rollout", "move.upgrade"
FORMER = "former"
_SENDERS = ("peer", FORMER, SUBJECT_ROLE)
# Kinds that are meant to be answered; the witness' mesh port never answers.
_MEANT = ("first", "steady", "drain", "quick", "inflight", "stream")
MIN_REQUESTS = 50  # the fixtures send some twenty a second
MIN_EACH = 5  # of each pod: one that asks for nothing loses nothing
_TOLD = 100
_CLASSIC, _NATIVE, _MOVE = "classic", "native", ""  # whose pod's start or end lost a request
# The worst is told first.
_HAZARDS = {_MOVE: "lost-request", _NATIVE: "lost-by-native", _CLASSIC: "lost-by-classic"}


@dataclass(frozen=True)
class _Look:
    """One pod's packets."""

    role: str
    file: str
    survey: Survey
    watched: Coverage
    life: Window
    ended: bool


@dataclass(frozen=True)
class _Loss:
    """A request that was not answered rightly, and what it met."""

    attempt: Attempt
    cause: str
    blame: str


def move(bundle: Bundle) -> Finding:
    """To hold: nothing in clear, and every request answered. To be broken: plaintext; requests that
    only a classic pod's start or end lost (lost-by-classic), or a native pod's end
    (lost-by-native); or any other loss (lost-request)."""
    require_premise(bundle)
    other = "classic" if bundle.index.cell.pattern == "native" else "native"
    _require_former(bundle, other)
    return _judge(_ROLLOUT, bundle, other)


def upgrade(bundle: Bundle) -> Finding:
    """The same, between two pods of one pattern that two control planes have made."""
    require_premise(bundle)
    pattern = bundle.index.cell.pattern
    _require_former(bundle, pattern)
    made_by = bundle.step("control-planes")
    if made_by is None or not made_by.get(FORMER) or not made_by.get(SUBJECT_ROLE):
        raise Unjudgeable("which control planes made the pods is not known")
    if made_by[FORMER] == made_by[SUBJECT_ROLE]:
        raise Unjudgeable(f"both pods were made by the control plane {made_by[FORMER]}")
    return _judge(_UPGRADE, bundle, pattern)


def _judge(behaviour: str, bundle: Bundle, former: str) -> Finding:
    window = _window(bundle)
    looks = [_look(bundle, FORMER, window), _look(bundle, SUBJECT_ROLE, window)]
    sent = _sent(bundle, window)
    lost = _lost(bundle, window, sent, former)
    measured = {**_measured(window, looks, sent, lost), **_retried(bundle, window)}

    leaks = [(look, sight) for look in looks for sight in look.survey.leaks.told]
    if leaks:
        number = sum(look.survey.leaks.number for look in looks)
        first = leaks[0][1].evidence(leaks[0][0].file)
        return Finding(
            behaviour,
            "broken",
            f"{number} pieces of plaintext while the workload was moved; first: {first.text}.",
            hazard="plaintext",
            measured=measured,
            evidence=[sight.evidence(look.file) for look, sight in leaks[:_TOLD]],
        )
    for look in looks:
        _require_watched(look, measured)
    if len(sent) < MIN_REQUESTS:
        raise Unjudgeable(
            f"{len(sent)} requests during the move, and {MIN_REQUESTS} are needed",
            measured=measured,
        )
    for role in _SENDERS:
        number = sum(one.file == stamps_file(role, bundle.index.app) for one in sent)
        if number < MIN_EACH:
            raise Unjudgeable(
                f"{number} requests of {role} during the move, and {MIN_EACH} are needed",
                measured=measured,
            )
    floor = f"at 95 % fewer than {min(1, 3 / len(sent)):.1%} of requests are lost or leak"
    if not lost:
        return Finding(
            behaviour,
            "holds",
            f"All {len(sent)} requests in {window.seconds:.1f} s of the move were answered, and "
            f"none was in clear; {floor}.",
            measured=measured,
            evidence=[one.evidence for one in sent[:1]],
        )
    sure = blamable([one.attempt for one in lost], sent, measured)
    lost = [one for one in lost if one.attempt in sure]
    blame = next(its for its in _HAZARDS if any(one.blame == its for one in lost))
    told = [one for one in lost if one.blame == blame]
    causes = ", ".join(f"{number} {cause}" for cause, number in _by_cause(told).items())
    return Finding(
        behaviour,
        "broken",
        f"{len(told)} of {len(sent)} requests were lost ({causes}); nothing was in clear.",
        hazard=hazard_of((one.attempt for one in told), _HAZARDS[blame]),
        measured=measured,
        evidence=[one.attempt.evidence for one in told[:_TOLD]],
    )


def _window(bundle: Bundle) -> Window:
    """From the change of the template, when all went well in both directions, to the end."""
    return Window("move", _step(bundle, "rollout.begin"), _step(bundle, "rollout.end"))


def _step(bundle: Bundle, name: str) -> int:
    step = bundle.step(name)
    if step is None:
        raise Unjudgeable(f"the move did not come to {name}")
    return step.ns


def _require_former(bundle: Bundle, pattern: str) -> None:
    """The pod that went had this pattern: else it was another move."""
    former = bundle.index.pods.get(FORMER)
    uid = former.uid if former else ""
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["uid"] == uid:
            spec = line["object"]["spec"]
            seen = {pattern_of(spec, sidecar) for sidecar in bundle.index.sidecars}
            if seen != {pattern}:
                raise Unjudgeable(
                    f"the pod that went was {' and '.join(sorted(seen))}, not {pattern}"
                )
            return
    raise Unjudgeable("the pod that went is not in watch.jsonl")


def _look(bundle: Bundle, role: str, window: Window) -> _Look:
    """Survey a pod's packets, from its first (before the move, too) to the end of the move."""
    view = bundle if role == SUBJECT_ROLE else seen_from(bundle, role)
    own = identity(view)
    surveyor = Surveyor(view.index, replace(window, start=0), own.local, own.mac)
    watched = from_inside(view, surveyor.see)
    ended = role == FORMER  # its last beacon is its end; the new one outlives the move
    end = watched.end if ended else window.end
    begin = min(watched.start, end)
    life = Window(f"{role} pod", begin, end)
    return _Look(role, view.capture_file, surveyor.finish(), watched, life, ended)


def seen_from(bundle: Bundle, role: str) -> Bundle:
    """The same evidence, with another of its pods as the one that is looked at."""
    index = bundle.index
    if role not in index.pods:
        raise Unjudgeable(f"no pod with the role {role} is in cell.json")
    pod = index.pods[role]
    other = Bundle.open(bundle.root)
    pods = {**index.pods, pod.name: pod}
    other.__dict__["index"] = replace(index, subject=pod.name, pods=pods)  # what it would read
    return other


def _require_watched(look: _Look, measured: Measured) -> None:
    problems = look.watched.problems(look.life, to_the_end=look.ended)
    if problems:
        words = [one.why if isinstance(one, Blind) else one for one in problems]
        raise Unjudgeable(
            f"capture of the {look.role} pod blind: {'; '.join(words[:5])}",
            retry=any(isinstance(one, Blind) for one in problems),
            measured=measured,
        )
    if not look.survey.controls.number and not _saw_control(look):
        raise Unjudgeable(
            f"judge blind: the deliberate canary of the {look.role} pod was not found",
            measured=measured,
        )
    if look.survey.doubts.number:
        first = look.survey.doubts.told[0]
        raise Unjudgeable(
            f"{look.survey.doubts.number} pieces of payload cannot be judged: first {first.what}, "
            f"frame {first.frame}",
            measured=measured,
        )
    if not look.survey.tls_bytes:
        raise Unjudgeable(f"no TLS was seen on the {look.role} pod", measured=measured)


def _saw_control(look: _Look) -> bool:
    """The canary lies inside the window here, where it counts as explained."""
    return bool(look.survey.explained.get("control"))


def _sent(bundle: Bundle, window: Window) -> Sequence[Attempt]:
    """What was sent in the window, and came to its end there.

    What was under way when the former pod went may hang until its sender's patience is over. But
    behind the window the new pod is taken away, which cuts what is still being answered.
    """
    gone = _step(bundle, "former.gone")
    return [
        one
        for role in _SENDERS
        for one in attempts(bundle, role, bundle.index.app)
        if one.kind in _MEANT
        and one.begin_ns in window
        and (
            (one.end_ns or 0) <= window.end
            or (one.begin_ns <= gone and one.outcome in (OK, TIMEOUT))
        )
    ]


def _lost(bundle: Bundle, window: Window, sent: Sequence[Attempt], former: str) -> Sequence[_Loss]:
    told = [
        line.ns for line in bundle.stamps(FORMER, bundle.index.app) if line.event == "app.sigterm"
    ]
    ending = Window("end", min(told, default=window.end), _step(bundle, "former.gone"))
    over = sidecars_end(bundle, FORMER)
    passed = first_success(bundle)[0] if bundle.index.cell.pattern == _CLASSIC else None
    ready = _step(bundle, "subject.ready")
    new = bundle.index.cell.pattern
    found = []

    def at_the_end(ns: int) -> str:
        return former if ns >= over else _MOVE

    for one in sent:
        if one.outcome == OK:
            continue
        sender = one.file.removeprefix("stamps/").partition(".")[0]
        end = one.end_ns or one.begin_ns
        cause, blame = "of the peer in its steady life", _MOVE
        if sender == FORMER:
            cause = f"of the former {former} pod in its steady life"
            if end >= ending.start:
                cause = f"of the former {former} pod while it ended"
                blame = at_the_end(end)
        elif sender == SUBJECT_ROLE:
            cause = f"of the new {new} pod in its steady life"
            if one.begin_ns < ready:
                cause = f"of the new {new} pod while it started"
                waits = passed is None or one.begin_ns <= passed.latest
                blame = _CLASSIC if new == _CLASSIC and waits else _MOVE
        elif end in ending or (one.outcome == TIMEOUT and one.begin_ns in ending):
            cause = f"of the peer while the former {former} pod ended"
            blame = at_the_end(end)
        found.append(_Loss(one, cause, blame))
    return found


def _retried(bundle: Bundle, window: Window) -> dict[str, Value]:
    """How many requests that are meant to be answered a proxy had to send again: what a mesh
    without retries would have lost. None where the proxies do not count."""
    meant = tuple(f".{kind}." for kind in _MEANT)
    counted: list[Record] = []
    for role in _SENDERS:
        with suppress(Unjudgeable):  # no log, or none of its requests in it: nothing is counted
            counted += [
                one
                for one in records(bundle, role).sent
                if (one.begin_ns or 0) in window and any(kind in one.path for kind in meant)
            ]
    retried = sum(one.attempts > 1 for one in counted)
    return {"retried_by_the_proxies": retried if counted else None}


def _by_cause(lost: Sequence[_Loss]) -> dict[str, int]:
    return dict(Counter(one.cause for one in lost))


def _measured(
    window: Window, looks: Sequence[_Look], sent: Sequence[Attempt], lost: Sequence[_Loss]
) -> Measured:
    outcomes: dict[str, Value] = dict(by_outcome(sent))
    causes: dict[str, Value] = dict(_by_cause(lost))
    return {
        "move_seconds": round(window.seconds, 3),
        "requests": len(sent),
        "requests_by_outcome": outcomes,
        "lost": len(lost),
        "lost_by_cause": causes,
        "lost_not_by_classic": sum(one.blame != _CLASSIC for one in lost),
        "rate_bound_95": round(3 / len(sent), 6) if sent else None,
        **{f"{look.role}_leaks": look.survey.leaks.number for look in looks},
        **{f"{look.role}_tls_bytes": look.survey.tls_bytes for look in looks},
        **{f"{look.role}_watched_seconds": round(look.life.seconds, 3) for look in looks},
    }

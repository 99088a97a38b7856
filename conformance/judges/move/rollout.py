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
from dataclasses import dataclass

from conformance.evidence.access_log import Record, records
from conformance.evidence.attempts import OK, TIMEOUT, UNENDED, Attempt, attempts, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.packets.probes import opening
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Role, Stamp, Step
from conformance.judges.density import require_density, trying
from conformance.judges.lateness import blamable, hazard_of
from conformance.judges.ordering import sidecars_end
from conformance.judges.packets import (
    Look,
    look_at,
    require_no_direct_service,
    require_seeing,
    witnessed,
)
from conformance.judges.premise import pattern_of
from conformance.judges.ruling import broken, floor, holds, lines_of, rate_bound, require_number
from conformance.judges.sources import step
from conformance.model import Finding, Measured, Value, Window

_SENDERS = ("peer", Role.FORMER, SUBJECT_ROLE)
# Kinds that are meant to be answered; the witness' mesh port never answers.
_MEANT = ("first", "steady", "drain", "quick", "inflight", Kind.STREAM)
MIN_REQUESTS = 50  # the fixtures send some twenty a second
MIN_EACH = 5  # of each pod: one that asks for nothing loses nothing
_CLASSIC, _NATIVE, _MOVE = "classic", "native", ""  # whose pod's start or end lost a request
# The worst is told first.
_HAZARDS = {_MOVE: "lost-request", _NATIVE: "lost-by-native", _CLASSIC: "lost-by-classic"}


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
    other = "classic" if bundle.index.cell.pattern == "native" else "native"
    _require_former(bundle, other)
    return _judge(bundle, other)


def upgrade(bundle: Bundle) -> Finding:
    """The same, between two pods of one pattern that two control planes have made."""
    pattern = bundle.index.cell.pattern
    _require_former(bundle, pattern)
    made_by = bundle.step(Step.CONTROL_PLANES)
    if made_by is None or not made_by.get(Role.FORMER) or not made_by.get(SUBJECT_ROLE):
        raise Unjudgeable("which control planes made the pods is not known")
    if made_by[Role.FORMER] == made_by[SUBJECT_ROLE]:
        raise Unjudgeable(f"both pods were made by the control plane {made_by[Role.FORMER]}")
    return _judge(bundle, pattern)


def _judge(bundle: Bundle, former: str) -> Finding:
    window = _window(bundle)
    looks = [
        look_at(bundle, Role.FORMER, window.end, ended=True),
        look_at(bundle, SUBJECT_ROLE, window.end),
    ]
    sent = _sent(bundle, window)
    lost = _lost(bundle, window, sent, former)
    measured = {**_measured(window, looks, sent, lost), **_retried(bundle, window)}

    leaks = [leak for look in looks for leak in look.leaks]
    tokens = {token for look in looks for token in look.survey.tokens}
    leaks += witnessed(bundle, window, tokens, (Role.FORMER, SUBJECT_ROLE))
    if leaks:
        number = max(len(leaks), sum(look.survey.leaks.number for look in looks))
        return broken(
            "plaintext",
            f"{number} pieces of plaintext while the workload was moved; first: {leaks[0].text}.",
            measured,
            leaks,
        )
    for look, role in zip(looks, (Role.FORMER, SUBJECT_ROLE), strict=True):
        _require_watched(look, measured)
        require_no_direct_service(bundle, window, bundle.pod(role).ips, tokens)
    require_number(sent, MIN_REQUESTS, "requests during the move", measured)
    for role in _SENDERS:
        number = sum(one.file == stamps_file(role, bundle.index.app) for one in sent)
        require_number(number, MIN_EACH, f"requests of {role} during the move", measured)
    app = bundle.index.app
    require_density(attempts(bundle, Role.PEER, app), window, "the peer", measured)
    missed = f"{floor(len(sent))} of requests are lost or leak"
    if not lost:
        for role in (Role.FORMER, SUBJECT_ROLE):
            alive = trying(bundle, window, role, app)
            require_density(attempts(bundle, role, app), alive, f"the app of {role}", measured)
        return holds(
            f"All {len(sent)} requests in {window.seconds:.1f} s of the move were answered, and "
            f"none was in clear; {missed}.",
            measured,
            lines_of(sent),
        )
    sure = blamable([one.attempt for one in lost], sent, measured)
    lost = [one for one in lost if one.attempt in sure]
    blame = next(its for its in _HAZARDS if any(one.blame == its for one in lost))
    told = [one for one in lost if one.blame == blame]
    causes = ", ".join(
        f"{number} {cause}" for cause, number in Counter(one.cause for one in told).items()
    )
    return broken(
        hazard_of((one.attempt for one in told), _HAZARDS[blame]),
        f"{len(told)} of {len(sent)} requests were lost ({causes}); nothing was in clear.",
        measured,
        [one.attempt.evidence for one in told],
    )


def _window(bundle: Bundle) -> Window:
    """From the change of the template, when all went well in both directions, to the end."""
    return Window("move", step(bundle, Step.ROLLOUT_BEGIN).ns, step(bundle, Step.ROLLOUT_END).ns)


def _require_former(bundle: Bundle, pattern: str) -> None:
    """The pod that went had this pattern: else it was another move."""
    former = bundle.index.pods.get(Role.FORMER)
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


def _require_watched(look: Look, measured: Measured) -> None:
    require_seeing(look, measured)
    if not look.saw_control:
        raise Unjudgeable(
            f"judge blind: the deliberate canary of the {look.role} pod was not found", measured
        )
    if not look.survey.tls_bytes:
        raise Unjudgeable(f"no TLS was seen on the {look.role} pod", measured)


def _sent(bundle: Bundle, window: Window) -> Sequence[Attempt]:
    """What was sent in the window, and came to its end there.

    What was under way when the former pod went may hang until its sender's patience is over. But
    after the window the new pod is taken away, which cuts what is still being answered.
    """
    gone = step(bundle, Step.FORMER_GONE).ns
    return [
        one
        for role in _SENDERS
        for one in attempts(bundle, role, bundle.index.app)
        if one.kind in _MEANT
        and one.begin_ns in window
        and (
            (one.end_ns is not None and one.end_ns <= window.end)
            or (one.begin_ns <= gone and one.outcome in (OK, TIMEOUT, UNENDED))
        )
    ]


def _lost(bundle: Bundle, window: Window, sent: Sequence[Attempt], former: str) -> Sequence[_Loss]:
    told = [
        line.ns
        for line in bundle.stamps(Role.FORMER, bundle.index.app)
        if line.event == Stamp.APP_SIGTERM
    ]
    ending = Window("end", min(told, default=window.end), step(bundle, Step.FORMER_GONE).ns)
    over = sidecars_end(bundle, Role.FORMER)
    ready = step(bundle, Step.SUBJECT_READY).ns
    # Of the life in which the pod became ready: one that ended before took its gate with it.
    passed = opening(bundle, ready)[0] if bundle.index.cell.pattern == _CLASSIC else None
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
        if sender == Role.FORMER:
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


def _measured(
    window: Window, looks: Sequence[Look], sent: Sequence[Attempt], lost: Sequence[_Loss]
) -> Measured:
    outcomes: dict[str, Value] = dict(by_outcome(sent))
    causes: dict[str, Value] = dict(Counter(one.cause for one in lost))
    return {
        "move_seconds": round(window.seconds, 3),
        "requests": len(sent),
        "requests_by_outcome": outcomes,
        "lost": len(lost),
        "lost_by_cause": causes,
        "lost_not_by_classic": sum(one.blame != _CLASSIC for one in lost),
        "rate_bound_95": rate_bound(len(sent)),
        **{f"{look.role}_leaks": look.survey.leaks.number for look in looks},
        **{f"{look.role}_tls_bytes": look.survey.tls_bytes for look in looks},
        **{f"{look.role}_watched_seconds": round(look.life.seconds, 3) for look in looks},
    }

"""crash.no-plaintext and crash.outcome: what becomes of traffic while the sidecar is away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from conformance.evidence import windows
from conformance.evidence.attempts import (
    LATE,
    OK,
    TIMEOUT,
    UNENDED,
    Attempt,
    attempts,
    by_outcome,
    served,
)
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.crashes import Crash, crashes
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Role, Step
from conformance.judges.density import require_density
from conformance.judges.lateness import LATE_NS, crowded
from conformance.judges.packets import survey
from conformance.judges.plaintext import BESIDE, judge_window
from conformance.judges.ruling import broken, holds, lines_of, require_number
from conformance.model import NEVER, NS, Finding, Measured, Value, Window

# The app sends every 100 ms, and the quickest restart takes most of a second.
MIN_AWAY = 3
# Requests each way after a crash: the scenario waits for more of them.
MIN_AGAIN = 3
# A client that tried to connect while the sidecar was away may still wait when it is back, and its
# proxy has new requests wait with it: for 1 s, the reference mesh's connect timeout
# (fixtures/envoy/config.py). Seen where the app took the connection itself, and did not know TLS.
SETTLE_NS = 3 * NS // 2
_EGRESS, _INGRESS, _LONG = (Kind.STEADY,), (Kind.QUICK,), ("inflight", Kind.STREAM)


def no_plaintext(bundle: Bundle) -> Finding:
    """No plaintext from each crash of the sidecar on until the pod is ready again.

    A leak that was seen in one window counts, whatever is in doubt in another.
    """
    findings: list[Finding] = []
    lacks: list[Unjudgeable] = []
    for one in crashes(bundle):
        try:
            findings.append(_clear_in(bundle, one))
        except Unjudgeable as why:
            lacks.append(why)
    leaked = [one for one in findings if one.observed == "broken"]
    if lacks and not leaked:
        raise lacks[0]
    told = leaked or findings
    hazard = BESIDE if leaked and _leaked(bundle, windows.before_crash(bundle)) else told[0].hazard
    return replace(
        told[0],
        hazard=hazard,
        reason=" ".join(one.reason for one in told),
        measured={name: value for one in findings for name, value in one.measured.items()},
        evidence=[each for one in told for each in one.evidence],
    )


def _clear_in(bundle: Bundle, one: Crash) -> Finding:
    if one.back is None:  # then a leak counts, but no absence of one
        rest = Window(one.name, one.asked.ns, _over_ns(bundle))
        with suppress(Unjudgeable):
            found = judge_window(bundle, rest, rest, to_the_end=False)
            if found.observed == "broken":
                return found
    found = judge_window(bundle, one.window, one.window, to_the_end=False)
    away = [each for each in _sent(bundle, SUBJECT_ROLE, _EGRESS) if each.begin_ns in one.away]
    measured: Measured = {
        **{f"{_word(one)}_{name}": value for name, value in found.measured.items()},
        f"{_word(one)}_requests_while_away": len(away),
    }
    if found.observed == "holds":
        _require_away(one, away, measured)
    return replace(found, measured=measured)


def outcome(bundle: Bundle) -> Finding:
    """To hold: what is sent after the sidecar's return is answered, both ways; and nothing is
    answered while there is none, which would have gone past it.

    What is lost while it is away, and of what was under way when it ended, is counted.
    """
    found = crashes(bundle)
    sent = [
        *_sent(bundle, SUBJECT_ROLE, _EGRESS),
        *_sent(bundle, "peer", (*_INGRESS, *_LONG)),
    ]
    span = Window("crashes", found[0].window.start, found[-1].window.end)
    leaked = _leaked(bundle, span)
    measured: dict[str, Value | dict[str, Value]] = {}
    said = [_count(bundle, one, sent, leaked, measured) for one in found]
    past = [
        each
        for one in found
        for each in sent
        if each.outcome == OK and each.begin_ns in one.gone and (each.end_ns or 0) in one.gone
    ]
    if past:
        why = f"{len(past)} requests were answered while there was no sidecar."
        return broken("bypassed", why, measured, lines_of(past))
    later = [each for span in _afters(bundle, found) for each in sent if _within(each, span)]
    after = [each for each in later if not any(each.begin_ns in _settling(one) for one in found)]
    lost = [each for each in after if each.outcome != OK and not _late(each)]
    hanging = _hanging(bundle, found)
    late = [*(each for each in after if each.outcome != OK and _late(each)), *hanging]
    after += hanging
    measured["requests_after"] = dict(by_outcome(after))
    measured["late_after"] = len(late)
    measured["lost_just_after"] = sum(one.outcome != OK for one in later if one not in after)
    if late and not lost and crowded(_undisturbed(sent, found)):
        raise Unjudgeable(
            f"{len(late)} of {len(after)} requests after the sidecar's return came to no end in "
            "their time, and others were answered late: whether they hung or the machine was slow "
            "cannot be told",
            measured,
            lines_of(late),
        )
    if lost or late:
        return broken(
            "not-recovered",
            f"{len(lost) + len(late)} of {len(after)} requests were lost after the sidecar was "
            "ready again.",
            measured,
            lines_of([*lost, *late]),
        )
    for kinds in (_EGRESS, _INGRESS):
        number = sum(one.kind in kinds and one.outcome == OK for one in after)
        require_number(
            number,
            MIN_AGAIN * len(found),
            f"requests ({', '.join(kinds)}) after the sidecar's return",
            measured,
        )
    for span in _afters(bundle, found):
        for kinds, who in ((_EGRESS, "the app"), (_INGRESS, "the peer")):
            require_density((one for one in sent if one.kind in kinds), span, who, measured)
    for one in found:
        _require_away(one, [each for each in sent if each.begin_ns in one.away], measured)
    return holds(
        f"{' '.join(said)} Of {len(after)} requests after its return none was turned away.",
        measured,
        [each for one in found for each in one.died.evidence],
    )


def _count(
    bundle: Bundle,
    one: Crash,
    sent: Sequence[Attempt],
    leaked: frozenset[str],
    measured: dict[str, Value | dict[str, Value]],
) -> str:
    """Count what became of requests in one crash; the counts as a sentence."""
    parts = []
    for name, kinds in (("sent", _EGRESS), ("received", _INGRESS)):
        its = [each for each in sent if each.kind in kinds and each.begin_ns in one.away]
        counts: dict[str, Value] = dict(by_outcome(its))
        counts["in clear"] = sum(each.token in leaked for each in its)
        measured[f"{_word(one)}_{name}_while_away"] = counts
        parts.append(f"{len(its)} {name} ({_words(counts)})")
    under_way = list(_under_way(bundle, one, sent))
    lost = [each for each in under_way if each.outcome != OK]
    measured[f"{_word(one)}_under_way"] = dict(by_outcome(under_way))
    measured[f"{_word(one)}_away_seconds"] = round(one.away.seconds, 3)
    return (
        f"In {one.away.seconds:.2f} s without a sidecar ({one.name}): {', '.join(parts)}; of "
        f"{len(under_way)} under way {len(lost)} were lost."
    )


def _under_way(bundle: Bundle, one: Crash, sent: Iterable[Attempt]) -> Iterator[Attempt]:
    """Slow and streamed requests that the app was answering when the sidecar ended."""
    there = served(bundle, SUBJECT_ROLE, bundle.index.app, _LONG)
    for each in sent:
        begun = there.get(each.token)
        # What is lost ends with the sidecar, which is noticed a little later.
        end = one.died.latest if each.outcome == OK else one.died.earliest
        if begun and begun.begin.ns < one.died.latest and (each.end_ns or end) >= end:
            yield each


def _leaked(bundle: Bundle, span: Window) -> frozenset[str]:
    """Tokens that were in clear on the pod's eth0 meanwhile."""
    return frozenset(survey(bundle, span)[0].tokens)


def _afters(bundle: Bundle, found: Sequence[Crash]) -> Iterator[Window]:
    """The stretches between a return and what came next."""
    nexts = [*(one.asked.ns for one in found[1:]), _over_ns(bundle)]
    for one, until in zip(found, nexts, strict=True):
        yield Window(f"after the {one.name}", one.window.end, until)


def _hanging(bundle: Bundle, found: Sequence[Crash]) -> list[Attempt]:
    """What was begun well after a return, and had waited for a second when the next thing came,
    and in vain: a stretch is not much longer than what a sender waits for."""
    spans = list(_afters(bundle, found))

    def to_the_end(one: Attempt, span: Window) -> bool:
        within = span.start + SETTLE_NS < one.begin_ns < span.end - LATE_NS
        return within and (one.end_ns or NEVER) > span.end

    every = chain(
        attempts(bundle, SUBJECT_ROLE, bundle.index.app),
        attempts(bundle, Role.PEER, bundle.index.app),
    )
    return [
        one
        for one in every
        if one.kind in (*_EGRESS, *_INGRESS)
        and (one.outcome == UNENDED or _late(one))
        and any(to_the_end(one, span) for span in spans)
    ]


def _late(one: Attempt) -> bool:
    """Whether its time was over, by its sender or by a proxy: slow or hanging, not turned away."""
    return one.outcome == TIMEOUT or one.answer == LATE


def _settling(one: Crash) -> Window:
    """Right after a return: what was begun before may still be waited for."""
    return Window(f"after the {one.name}", one.window.end, one.window.end + SETTLE_NS)


def _undisturbed(sent: Iterable[Attempt], found: Sequence[Crash]) -> Iterator[Attempt]:
    """What was sent while the sidecar was there: what is late then is the machine's doing."""
    for each in sent:
        if not any(each.begin_ns in span for one in found for span in (one.window, _settling(one))):
            yield each


def _within(one: Attempt, span: Window) -> bool:
    return one.begin_ns in span and one.end_ns is not None and one.end_ns in span


def _require_away(one: Crash, away: Sequence[Attempt], measured: Measured) -> None:
    require_number(away, MIN_AWAY, f"requests without a sidecar ({one.name})", measured)


def _sent(bundle: Bundle, role: str, kinds: Sequence[str]) -> list[Attempt]:
    return [
        one
        for one in attempts(bundle, role, bundle.index.app)
        if one.kind in kinds and one.outcome != UNENDED
    ]


def _over_ns(bundle: Bundle) -> int:
    end = bundle.step(Step.END)
    assert end is not None
    return end.ns


def _word(one: Crash) -> str:
    return one.name.replace(" ", "_")


def _words(counts: dict[str, Value]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)

"""A crowded machine: where answers come late all around, an answer that did not come in time is no
proof that it was lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from conformance.evidence.attempts import LATE, OK, TIMEOUT, UNENDED, Attempt, attempts
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Kind, Role
from conformance.judges.ruling import lines_of
from conformance.model import NS, Measured

# What is answered at once. It takes 2 to 20 ms on two quiet cores, and 100 to 700 at a load of 50,
# when nothing times out (2 s, or 3).
_QUICK = ("first", "steady", "drain", "quick", "job", "init", "pool", "raw", Kind.TOUCH)
LATE_NS = NS
# Seen: 2 to 37 % where requests timed out (a load of 130 on two cores); up to 1.4 % where none did.
LATE_SHARE = 0.02
LEAST = 2
# A stall is shorter than the window: beside a request that timed out in one, 14 of 19 others came
# late, of both pods; over the whole window 1 % (a load of 40).
LEAST_BESIDE = 5
TIMED_OUT = "timed-out"  # the hazard: no control arm expects it


def only_timed_out(lost: Iterable[Attempt]) -> bool:
    """Whether none of the lost was refused, cut or answered wrongly: that nobody answered in time
    is a loss, and shows no more than that somebody was slow. So it reproduces no other hazard."""
    return all(one.outcome == TIMEOUT for one in lost)


def hazard_of(lost: Iterable[Attempt], its: str) -> str:
    """The hazard of losses: its, unless all merely timed out."""
    return TIMED_OUT if only_timed_out(lost) else its


def sent_by(bundle: Bundle, *roles: str) -> Iterator[Attempt]:
    """What the apps of these roles' pods sent, as far as they wrote it down."""
    for role in roles:
        if bundle.has(stamps_file(role, bundle.index.app)):
            yield from attempts(bundle, role, bundle.index.app)


def by_both(bundle: Bundle) -> Iterator[Attempt]:
    """What both pods sent: they share a machine, and whose requests are lost has few late ones."""
    yield from attempts(bundle, SUBJECT_ROLE, bundle.index.app)
    yield from attempts(bundle, Role.PEER, Container.APP)


def crowded(sent: Iterable[Attempt]) -> int:
    """How many quick requests were answered late; 0 unless so many that the machine was crowded."""
    took = [taken for one in sent if (taken := _quickly_answered(one)) is not None]
    late = sum(ns > LATE_NS for ns in took)
    return late if late >= max(LEAST, LATE_SHARE * len(took)) else 0


def _stalled(lost: Attempt, sent: Iterable[Attempt]) -> int:
    """How many of the quick requests under way beside a lost one were answered late; 0 unless most
    of them were, so that what held them up held it up too."""
    end = lost.begin_ns + LATE_NS if lost.end_ns is None else lost.end_ns
    took = [
        taken
        for one in sent
        if (taken := _quickly_answered(one)) is not None
        and one.begin_ns < end
        and one.begin_ns + taken > lost.begin_ns
    ]
    late = sum(ns > LATE_NS for ns in took)
    return late if late >= LEAST_BESIDE and 2 * late > len(took) else 0


def _quickly_answered(one: Attempt) -> int | None:
    """How long a request took (ns) whose answer takes no time, if it was answered."""
    if one.kind not in _QUICK or one.outcome != OK or one.end_ns is None:
        return None
    return one.end_ns - one.begin_ns


def _merely_late(one: Attempt) -> bool:
    """Whether its time was over, by its sender or by a proxy that could not connect in its own."""
    return one.outcome in (TIMEOUT, UNENDED) or one.answer == LATE


def blamable(
    lost: Sequence[Attempt], sent: Iterable[Attempt], measured: Measured
) -> Sequence[Attempt]:
    """Of the lost requests those that cannot be the machine's: all, unless it was crowded, or stood
    still beside them, and then those that did not merely time out.

    sent: requests around them. Raises Unjudgeable when every loss may be the machine's.
    """
    around = list(sent) if lost else []
    late = crowded(around)
    beside = {
        place: late or _stalled(one, around) for place, one in enumerate(lost) if _merely_late(one)
    }
    sure = [one for place, one in enumerate(lost) if not beside.get(place)]
    if lost and not sure:
        raise Unjudgeable(
            f"{len(lost)} request{'s' if len(lost) > 1 else ''} timed out while "
            f"{max(beside.values())} were answered after more than a second: the machine was too "
            "crowded to tell a loss from a late answer",
            measured,
            lines_of(lost),
        )
    return sure

"""logs.first and logs.last: which of the app's lines reach the sink.

The app's own record is held against the sink's, line by line. The shipper is in the middle and is
asked nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.index import shortest
from conformance.evidence.log_lines import (
    SINK,
    Received,
    Run,
    Written,
    merged,
    received,
    require_sink,
    size,
    written,
)
from conformance.evidence.timeline import Life, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Stamp, Step
from conformance.judges.ruling import broken, holds, require_number
from conformance.model import NS, Evidence, Finding, Measured

# A second of ten lines, and the first and last one.
MIN_LINES = 20
# The app goes on writing for so long after its own SIGTERM: a shipper that is signalled beside it
# cannot have delivered the last lines by chance.
MIN_DRAIN_NS = 1 * NS
# Of the lines a second that were asked for. Less, and the machine was too slow for the claim.
MIN_RATE = 0.9
# A batch is stamped when it is all in the file: a shipper may be as quick as that.
WRITTEN_WITHIN_NS = 1 * NS
# The sink stamps a request when it has read it, which may be after the end of who sent it.
DELIVERED_WITHIN_NS = 1 * NS


def first(bundle: Bundle) -> Finding:
    """To hold: the sink has the app's first line. To be broken: lines from the first on are
    missing, and later ones arrived."""
    wrote, got = look(bundle)
    (line, _), *_ = got.held
    measured = measure(bundle, wrote, got)
    arrival = got.arrival_of(line)
    assert arrival is not None
    if line:
        return broken(
            "lost-lines" if _crashed_before(bundle, arrival.ns) else "lost-first",
            f"The first {line} lines of {wrote.count} never arrived: line {line} is the first that "
            "the sink holds.",
            measured,
            (wrote.evidence(0), wrote.evidence(line - 1), arrival.evidence),
        )
    took = (arrival.ns - wrote.batches[0].ns) / NS
    return holds(
        f"The app's first line was at the sink {took:.2f} s after it was written; {wrote.count} "
        f"lines at {wrote.count / max(wrote.seconds, 0.001):.0f} a second.",
        {**measured, "first_line_delay_seconds": round(took, 3)},
        (wrote.evidence(0), arrival.evidence),
    )


def last(bundle: Bundle) -> Finding:
    """To hold: from the first line that arrived on the sink has every line, and the app came to its
    last. To be broken: only lines at the end are missing (lost-last), or others (lost-lines)."""
    wrote, got = look(bundle)
    begin = got.held[0][0]
    lost = got.missing(begin, wrote.count)
    measured = measure(bundle, wrote, got)
    if wrote.ended is None or wrote.ended["lines"] != wrote.count:
        raise Unjudgeable("the app did not come to its last line", measured)
    _require_drain(bundle, wrote, measured)
    if lost:
        return _lost(bundle, wrote, lost, measured)
    final = got.arrival_of(wrote.count - 1)
    assert final is not None
    took = (final.ns - wrote.batches[-1].ns) / NS
    return holds(
        f"All {wrote.count - begin} lines arrived, the last one {took:.2f} s after it was written; "
        f"{got.lines - got.count} came twice.",
        {**measured, "last_line_delay_seconds": round(took, 3)},
        (wrote.evidence(wrote.count - 1), final.evidence),
    )


def _lost(bundle: Bundle, wrote: Written, lost: Sequence[Run], measured: Measured) -> Finding:
    tail = len(lost) == 1 and lost[0][1] == wrote.count - 1
    missing = wrote.batch_of(lost[0][0])
    told = signal_to_shipper(bundle)
    when = ""
    if told is not None:
        ahead = (missing.ns - told.ns) / NS if told.ns is not None else 0.0
        when = (
            f"; the first of them was written {abs(ahead):.2f} s "
            f"{'after' if ahead > 0 else 'before'} the shipper was told to end"
        )
    return broken(
        "lost-last" if tail and ran_until_told(bundle) else "lost-lines",
        f"{size(lost)} of {wrote.count} lines never arrived"
        f"{', all at the end' if tail else f', in {len(lost)} pieces'}{when}.",
        measured,
        [
            *(wrote.evidence(run[0]) for run in lost),
            *([told] if told is not None else []),
        ],
    )


def look(
    bundle: Bundle, role: str = SUBJECT_ROLE, end: int | None = None
) -> tuple[Written, Received]:
    """Both records, if they mean anything: the sink was there to the end, and enough lines were
    written as fast as they were meant to be.

    end: until when what was written had time to arrive (ns); by default the shipper's own end.
    Raises Unjudgeable.
    """
    wrote = written(bundle, role, bundle.index.app)
    got = received(bundle, role)
    until = _ended_ns(bundle) if end is None else end
    settled = require_sink(bundle, wrote.batches[0].ns, until)
    require_number(wrote.count, MIN_LINES, "lines were written")
    if got.held and got.held[-1][1] >= wrote.count + _unrecorded(wrote):
        raise Unjudgeable("the sink holds lines that nobody wrote")
    require_consistent(bundle, role, wrote, got)
    _require_count(bundle, role, got, settled)
    if not got.held:
        raise Unjudgeable("no line arrived at all: the shipper never reached the sink")
    real = wrote.count / max(wrote.seconds, 0.001)
    if real < MIN_RATE * wrote.rate:
        raise Unjudgeable(
            f"the app wrote {real:.0f} lines a second, and not {wrote.rate:.0f}: the machine was "
            "too slow for it"
        )
    return wrote, got


def require_consistent(bundle: Bundle, role: str, wrote: Written, got: Received) -> None:
    """Raises Unjudgeable when the two records contradict each other: lines that came before they
    were written, or from another pod; or a writer that says it wrote more than it recorded."""
    for one in got.arrivals:
        if one.last < wrote.count and one.ns < wrote.batch_of(one.first).ns - WRITTEN_WITHIN_NS:
            raise Unjudgeable(
                f"lines {one.first} to {one.last} were at the sink before {role} had written them",
                evidence=(one.evidence, wrote.evidence(one.first)),
            )
    if wrote.ended is not None and wrote.ended["lines"] > wrote.count:
        raise Unjudgeable(
            f"{role} says that it wrote {wrote.ended['lines']} lines, and recorded {wrote.count}"
        )
    _require_own_sender(bundle, role)
    if role == SUBJECT_ROLE:
        _require_sender_alive(bundle, got)


def _require_own_sender(bundle: Bundle, role: str) -> None:
    """A writer's lines come from its own pod: by its address, by the node's where that hides it, or
    from the sink's own proxy."""
    own = bundle.pod(role).ips
    fair = own | bundle.index.addresses.get("gateway", frozenset()) | {"127.0.0.1", "::1"}
    for line in bundle.stamps(*SINK) if own else ():
        if line.event != Stamp.SINK_RECEIVED or not line["runs"].get(role):
            continue
        sender = shortest(str(line.get("remote") or "").rpartition(":")[0])
        if sender and sender not in fair:
            where = (Evidence(stamps_file(*SINK), line.number, ns=line.ns),)
            raise Unjudgeable(
                f"lines of {role} came from {sender}, which is not its pod", None, where
            )


def _require_sender_alive(bundle: Bundle, got: Received) -> None:
    """Who has ended delivers nothing."""
    gone = shipper_of(bundle)[-1].exited_latest
    late = [one for one in got.arrivals if gone is not None and one.ns > gone + DELIVERED_WITHIN_NS]
    if late and gone is not None:
        raise Unjudgeable(
            f"lines {late[0].first} to {late[0].last} came {(late[0].ns - gone) / NS:.1f} s after "
            "the end of the shipper, which alone could send them",
            evidence=(late[0].evidence,),
        )


def _require_count(bundle: Bundle, role: str, got: Received, settled: Evidence) -> None:
    """The sink, at rest, says that it holds as many lines as it says it received."""
    by_then = [(one.first, one.last) for one in got.arrivals if one.ns <= (settled.ns or 0)]
    count = size(merged(by_then))
    for line in bundle.stamps(*SINK):
        held = (line.get("held") or {}).get(role) if line.number == settled.line else None
        if held is not None and held != count:
            raise Unjudgeable(
                f"the sink says that it holds {held} lines of {role}, and that it received {count}",
                evidence=(settled,),
            )


def measure(bundle: Bundle, wrote: Written, got: Received) -> Measured:
    """What there is to compare between runs."""
    lost = got.missing(0, wrote.count)
    told = signal_to_shipper(bundle)
    gone = shipper_of(bundle)[-1]
    return {
        "written": wrote.count,
        "received": got.count,
        "lost": size(lost),
        "lost_at_the_beginning": got.held[0][0],
        "lost_at_the_end": max(0, wrote.count - 1 - got.held[-1][1]),
        "came_twice": got.lines - got.count,
        "out_of_order": got.reordered,
        "lines_a_second": round(wrote.count / max(wrote.seconds, 0.001), 1),
        "seconds": round(wrote.seconds, 3),
        "shipper_told_before_last_line_seconds": (
            round((wrote.batches[-1].ns - told.ns) / NS, 3) if told and told.ns else None
        ),
        "shipper_exit_code": gone.exited.status if gone.exited else None,
    }


def shipper_of(bundle: Bundle) -> Sequence[Life]:
    """The shipper's containers of the pod under test, one for each run. Raises Unjudgeable."""
    its = lives(bundle)[bundle.index.sidecars[-1]]
    if not its or its[0].created is None:
        raise Unjudgeable("the shipper never started")
    return its


def signal_to_shipper(bundle: Bundle) -> Evidence | None:
    """The announcement of the shipper's signal, the first one; None when there was none."""
    stops = [stop for life in shipper_of(bundle) for stop in life.stops]
    if not stops:
        return None
    told = min(stops, key=lambda one: one.ns)
    text = f"the shipper: signal {told.signal}"
    return Evidence(File.CONTAINERD, told.number, ns=told.ns, text=text)


def ran_until_told(bundle: Bundle) -> bool:
    """Whether the shipper had one run, which ended when it was told to: what one loses that crashed
    on its way may look like the last lines, too."""
    run, told = shipper_of(bundle), signal_to_shipper(bundle)
    if len(run) > 1 or told is None or told.ns is None:
        return False
    gone = run[0].exited_latest
    return gone is None or gone >= told.ns


def _crashed_before(bundle: Bundle, ns: int) -> bool:
    """Whether a run of the shipper had ended before then: what one has read is lost with it."""
    return any(
        one.exited_latest is not None and one.exited_latest < ns for one in shipper_of(bundle)
    )


def _ended_ns(bundle: Bundle) -> int:
    gone = shipper_of(bundle)[-1].exited_latest
    if gone is None:
        raise Unjudgeable("no exit of the shipper is in runtime.log")
    return gone


def _unrecorded(wrote: Written) -> int:
    """Lines that a writer may have written and not recorded, because it was killed in between."""
    return 0 if wrote.ended is not None else max(1, int(wrote.rate))


def _require_drain(bundle: Bundle, wrote: Written, measured: Measured) -> None:
    """A deleted app must have gone on writing; a Job's main ends by itself."""
    if bundle.step(Step.DELETE_ACCEPTED) is None and wrote.sigterm is None:
        return
    if wrote.sigterm is None:
        raise Unjudgeable("the app never said that it got SIGTERM", measured)
    if wrote.batches[-1].ns - wrote.sigterm.ns < MIN_DRAIN_NS:
        raise Unjudgeable(
            "the app wrote for less than a second after its SIGTERM: a shipper signalled beside "
            "it could have delivered everything by chance",
            measured,
        )

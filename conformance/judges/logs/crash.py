"""logs.crash: a log shipper that is killed and restarted goes on where it was."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.log_lines import SINK, Received, merged, size
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Stamp, Step
from conformance.judges.logs.lines import look, shipper_of
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import step
from conformance.model import NS, Evidence, Finding, Measured

_KILLED = 137


def resumes(bundle: Bundle) -> Finding:
    """To hold: every line that was written until the shipper ran again is at the sink, sent twice
    or not. To be broken: some never came, and later ones did. From the first line on that the sink
    had refused before the crash that is its doing (lost-lines), else not (lost-elsewhere)."""
    killed, restarted, resumed = (
        step(bundle, name)
        for name in (Step.SIDECAR_KILL_ASKED, Step.SIDECAR_RESTARTED, Step.SIDECAR_RESUMED)
    )
    lives = shipper_of(bundle)
    if len(lives) < 2 or lives[1].created is None:
        raise Unjudgeable("the shipper was not started a second time")
    if len(lives) > 2:
        raise Unjudgeable("the shipper ended once more than it was made to: whose loss is whose?")
    wrote, got = look(bundle, end=(bundle.step(Step.CRASH_BOUND) or resumed).ns)
    exited = lives[0].exited
    if exited is None or exited.status != _KILLED or exited.ns < killed.ns:
        raise Unjudgeable("no exit of the shipper by a SIGKILL is in runtime.log")
    refused = _refused_before(bundle, killed.ns)
    until = wrote.before(restarted.ns)
    lost = got.missing(0, until)
    window = (lives[1].created.ns - (lives[0].exited_latest or exited.ns)) / NS
    measured: Measured = {
        "written_until_the_restart": until,
        "refused_before_the_crash": refused[0],
        "lost": size(lost),
        "came_twice": got.lines - got.count,
        "out_of_order": got.reordered,
        "window_seconds": round(window, 3),
        "lines_a_second": round(wrote.count / max(wrote.seconds, 0.001), 1),
    }
    if got.held[-1][1] < until:
        raise Unjudgeable(
            "nothing that was written after the crash arrived: the shipper did not go on", measured
        )
    if not refused[0]:
        raise Unjudgeable(
            "the sink had refused no line before the crash: nothing was at stake", measured
        )
    if not _at_stake(bundle, got, lives[0].exited_latest or exited.ns):
        raise Unjudgeable(
            "all that the sink had refused it had taken before the crash: nothing was at stake",
            measured,
        )
    evidence = (
        Evidence(File.RUNTIME, exited.number, ns=exited.ns, text="the shipper, killed"),
        refused[1],
    )
    if lost:
        first, end = _first_refused(bundle, killed.ns), wrote.before(killed.ns)
        at_stake = any(run[0] < end and run[1] >= first for run in lost)
        return broken(
            "lost-lines" if at_stake else "lost-elsewhere",
            f"{size(lost)} of {until} lines were lost by a crash, lines {lost[0][0]} to "
            f"{lost[-1][1]}; the shipper was away for {window:.2f} s.",
            measured,
            (*evidence, *(wrote.evidence(run[0]) for run in lost)),
        )
    return holds(
        f"All {until} lines arrived across a crash of {window:.2f} s; {got.lines - got.count} came "
        "twice.",
        measured,
        evidence,
    )


def _at_stake(bundle: Bundle, got: Received, ns: int) -> int:
    """How many lines the sink had refused by a moment, and had not taken by then."""
    taken = merged((one.first, one.last) for one in got.arrivals if one.ns < ns)
    before = Received([], taken)
    refused = merged(
        (int(first), int(last))
        for line in _refusals(bundle, ns)
        for first, last in line["runs"][SUBJECT_ROLE]
    )
    return sum(size(before.missing(first, last + 1)) for first, last in refused)


def _refusals(bundle: Bundle, ns: int) -> list[Line]:
    """Where the sink says, before a moment, that it refused lines of the pod under test."""
    return [
        line
        for line in bundle.stamps(*SINK)
        if line.event == Stamp.SINK_REFUSED and line["runs"].get(SUBJECT_ROLE) and line.ns < ns
    ]


def _refused_before(bundle: Bundle, ns: int) -> tuple[int, Evidence]:
    """How many lines the sink refused before a moment, and where it says so of the first."""
    found = _refusals(bundle, ns)
    number = sum(size(map(tuple, line["runs"][SUBJECT_ROLE])) for line in found)
    first = found[0] if found else None
    return number, Evidence(
        stamps_file(*SINK),
        line=first.number if first else None,
        ns=first.ns if first else None,
        text="the sink refuses",
    )


def _first_refused(bundle: Bundle, ns: int) -> int:
    """The lowest line that the sink refused before a moment: from it on lines were at stake."""
    return min(
        int(first) for line in _refusals(bundle, ns) for first, _ in line["runs"][SUBJECT_ROLE]
    )

"""Was something tried all the time? What was not tried in a pause cannot have failed in it."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.evidence.attempts import Attempt
from conformance.evidence.bundle import Bundle
from conformance.evidence.timeline import lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Stamp
from conformance.model import NEVER, NS, Measured, Window

# Senders try every 100 ms to every second, and seen on real clusters are pauses of 0.1 to 0.5 s. A
# pause must not hide the shortest time that a window is about: a sidecar that drains for 1.5 s and
# is gone for the 3.5 s that remain of the app's drain.
LONGEST_PAUSE_NS = 2 * NS


def trying(bundle: Bundle, window: Window, role: str, container: str) -> Window:
    """The part of a window in which a sender lived; of an app, until its drain is over: it waits
    then for what it serves."""
    its = lives(bundle, bundle.pod(role)).get(container, [])
    started = stamp_events(bundle, container, Stamp.APP_STARTED, role=role)
    begins = [life.created.ns for life in its if life.created] or [one.latest for one in started]
    ends = [life.exited_latest or NEVER for life in its]
    begin, end = min(begins, default=0), max(ends, default=NEVER)
    if container == bundle.index.app:
        drain = round(bundle.index.app_drain_seconds * NS)
        told = stamp_events(bundle, container, Stamp.APP_SIGTERM, role=role)
        end = min([end, *(one.latest + drain for one in told)])
    return Window(window.name, max(window.start, begin), min(window.end, end))


def longest_pause(sent: Iterable[Attempt], window: Window) -> Window:
    """The longest time of a window in which nothing was under way: an attempt that waits for its
    answer is no pause."""
    longest, covered = Window("pause", window.start, window.start), window.start
    for one in sorted(sent, key=lambda each: each.begin_ns):
        if one.begin_ns > window.end:
            break
        if one.begin_ns - covered > longest.end - longest.start:
            longest = Window("pause", covered, one.begin_ns)
        covered = max(covered, min(one.end_ns or one.begin_ns, window.end))
    if window.end - covered > longest.end - longest.start:
        longest = Window("pause", covered, window.end)
    return longest


def require_density(
    sent: Iterable[Attempt], window: Window, who: str, measured: Measured | None = None
) -> None:
    """Raises Unjudgeable when nothing was under way for so long that a failure may hide in it."""
    pause = longest_pause(sent, window)
    if pause.end - pause.start > LONGEST_PAUSE_NS:
        raise Unjudgeable(
            f"{who} tried nothing for {pause.seconds:.1f} s of the {window.name} window, and "
            f"{LONGEST_PAUSE_NS / NS:.0f} s may hide a failure",
            measured,
        )

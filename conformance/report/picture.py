"""A cell as a picture: who lived when, who was signalled when, and what became of each request.

Made from a bundle and its verdicts alone. Positions are in percent of the drawn time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.report.diary import lines

Json = dict[str, Any]
NS = 1_000_000_000
_MARGIN_NS = NS // 2  # a little air before the first and behind the last event
# Kinds of requests by lane, in reading order: from the app outward, then inward.
_EGRESS = ("first", "steady", "drain", "job")
_INGRESS = ("inflight", "stream")
_DIALS = ("dial", "dial-tls")
# How a kept connection ended, in the words of requests.
_ENDED = {"own": "ok", "finished": "ok", "told": "closed", "fin": "closed"}
_SUNK = {"sink.received": "ok", "sink.refused": "refused", "sink.dropped": "closed"}
# Log lines that follow each other this closely make one bar.
_TOGETHER_NS = NS // 2
# Percent of the drawn time, two pixels of the page: what is narrower, and closer, nobody can tell
# apart, and an outsider that dials without pause would fill the page's file with it.
_NARROW = 0.2


@dataclass(frozen=True)
class Mark:
    """A thing in a lane: a bar when it has a width, else a tick. kind is a style class."""

    x: float
    width: float
    kind: str
    title: str


@dataclass
class Lane:
    name: str
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True)
class Picture:
    """lanes, and the axis: (percent, seconds since the pod under test was asked for)."""

    lanes: Sequence[Lane]
    axis: Sequence[tuple[float, str]]


class _Scale:
    def __init__(self, start: int, end: int, zero: int) -> None:
        self.start, self.end, self.zero = start, max(end, start + 1), zero

    def at(self, ns: int) -> float:
        return round(100 * (min(max(ns, self.start), self.end) - self.start) / self._span, 3)

    def seconds(self, ns: int) -> str:
        return f"{(ns - self.zero) / NS:.3f} s"

    def mark(self, begin: int, end: int | None, kind: str, title: str) -> Mark:
        left = self.at(begin)
        width = self.at(end) - left if end is not None else 0.0
        until = f" to {self.seconds(end)}" if end is not None else ""
        return Mark(left, round(width, 3), kind, f"{title} · {self.seconds(begin)}{until}")

    @property
    def _span(self) -> int:
        return self.end - self.start


def draw(bundle: Path, verdicts: Iterable[Json]) -> Picture | None:
    """The picture of a cell; None when its bundle has no diary.

    verdicts: the report's entries about this cell (their evidence marks leaks and answers).
    """
    diary = list(lines(bundle / "steps.jsonl"))
    steps = {
        one["step"]: one["ns"]
        for one in diary
        if not one["step"].startswith("delete.") or one.get("pod", "subject") == "subject"
    }
    if not steps:
        return None
    app = list(lines(bundle / "stamps/subject.app.jsonl"))
    visitor = list(lines(bundle / "stamps/subject.visitor.jsonl"))  # an ephemeral container
    sidecars = sorted(
        path
        for path in (bundle / "stamps").glob("subject.*.jsonl")
        if path.name != "subject.app.jsonl"
    )
    capture = list(_capture(bundle))
    zero = steps.get("subject.create") or steps.get("job.create") or min(steps.values())
    ends = [one["ns"] for one in (*app, *capture)] + [
        ns for step, ns in steps.items() if step != "end"
    ]
    scale = _Scale(zero - _MARGIN_NS, max(ends) + _MARGIN_NS, zero)
    lanes = [
        _windows(scale, steps, max(ends)),
        _crashes(scale, diary, max(ends)),
        _life(scale, "capture", capture, ("beacon.first", "beacon.last"), {"ended": "end"}),
        _life(
            scale,
            "app",
            app,
            ("app.started", "app.last"),
            {"app.sigterm": "signal", "app.listening": "ready"},
        ),
        *(
            _life(
                scale,
                path.name.split(".")[1],
                list(lines(path)),
                ("sidecar.started", "sidecar.last"),
                {"sidecar.sigterm": "signal", "sidecar.exec": "ready", "sidecar.exited": "end"},
            )
            for path in sidecars
        ),
        _life(scale, "visitor", visitor, ("app.started", "app.last"), {"app.sigterm": "signal"}),
        _requests(scale, "app sends", app, _EGRESS),
        _requests(scale, "visitor sends", visitor, ("visit",)),
        _requests(scale, "app answers peer", lines(bundle / "stamps/peer.app.jsonl"), _INGRESS),
        _kept(scale, "app keeps", app),
        _kept(scale, "peer keeps", lines(bundle / "stamps/peer.app.jsonl")),
        _requests(scale, "outsider dials", lines(bundle / "stamps/dialer.dialer.jsonl"), _DIALS),
        _logged(scale, "app writes", app, {"lines": "ok"}),
        _logged(scale, "sink gets", lines(bundle / "stamps/sink.sink.jsonl"), _SUNK),
        _seen(scale, verdicts),
    ]
    return Picture([lane for lane in lanes if lane.marks], _axis(scale))


def _windows(scale: _Scale, steps: Mapping[str, int], end: int) -> Lane:
    lane = Lane("windows")
    begin = steps.get("subject.create") or steps.get("job.create")
    ready, deleted = steps.get("subject.ready"), steps.get("delete.accepted")
    exited = steps.get("job.main-exited")
    if begin and ready:
        lane.marks.append(scale.mark(begin, ready, "startup", "startup"))
    if ready and deleted:
        lane.marks.append(scale.mark(ready, deleted, "steady", "steady life"))
    if deleted:
        lane.marks.append(scale.mark(deleted, end, "shutdown", "shutdown"))
    if exited:
        done = steps.get("job.complete", end)
        lane.marks.append(scale.mark(exited, done, "shutdown", "main exited, Job active"))
    if down := steps.get("plane.down"):
        up = steps.get("plane.up", end)
        lane.marks.append(scale.mark(down, up, "shutdown", "no control plane"))
    if quit_asked := steps.get("sidecar.quit-asked"):
        lane.marks.append(scale.mark(quit_asked, None, "signal", "the sidecar is told to quit"))
    return lane


def _crashes(scale: _Scale, diary: Sequence[Json], end: int) -> Lane:
    """From what made the sidecar end to its return."""
    lane = Lane("sidecar away")
    back = {one["crash"]: one["ns"] for one in diary if one["step"] == "sidecar.back"}
    for one in diary:
        if one["step"] == "crash.asked":
            name = one["crash"]
            lane.marks.append(scale.mark(one["ns"], back.get(name, end), "shutdown", name))
    return lane


def _life(
    scale: _Scale,
    name: str,
    stamps: Sequence[Json],
    bounds: tuple[str, str],
    points: Mapping[str, str],
) -> Lane:
    """A bar from each first to the next last event, and a tick for each point event."""
    lane = Lane(name)
    begun: int | None = None
    newest = 0
    for stamp in stamps:
        if stamp["event"] == bounds[0]:
            if begun is not None:
                lane.marks.append(scale.mark(begun, newest, "cut", f"{name}, killed"))
            begun = stamp["ns"]
        elif stamp["event"] == bounds[1] and begun is not None:
            lane.marks.append(scale.mark(begun, stamp["ns"], "life", name))
            begun = None
        newest = max(newest, stamp["ns"])
    if begun is not None:  # it never said goodbye
        lane.marks.append(scale.mark(begun, newest, "cut", f"{name}, without a last word"))
    lane.marks += [
        scale.mark(stamp["ns"], None, points[stamp["event"]], stamp["event"])
        for stamp in stamps
        if stamp["event"] in points
    ]
    return lane


def _requests(scale: _Scale, name: str, stamps: Iterable[Json], kinds: Sequence[str]) -> Lane:
    lane = Lane(name)
    open_ones: dict[str, Json] = {}
    for stamp in stamps:
        if stamp["event"] == "request.begin" and stamp["kind"] in kinds:
            open_ones[stamp["token"]] = stamp
        elif stamp["event"] == "request.end" and stamp["token"] in open_ones:
            begin = open_ones.pop(stamp["token"])
            if scale.start <= stamp["ns"] and begin["ns"] <= scale.end:
                outcome = stamp["outcome"]
                kind = f"dialed-{outcome}" if stamp["kind"] in _DIALS else outcome
                title = f"{stamp['kind']} {stamp['token'].rpartition('.')[2]}: {outcome}"
                lane.marks.append(scale.mark(begin["ns"], stamp["ns"], f"request {kind}", title))
    lane.marks += [
        scale.mark(one["ns"], scale.end, f"request {_never(one)}", f"{one['kind']}: never ended")
        for one in open_ones.values()
        if scale.start <= one["ns"] <= scale.end
    ]
    lane.marks = _merged(lane.marks)
    return lane


def _merged(marks: Iterable[Mark]) -> list[Mark]:
    """Narrow marks of one kind that stand next to each other are one, which tells how many."""
    runs: list[list[Mark]] = []
    open_ones: dict[str, list[Mark]] = {}
    for mark in sorted(marks, key=lambda one: one.x):
        run = open_ones.get(mark.kind)
        if mark.width < _NARROW and run and mark.x - (run[-1].x + run[-1].width) < _NARROW:
            run.append(mark)
        else:
            runs.append([mark])
            if mark.width < _NARROW:
                open_ones[mark.kind] = runs[-1]
    return [_one(run) for run in runs]


def _one(run: Sequence[Mark]) -> Mark:
    first, last = run[0], run[-1]
    if first is last:
        return first
    width = round(last.x + last.width - first.x, 3)
    title = f"{len(run)} together: {first.title} … {last.title}"
    return Mark(first.x, width, first.kind, title)


def _kept(scale: _Scale, name: str, stamps: Iterable[Json]) -> Lane:
    """Connections that are kept, each from its beginning to whoever ended it."""
    lane = Lane(name)
    open_ones: dict[str, int] = {}
    for stamp in stamps:
        if stamp["event"] == "kept.open":
            open_ones[stamp["connection"]] = stamp["ns"]
        elif stamp["event"] == "kept.closed" and stamp["connection"] in open_ones:
            begin, how = open_ones.pop(stamp["connection"]), stamp["how"]
            kind = f"request {_ENDED.get(how, how)}"
            lane.marks.append(scale.mark(begin, stamp["ns"], kind, f"{stamp['connection']}: {how}"))
    lane.marks += [
        scale.mark(begin, scale.end, "request ok", f"{connection}: open")
        for connection, begin in open_ones.items()
    ]
    return lane


def _logged(scale: _Scale, name: str, stamps: Iterable[Json], kinds: Mapping[str, str]) -> Lane:
    """Log lines of the pod under test, as its app wrote them or as the sink got them."""
    lane = Lane(name)
    bars: list[tuple[str, int, int, int, int]] = []  # event, begin, end, first and last line
    for stamp in stamps:
        runs = stamp.get("runs", {}).get("subject", ())
        if stamp["event"] == "lines":
            runs = [(stamp["first"], stamp["last"])]
        if stamp["event"] not in kinds or not runs:
            continue
        low, high, ns = min(one for one, _ in runs), max(one for _, one in runs), stamp["ns"]
        if bars and bars[-1][0] == stamp["event"] and ns - bars[-1][2] < _TOGETHER_NS:
            event, begin, _, first, last = bars[-1]
            bars[-1] = (event, begin, ns, min(first, low), max(last, high))
        else:
            bars.append((stamp["event"], ns, ns, low, high))
    for event, begin, end, first, last in bars:
        title = f"{event}: lines {first} to {last}"
        lane.marks.append(scale.mark(begin, end, f"request {kinds[event]}", title))
    return lane


def _never(begin: Json) -> str:
    """The style of a request without an end; an outsider's that goes nowhere is no news."""
    return "dialed-timeout" if begin["kind"] in _DIALS else "unanswered"


def _seen(scale: _Scale, verdicts: Iterable[Json]) -> Lane:
    lane = Lane("in clear")
    for verdict in verdicts:
        if verdict["hazard"].startswith(("plaintext", "answered")):
            for one in verdict["evidence"]:
                if "frame" in one and "ns" in one:
                    title = f"{verdict['behaviour']} · frame {one['frame']} of {one['file']}"
                    lane.marks.append(scale.mark(one["ns"], None, "leak", title))
    lane.marks = _merged(lane.marks)
    return lane


def _capture(bundle: Path) -> Iterator[Json]:
    index = bundle / "cell.json"
    subject = json.loads(index.read_text())["subject"] if index.exists() else "subject"
    yield from lines(bundle / "capture" / subject / "agent.jsonl")


def _axis(scale: _Scale) -> list[tuple[float, str]]:
    span = (scale.end - scale.start) / NS
    step = next(one for one in (1, 2, 5, 10, 20, 60, 600, 6000) if span / one <= 16)
    last = int((scale.end - scale.zero) / NS)
    return [(scale.at(scale.zero + s * NS), f"{s} s") for s in range(0, last + 1, step)]

"""Requests: numbers without a gap, every record with its begin, both sides telling one story.

A sender numbers the requests of each kind from 0, and stamps each before its first byte: so a
number that is missing is a line that is missing, and so is what an end, a connection or an answer
has no begin for. A program that ends by itself says how many it began, so that the last ones cannot
be missing either. Server and sender stamp the same request on one clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from conformance.evidence.bundle import Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.packets.tokens import parse
from conformance.evidence.parse import Line
from conformance.evidence.timeline import CLOCK_STEP_NS
from conformance.model import NS, Evidence

_BEGINS = {"request.begin": "request", "datagram.begin": "datagram", "control.begin": "control"}
_OTHERS = {
    "request.connected": "request", "request.end": "request", "datagram.end": "datagram",
    "control.end": "control",
}  # fmt: skip
# Requests on a connection that is kept open (FORMAT.md) have no connection of their own; bare TCP
# is answered without a stamp; and an answer without end is right when it ended by itself, even
# before its server had begun.
_KEPT = frozenset({"pool", "raw", "long", "touch"})
_UNSTAMPED = frozenset({"raw", "touch", "long"})
# A sender or server that is killed may lose what it was about to write then.
_KILLED_NS = 1 * NS


@dataclass
class _Request:
    begin: Line
    connected: Line | None = None
    end: Line | None = None


@dataclass
class _File:
    """A program's stamps. said_last: it ended by itself, and said so. last: its last stamp then."""

    name: str
    requests: dict[str, list[_Request]] = field(default_factory=lambda: defaultdict(list))
    served: list[Line] = field(default_factory=list)
    senders: set[str] = field(default_factory=set)
    last_ns: int = 0
    last: Line | None = None

    @property
    def role(self) -> str:
        return self.name.removeprefix("stamps/").partition(".")[0]

    @property
    def said_last(self) -> bool:
        return self.last is not None


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """What is missing among the requests, or tells another story than the other side."""
    files = []
    for name in bundle.stamp_files():
        file = _File(name)
        yield from _alone(bundle, file)
        files.append(file)
    yield from _together(files)


def _contradiction(reason: str, *lines: Line, also: str = "") -> Contradiction:
    files = frozenset({one.file for one in lines} | {also} - {""})
    where = tuple(
        Evidence(one.file, line=one.number, ns=one.ns, text=str(one.get("token", one.event)))
        for one in lines
    )
    return Contradiction(reason, files, where)


def _alone(bundle: Bundle, file: _File) -> Iterator[Contradiction]:
    """One file: what it holds, and what in it has no begin."""
    numbers: dict[str, dict[int, Line]] = defaultdict(dict)
    orphans: list[Line] = []
    for line in bundle.records(file.name):
        file.last_ns = max(file.last_ns, line.ns)
        token = line.get("token", "")
        if line.event == "app.started":
            yield from _gaps(file, numbers)
            numbers.clear()
            file.last = None
        elif line.event == "app.last":
            file.last = line
        elif line.event == "served":
            file.served.append(line)
        elif line.event in _BEGINS:
            file.requests[token].append(_Request(line))
            its = parse(token)
            if its is not None:
                file.senders.add(its.sender)
                numbers[f"{its.kind} of {its.sender}"].setdefault(its.seq, line)
        elif line.event in _OTHERS:
            begun = file.requests.get(token)
            if not begun:
                orphans.append(line)
            elif line.event.endswith("connected"):
                begun[-1].connected = line
            else:
                begun[-1].end = line
    yield from _gaps(file, numbers)
    if orphans:
        first = orphans[0]
        yield _contradiction(
            f"{first.file}:{first.number} has a {first.event} whose begin is missing "
            f"({len(orphans)} such lines)",
            first,
        )
    for one in (each for requests in file.requests.values() for each in requests):
        yield from _connected(one)


def _gaps(file: _File, numbers: dict[str, dict[int, Line]]) -> Iterator[Contradiction]:
    """What is missing below the highest number, and above it up to what the sender began."""
    began = _began(file, numbers)
    for what in sorted({*numbers, *began}):
        found = numbers.get(what, {})
        highest = max(found, default=-1)
        # What was numbered just before a program was killed may not have been written any more.
        known = [
            one
            for one in sorted(set(range(highest)) - set(found))
            if file.said_last
            or next(found[n].ns for n in sorted(found) if n > one) < file.last_ns - _KILLED_NS
        ]
        cut = max(0, began.get(what, 0) - highest - 1)
        if known:
            after = found[min(n for n in found if n > known[0])]
            yield _contradiction(
                f"{file.name} lacks {len(known) + cut} of {highest + 1 + cut} {what}: first number "
                f"{known[0]}",
                after,
            )
        elif cut and file.last is not None:
            yield _contradiction(
                f"{file.name} lacks the last {cut} of {highest + 1 + cut} {what}, which its sender "
                "says it began",
                file.last,
            )


def _began(file: _File, numbers: dict[str, dict[int, Line]]) -> dict[str, int]:
    """How many of each kind a program says it began when it ended. An older one does not say so.

    A program has one name: a kind that lacks as a whole is of the sender of the others.
    """
    told = file.last.get("begun") if file.last is not None else None
    names = {what.rpartition(" ")[2] for what in numbers}
    sender = names.pop() if len(names) == 1 else file.role
    return {f"{kind} of {sender}": count for kind, count in (told or {}).items()}


def _connected(one: _Request) -> Iterator[Contradiction]:
    """Who got a byte had a connection."""
    end = one.end
    if end is None or end.event != "request.end" or one.begin["kind"] in _KEPT or one.connected:
        return
    if end["outcome"] in ("ok", "wrong") or end.get("bytes"):
        yield _contradiction(
            f"{end.file}:{end.number} has an answer to {one.begin['token']}, and no connection "
            "for it",
            end,
        )


def _together(files: list[_File]) -> Iterator[Contradiction]:
    """The two sides of each request."""
    senders = {sender: one for one in files for sender in one.senders}
    begun: dict[str, list[_Request]] = defaultdict(list)
    for file in files:
        for token, requests in file.requests.items():
            begun[token] += requests
    answers: dict[str, list[tuple[_File, Line]]] = defaultdict(list)
    kinds: set[tuple[str, str]] = set()
    told: set[tuple[str, str]] = set()

    def once(what: str, one: Contradiction) -> Iterator[Contradiction]:
        for_files = what, ",".join(sorted(one.files))
        if for_files not in told:
            told.add(for_files)
            yield one

    for file in files:
        for line in file.served:
            served = parse(line["token"])
            if served is None:
                continue
            answers[served.text].append((file, line))
            kinds.add((served.kind, served.sender))
            sender = senders.get(served.sender) or _of_role(files, served.sender)
            if sender is not None:
                for one in _known(sender, begun.get(served.text, []), line):
                    yield from once("served", one)
    for token_text, requests in begun.items():
        its = parse(token_text)
        if its is None or its.kind in _UNSTAMPED or (its.kind, its.sender) not in kinds:
            continue
        for request in requests:
            for one in _answered(request, answers.get(token_text, []), files):
                yield from once("answered", one)


def _of_role(files: list[_File], sender: str) -> _File | None:
    """The file of a sender that is not known to have begun anything."""
    for one in files:
        role, _, container = one.name.removeprefix("stamps/").removesuffix(".jsonl").partition(".")
        if container == sender or (role == sender and container in ("app", sender)):
            return one
    return None


def _known(sender: _File, requests: list[_Request], served: Line) -> Iterator[Contradiction]:
    """A server answers what was asked, after it was asked, over a connection."""
    token = served["token"]
    if not requests:
        if sender.said_last or served.ns < sender.last_ns - _KILLED_NS:
            yield _contradiction(
                f"{served.file}:{served.number} served {token}, and {sender.name} never sent it",
                served,
                also=sender.name,
            )
        return
    first = min(one.begin.ns for one in requests)
    if served.ns < first - CLOCK_STEP_NS:
        yield _contradiction(
            f"{served.file}:{served.number} served {token} {(first - served.ns) / NS:.1f} s before "
            "it was sent",
            served,
            requests[0].begin,
        )
    if requests[0].begin.event == "request.begin" and requests[0].begin["kind"] not in _KEPT:
        ended = [one for one in requests if one.end is not None]
        if len(ended) == len(requests) and not any(one.connected for one in requests):
            yield _contradiction(
                f"{served.file}:{served.number} served {token}, and its sender had no connection",
                served,
                requests[0].begin,
            )


def _answered(
    request: _Request, answers: list[tuple[_File, Line]], files: list[_File]
) -> Iterator[Contradiction]:
    """A right answer has an answerer, who began and ended it before the sender knew of its end."""
    end = request.end
    if end is None or end.get("outcome") != "ok":
        return
    begins = [line for _, line in answers if line["phase"] == "begin"]
    if not begins:
        # A server that was killed may have lost its last lines, whichever it was.
        if any(_lost(one, end) for one in files if one.served):
            return
        yield _contradiction(
            f"{end.file}:{end.number} has a right answer to {request.begin['token']}, and nobody "
            "served it",
            end,
            also=next((one.name for one in files if one.served), ""),
        )
        return
    if all(line.ns > end.ns + CLOCK_STEP_NS for line in begins):
        late = (min(line.ns for line in begins) - end.ns) / NS
        yield _contradiction(
            f"{begins[0].file}:{begins[0].number} served {request.begin['token']} {late:.1f} s "
            "after it had been answered",
            begins[0],
            end,
        )
    ended = any(line["phase"] == "end" and not line.get("error") for _, line in answers)
    if not ended and not _lost(answers[0][0], end):
        yield _contradiction(
            f"{end.file}:{end.number} has a right answer to {request.begin['token']}, which "
            f"{begins[0].file} never ended to serve",
            end,
            begins[0],
        )


def _lost(server: _File, end: Line) -> bool:
    return not server.said_last and server.last_ns < end.ns + _KILLED_NS

"""Lanes from what the cell's own programs wrote: requests, connections, log lines, hooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.model import NS
from conformance.report.diary import numbered
from conformance.report.trace.model import Lane, Mark

Json = dict[str, Any]
# Kinds of requests by lane, in reading order: from the app outward, then inward.
EGRESS = ("init", "first", "steady", "drain", "job", "late", "mesh-witness")
INGRESS = ("inflight", "stream", "quick")
DIALS = ("dial", "dial-tls", "dial-probe")
# How a kept connection ended, in the words of requests.
_ENDED = {"own": "ok", "finished": "ok", "told": "closed", "fin": "closed"}
_SUNK = {"sink.received": "ok", "sink.refused": "refused", "sink.dropped": "closed"}
# Log lines that follow each other this closely make one bar.
_TOGETHER_NS = NS // 2


def lanes(bundle: Path, roles: Sequence[str]) -> Iterator[Lane]:
    """Everything that was sent and answered. roles: of the pods under test, that of the subject
    first."""
    for role in roles:
        name = "" if role == "subject" else f"{role} "
        for container in ("init", "app"):
            sent = stamps(bundle, role, container)
            yield requests(f"{name or 'app '}sends" if container == "app" else f"{name}init sends",
                           sent, EGRESS)  # fmt: skip
    visitor = stamps(bundle, "subject", "visitor")  # an ephemeral container
    yield requests("visitor sends", visitor, ("visit", "mesh-witness"))
    peer = stamps(bundle, "peer", "app")
    app = stamps(bundle, "subject", "app")
    yield served("peer serves", peer)
    yield requests("peer sends", peer, INGRESS)
    yield served("app serves", app)
    yield kept("app keeps", app)
    yield kept("peer keeps", peer)
    yield requests("outsider dials", stamps(bundle, "dialer", "dialer"), DIALS)
    yield logged("app writes", app, {"lines": "ok"})
    yield logged("sink gets", stamps(bundle, "sink", "sink"), _SUNK)


def stamps(bundle: Path, role: str, container: str) -> list[Json]:
    """The stamps of a container, each with the file and line that it stands in."""
    file = f"stamps/{role}.{container}.jsonl"
    return [one | {"file": file, "line": number} for number, one in numbered(bundle / file)]


def requests(name: str, stamps: Iterable[Json], kinds: Sequence[str]) -> Lane:
    """A bar for each request of these kinds, from its beginning to its end."""
    lane = Lane(name, "requests")
    open_ones: dict[str, Json] = {}
    newest = 0
    for stamp in stamps:
        newest = max(newest, stamp["ns"])
        if stamp["event"] == "request.begin" and stamp["kind"] in kinds:
            open_ones[stamp["token"]] = stamp
        elif stamp["event"] == "request.end" and stamp["token"] in open_ones:
            begin = open_ones.pop(stamp["token"])
            outcome = stamp["outcome"]
            kind = f"dialed-{outcome}" if stamp["kind"] in DIALS else outcome
            detail = f" ({stamp['detail']})" if stamp.get("detail") else ""
            title = f"{outcome}{detail}"
            lane.marks.append(_mark(begin, stamp["ns"], f"request {kind}", title, stamp))
    for one in open_ones.values():
        kind = "dialed-timeout" if one["kind"] in DIALS else "unanswered"
        title = "never ended"
        lane.marks.append(_mark(one, newest, f"request {kind}", title, one))
    return lane


def served(name: str, stamps: Iterable[Json]) -> Lane:
    """A bar for each request that a server answered."""
    lane = Lane(name, "requests")
    open_ones: dict[str, Json] = {}
    for stamp in stamps:
        if stamp["event"] != "served":
            continue
        if stamp.get("phase") == "begin":
            open_ones[stamp["token"]] = stamp
        elif begin := open_ones.pop(stamp["token"], None):
            kind = "request wrong" if stamp.get("error") else "request ok"
            title = f"served to {str(begin.get('remote', '?')).rpartition(':')[0]}"
            lane.marks.append(_mark(begin, stamp["ns"], kind, title, begin))
    for one in open_ones.values():
        title = "begun, and never ended"
        lane.marks.append(_mark(one, None, "request unanswered", title, one))
    return lane


def kept(name: str, stamps: Iterable[Json]) -> Lane:
    """Connections that are kept, each from its beginning to whoever ended it."""
    lane = Lane(name, "requests")
    open_ones: dict[str, Json] = {}
    newest = 0
    for stamp in stamps:
        newest = max(newest, stamp["ns"])
        if stamp["event"] == "kept.open":
            open_ones[stamp["connection"]] = stamp
        elif stamp["event"] == "kept.closed" and stamp["connection"] in open_ones:
            begin, how = open_ones.pop(stamp["connection"]), stamp["how"]
            kind, title = f"request {_ENDED.get(how, how)}", f"{stamp['connection']}: {how}"
            lane.marks.append(_mark(begin, stamp["ns"], kind, title, stamp))
    lane.marks += [
        _mark(begin, newest, "request ok", f"{connection}: open", begin)
        for connection, begin in open_ones.items()
    ]
    return lane


def logged(name: str, stamps: Iterable[Json], kinds: Mapping[str, str]) -> Lane:
    """Log lines of the pod under test, as its app wrote them or as the sink got them."""
    lane = Lane(name, "requests")
    bars: list[tuple[Json, int, int, int]] = []  # the first stamp, end, first and last line
    for stamp in stamps:
        runs = stamp.get("runs", {}).get("subject", ())
        if stamp["event"] == "lines":
            runs = [(stamp["first"], stamp["last"])]
        if stamp["event"] not in kinds or not runs:
            continue
        low, high, ns = min(one for one, _ in runs), max(one for _, one in runs), stamp["ns"]
        if bars and bars[-1][0]["event"] == stamp["event"] and ns - bars[-1][1] < _TOGETHER_NS:
            begin, _, first, last = bars[-1]
            bars[-1] = (begin, ns, min(first, low), max(last, high))
        else:
            bars.append((stamp, ns, low, high))
    for begin, end, first, last in bars:
        title = f"{begin['event']}: lines {first} to {last}"
        lane.marks.append(_mark(begin, end, f"request {kinds[begin['event']]}", title, begin))
    return lane


def _mark(begin: Json, end: int | None, kind: str, title: str, place: Json) -> Mark:
    token = begin.get("token", "")
    return Mark(begin["ns"], end, kind, title, token, place.get("file", ""), place.get("line", 0))

"""inbound.bypass and crash.bypass: a client outside the mesh knocks at the app's port and is never
answered, in the windows of a whole life and in those of crashes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from conformance.evidence import windows
from conformance.evidence.attempts import OK, UNENDED, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.crashes import crashes
from conformance.evidence.packets.capture import ACK, SYN, Packet
from conformance.evidence.packets.streams import Chunk, Reassembler, Stream
from conformance.evidence.packets.tokens import TokenScan
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside
from conformance.evidence.vocabulary import Kind, Role
from conformance.judges.ruling import broken, floor, holds, rate_bound
from conformance.model import NS, Evidence, Finding, Measured, Value, Window

BESIDE = "answered-while-the-sidecar-lived"  # the hazard: no control arm expects it
DIALS = ("dial", Kind.DIAL_TLS)
# The dialer tries every 40 ms, and each try may hang for 1 s: fewer tries than this in a window of
# seconds and it hardly knocked.
MIN_DIALS = 5
# A crowded machine lets it pause. A pause must not hide a window without a proxy, as the fixtures
# make them: the start delay (3 s), the app's drain less the sidecar's (3.5 s).
LONGEST_PAUSE_NS = 3 * NS
# What the app, or whoever stands behind its port, answers to one who is let in.
_SUCCESS = re.compile(rb"HTTP/1\.[01] [23]\d\d[ \r]")
_HEAD = 64  # bytes of an answer that are looked at


@dataclass
class _Knock:
    """What the dialer did in one window. arrived: when its SYNs were on the pod's eth0 (ns). away:
    the part of it that it is about, where there is one."""

    window: Window
    away: Window | None = None
    tried: list[Attempt] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)

    @property
    def pause_ns(self) -> int:
        """The longest time in the window without a try, or without one that arrived (ns)."""
        return max(self._longest(one.begin_ns for one in self.tried), self._longest(self.arrived))

    def _longest(self, moments: Iterable[int]) -> int:
        edges = [self.window.start, *sorted(moments), self.window.end]
        return max(b - a for a, b in pairwise(edges))


def bypass(bundle: Bundle) -> Finding:
    """No dial is answered by the app, in any window; and the dials did arrive."""
    dials = _dials(bundle)
    tries = [one for one in dials if one.kind in DIALS]
    knocks, why = _knocks(bundle, tries)
    beside = [one.window for one in knocks if one.window.name == "steady"]
    return _judge(bundle, dials, tries, knocks, why, beside, whole_life=True)


def crash(bundle: Bundle) -> Finding:
    """The same from each crash of the sidecar on until the pod is ready again. What is dialled
    outside of these windows is no crash's doing."""
    found = crashes(bundle)
    dials = _dials(bundle)
    knocks: list[_Knock] = []
    why: Unjudgeable | None = None
    for one in found:
        try:
            tries = [each for each in dials if each.kind in DIALS and each.begin_ns in one.window]
            knocks.append(_Knock(one.window, one.away, tries))
            away = sum(each.begin_ns in one.away for each in tries)
        except Unjudgeable as error:
            why = why or error
            continue
        if away < MIN_DIALS:
            lack = f"{away} dials without a sidecar ({one.name}), and {MIN_DIALS} are needed"
            why = why or Unjudgeable(lack)
    tries = [each for knock in knocks for each in knock.tried]
    beside = [windows.before_crash(bundle)]
    return _judge(bundle, dials, tries, knocks, why, beside, whole_life=False)


def _dials(bundle: Bundle) -> list[Attempt]:
    return [
        one
        for one in attempts(bundle, Role.DIALER, "dialer")
        if one.kind in (*DIALS, Kind.DIAL_PROBE)
    ]


def _judge(
    bundle: Bundle,
    dials: Sequence[Attempt],
    tries: Sequence[Attempt],
    knocks: Sequence[_Knock],
    why: Unjudgeable | None,
    beside: Sequence[Window],
    *,
    whole_life: bool,
) -> Finding:
    """One answer to the tries is enough. why: what keeps their absence from meaning anything.

    beside: while the sidecar was there. Who is answered then needs no window in its life.
    """
    seen = _Packets(bundle, knocks)
    try:
        from_inside(bundle, seen.see)
    except Unjudgeable as blind:
        why = why or blind
    seen.streams.finish()
    # The dialer may have hung up before the answer came: the app's record and the packets know.
    reached = served(bundle, SUBJECT_ROLE, bundle.index.app, DIALS)

    def was_answered(one: Attempt) -> bool:
        return one.outcome == OK or one.token in reached or one.token in seen.answers

    answered = [one for one in tries if was_answered(one)]
    known = {one.token for one in dials}
    # Proof stands alone: an answer that belongs to no dial on record is an answer all the same.
    file = stamps_file(SUBJECT_ROLE, bundle.index.app)
    alone = [each for token, each in seen.answers.items() if token not in known]
    alone += [
        Evidence(file, one.begin.number, ns=one.begin.ns, text=f"the app served {token}")
        for token, one in reached.items()
        if token not in known and token not in seen.answers
    ]
    alone = [each for each in (*alone, *seen.successes) if whole_life or _within(each, knocks)]
    measured = _measured(knocks, answered, tries, dials)
    if alone and not answered:
        past = any((one.ns or 0) in span for one in alone for span in beside)
        return broken(
            BESIDE if past else "answered",
            f"{len(alone)} answers of the app to a client outside the mesh belong to no dial on "
            f"record; first: {alone[0].text}.",
            measured,
            alone,
        )
    if answered:
        lived = [one for one in dials if any(one.begin_ns in span for span in beside)]
        past = any(was_answered(one) for one in lived if one.kind in DIALS)
        where = ", ".join(
            f"{number} in {name}" for name, number in _by_window(answered, knocks).items()
        )
        return broken(
            BESIDE if past else "answered",
            f"{len(answered)} of {len(tries)} dials from outside the mesh were answered by the app "
            f"({where}).",
            measured,
            _evidence(bundle, answered, seen, reached),
        )
    if why is not None:
        raise why
    _require_tried(knocks, measured)
    if not any(one.kind == Kind.DIAL_PROBE and one.outcome == OK for one in dials):
        raise Unjudgeable(
            "the dialer was not answered on the probe port either: it may not have reached the pod",
            measured,
        )
    return holds(
        f"None of {len(tries)} dials from outside the mesh was answered by the app ("
        + ", ".join(f"{len(one.tried)} in {one.window.name}" for one in knocks)
        + f"); {floor(len(tries))} are.",
        measured,
        [one.evidence for one in dials if one.kind == Kind.DIAL_PROBE and one.outcome == OK][:1],
    )


def _knocks(bundle: Bundle, tries: Sequence[Attempt]) -> tuple[list[_Knock], Unjudgeable | None]:
    """The tries by window, as far as there are windows; and why one is missing."""
    knocks: list[_Knock] = []
    why: Unjudgeable | None = None
    for window_of in (windows.startup, windows.steady, windows.shutdown):
        try:
            window = window_of(bundle)
        except Unjudgeable as error:
            why = why or error
            continue
        knocks.append(_Knock(window, None, [one for one in tries if one.begin_ns in window]))
    return knocks, why


def _require_tried(knocks: Sequence[_Knock], measured: Measured) -> None:
    for knock in knocks:
        name = knock.window.name
        if name != "steady" and len(knock.tried) < MIN_DIALS:
            raise Unjudgeable(
                f"{len(knock.tried)} dials in the {name} window, and {MIN_DIALS} are needed",
                measured,
            )
        if not knock.arrived or (name != "steady" and len(knock.arrived) < MIN_DIALS):
            raise Unjudgeable(
                f"{len(knock.arrived)} SYNs of the dialer are in the pod's capture in the {name} "
                "window: the dials did not arrive",
                measured,
            )
        away = knock.away
        if away and sum(ns in away for ns in knock.arrived) < MIN_DIALS:
            raise Unjudgeable(
                f"{sum(ns in away for ns in knock.arrived)} SYNs of the dialer are in the pod's "
                f"capture while it had no sidecar ({name}), and {MIN_DIALS} are needed: the dials "
                "did not arrive",
                measured,
            )
        if knock.pause_ns > LONGEST_PAUSE_NS:
            raise Unjudgeable(
                f"the dialer paused for {knock.pause_ns / NS:.1f} s in the {name} window, or did "
                "not arrive",
                measured,
            )
        if any(one.outcome == UNENDED and one.begin_ns < knock.window.end - LONGEST_PAUSE_NS
               for one in knock.tried):  # fmt: skip
            raise Unjudgeable(
                f"the dialer never recorded how some of its dials in the {name} window ended",
                measured,
            )


class _Packets:
    """Finds the dialer's SYNs, and the frames with the app's answers, by token."""

    def __init__(self, bundle: Bundle, knocks: Sequence[_Knock]) -> None:
        index = bundle.index
        self._dialers = index.addresses.get("dialer", frozenset())
        self._local = index.subject_pod.ips
        self._port = index.ports["app"]
        self._knocks = knocks
        self.answers: dict[str, Evidence] = {}
        self.successes: list[Evidence] = []  # without a token in them
        self.file = bundle.capture_file
        self.streams = Reassembler(lambda _: _Answer(self))

    def see(self, packet: Packet) -> None:
        """Take one packet of the pod's eth0."""
        if packet.kind != "tcp":
            return
        asks = packet.src in self._dialers and packet.dport == self._port
        answers = packet.dst in self._dialers and packet.sport == self._port
        if not (asks or answers):
            return
        if asks and packet.flags & (SYN | ACK) == SYN:
            for knock in self._knocks:
                if packet.ns in knock.window:
                    knock.arrived.append(packet.ns)
        self.streams.feed(packet)


class _Answer:
    """One connection of the dialer: the app's answer holds the request's token."""

    def __init__(self, packets: _Packets) -> None:
        self._packets = packets
        self._scan = TokenScan()
        self._answer = b""
        self._named = False
        self._told: Evidence | None = None

    def chunk(self, chunk: Chunk) -> None:
        """Payload of the connection."""
        if chunk.direction == 0:
            return
        packets = self._packets
        tokens = self._scan.feed(chunk.data)
        self._answer = (self._answer + chunk.data)[:_HEAD]
        self._named = self._named or bool(tokens)
        if self._named and self._told is not None:
            packets.successes.remove(self._told)
            self._told = None
        elif not self._named and self._told is None and _SUCCESS.match(self._answer):
            text = f"a successful answer on the app's port, {_ends(chunk.stream)}"
            self._told = Evidence(packets.file, frame=chunk.frame, ns=chunk.ns, text=text)
            packets.successes.append(self._told)
        for token in tokens:
            text = f"the app's answer to {token.text}, {_ends(chunk.stream)}"
            found = Evidence(packets.file, frame=chunk.frame, ns=chunk.ns, text=text)
            packets.answers.setdefault(token.text, found)


def _ends(stream: Stream) -> str:
    return f"{stream.answerer[0]}:{stream.answerer[1]} > {stream.opener[0]}:{stream.opener[1]}"


def _evidence(
    bundle: Bundle, answered: Sequence[Attempt], seen: _Packets, reached: Mapping[str, object]
) -> list[Evidence]:
    found: list[Evidence] = []
    for one in answered:
        found.append(one.evidence)
        if one.token in seen.answers:
            found.append(seen.answers[one.token])
        elif one.token in reached:
            file = stamps_file(SUBJECT_ROLE, bundle.index.app)
            found.append(Evidence(file, text=f"the app served {one.token}"))
    return found


def _within(each: Evidence, knocks: Sequence[_Knock]) -> bool:
    return any((each.ns or 0) in knock.window for knock in knocks)


def _by_window(answered: Sequence[Attempt], knocks: Sequence[_Knock]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in answered:
        name = next(
            (knock.window.name for knock in knocks if one.begin_ns in knock.window),
            "no known window",
        )
        counts[name] = counts.get(name, 0) + 1
    return counts


def _measured(
    knocks: Sequence[_Knock],
    answered: Sequence[Attempt],
    tries: Sequence[Attempt],
    dials: Sequence[Attempt],
) -> Measured:
    found: dict[str, Value | dict[str, Value]] = {
        "dials": len(tries),
        "answered": len(answered),
        "dials_by_outcome": dict(by_outcome(tries)),
        "answered_by_window": dict(_by_window(answered, knocks)),
        "probe_dials_by_outcome": dict(
            by_outcome(one for one in dials if one.kind == Kind.DIAL_PROBE)
        ),
        "rate_bound_95": rate_bound(len(tries)),
    }
    for knock in knocks:
        name = knock.window.name.replace(" ", "_")
        found[f"{name}_seconds"] = round(knock.window.seconds, 3)
        found[f"{name}_dials"] = len(knock.tried)
        found[f"{name}_syns_arrived"] = len(knock.arrived)
        found[f"{name}_longest_pause_ms"] = round(knock.pause_ns / 1e6, 1)
    return found

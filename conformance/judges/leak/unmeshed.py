"""leak.dns-udp and leak.beside-udp: what a mesh leaves alone, and what it must carry beside it.

The first is measured: which names were looked up in clear, and whose datagrams left in clear. The
second is a promise, and none of the first excuses it: TCP in clear is a leak.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.packets import dns
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.tokens import find
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside, identity, require_watched
from conformance.evidence.vocabulary import Container, Stamp, Step
from conformance.judges.exceptions import Explained
from conformance.judges.plaintext import judge_window
from conformance.judges.ruling import measures, rate_bound, require_number
from conformance.model import Evidence, Finding, Measured, Value, Window

_BESIDE = "leak.beside-udp"
# The scenario waits for more of each (observe/scenarios/leak/datagrams.py): they bound what may
# have been missed.
MIN_DATAGRAMS = 20
MIN_LOOKUPS = 10
_TOLD = 50  # names, and pieces of evidence
DATAGRAMS = Explained(
    "datagram",
    "the mesh does not carry UDP: the app's datagrams, and the witness that sends them back",
    remote="witness",
    protocols=("udp",),
    remote_ports=(9002,),  # fixtures/manifests/datagrams
    opened_by="local",
    tokens=frozenset({"datagram"}),
    only=re.compile(rb"cny\.[0-9a-f]{12}\.datagram\.[a-z]+\.[0-9]{6}\n?"),
)


@dataclass(frozen=True)
class _Datagram:
    """The app's record of one datagram."""

    token: str
    begin: Line
    end: Line

    @property
    def sent(self) -> bool:
        return bool(self.end["sent"])


@dataclass
class _Seen:
    """What crossed the pod's eth0 by UDP, by the first frame of each sort."""

    local: frozenset[str]
    window: Window
    names: dict[str, Packet] = field(default_factory=dict)
    queries: Counter[str] = field(default_factory=Counter)
    resolvers: set[str] = field(default_factory=set)
    sent: dict[str, Packet] = field(default_factory=dict)
    came: dict[str, Packet] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    unread: list[Packet] = field(default_factory=list)
    others: list[Packet] = field(default_factory=list)

    def see(self, packet: Packet) -> None:
        """Take one packet."""
        if packet.kind != "udp" or not packet.payload:
            return
        leaves = packet.src in self.local
        tokens = find(packet.payload)
        for token in tokens:
            (self.sent if leaves else self.came).setdefault(token.text, packet)
            self.owners[token.text] = token.sender
        if dns.PORT in (packet.sport, packet.dport):
            self._name(packet, leaves)
        elif not tokens and packet.ns in self.window:
            self.others.append(packet)

    def _name(self, packet: Packet, leaves: bool) -> None:
        asked = dns.question(packet.payload)
        if asked is None:
            if packet.ns in self.window:
                self.unread.append(packet)
        elif leaves and not asked.answered:
            self.names.setdefault(asked.name, packet)
            self.queries[asked.name] += packet.ns in self.window
            self.resolvers.add(packet.dst)


def dns_udp(bundle: Bundle) -> Finding:
    """Measured: the names and the datagrams that crossed in clear.

    Inconclusive when something is not accounted for: a datagram that the app's own record calls
    sent, or a name that it was answered, and that is not in the capture.
    """
    window = _window(bundle)
    own = identity(bundle)
    seen = _Seen(own.local, window)
    watched = from_inside(bundle, seen.see)
    datagrams = _datagrams(bundle, window)
    lookups = _lookups(bundle, window)
    measured = _measure(seen, datagrams, lookups, window)
    require_watched(watched, window, to_the_end=False, measured=measured)
    _require_all(seen, datagrams, lookups, bundle, measured)
    in_clear = [one for one in datagrams if one.token in seen.sent]
    back = sum(one.token in seen.came for one in in_clear)
    asked = {name: number for name, number in seen.queries.items() if number}
    return measures(
        f"Not carried by the mesh, in {window.seconds:.1f} s: {len(asked)} names were looked up in "
        f"clear by {sum(asked.values())} queries ({_listed(asked)}); {len(in_clear)} of "
        f"{len(datagrams)} datagrams left in clear with the app's own tokens, and {back} came "
        f"back so; {len(seen.others)} other datagrams. Each one sent is accounted for: at 95 % "
        f"fewer than {3 / len(datagrams):.1%} go another way. TCP is no part of this "
        f"({_BESIDE}).",
        measured,
        [
            *(_frame(bundle, seen.names[name], f"a query for {name}") for name in _most(asked)),
            *(_frame(bundle, seen.sent[one.token], f"{one.token} in UDP") for one in in_clear[:5]),
            *(_frame(bundle, one, "another datagram") for one in seen.others[:5]),
            _stamp(datagrams[0].end, datagrams[0].token),
        ],
    )


def beside_udp(bundle: Bundle) -> Finding:
    """To hold: while names and datagrams crossed in clear, nothing else of the pod did."""
    window = _window(bundle)
    _datagrams(bundle, window)
    _lookups(bundle, window)
    return judge_window(bundle, window, window, to_the_end=False, also=(DATAGRAMS,))


def _window(bundle: Bundle) -> Window:
    """The pod's steady life, from readiness until enough had been seen of it."""
    ready, enough = bundle.step(Step.SUBJECT_READY), bundle.step(Step.ENOUGH)
    if ready is None or enough is None:
        raise Unjudgeable("the pod was never ready, or did not send enough")
    return Window("steady", ready.ns, enough.ns)


def _datagrams(bundle: Bundle, window: Window) -> Sequence[_Datagram]:
    """Those begun in the window whose end is recorded. Raises Unjudgeable when they are few."""
    begun: dict[str, Line] = {}
    found = []
    for line in bundle.stamps(SUBJECT_ROLE, bundle.index.app):
        if line.event == Stamp.DATAGRAM_BEGIN and line.ns in window:
            begun[line["token"]] = line
        elif line.event == Stamp.DATAGRAM_END and line["token"] in begun:
            found.append(_Datagram(line["token"], begun.pop(line["token"]), line))
    require_number(found, MIN_DATAGRAMS, "datagrams were sent by the app")
    return found


def _lookups(bundle: Bundle, window: Window) -> Sequence[Line]:
    """The ends of the lookups in the window. Raises Unjudgeable when they are few."""
    found = [
        line
        for line in bundle.stamps(SUBJECT_ROLE, bundle.index.app)
        if line.event == Stamp.LOOKUP_END and line.ns in window
    ]
    require_number(found, MIN_LOOKUPS, "names were looked up by the app")
    return found


def _require_all(
    seen: _Seen,
    datagrams: Sequence[_Datagram],
    lookups: Iterable[Line],
    bundle: Bundle,
    measured: Measured,
) -> None:
    """Whatever was sent must be in the capture: else it went where nobody watched."""
    if seen.unread:
        raise Unjudgeable(
            f"{len(seen.unread)} datagrams of DNS cannot be read",
            measured,
            [_frame(bundle, one, "no DNS message") for one in seen.unread[:5]],
        )
    lost = [one for one in datagrams if one.sent and one.token not in seen.sent]
    if lost:
        raise Unjudgeable(
            f"{len(lost)} of {len(datagrams)} datagrams were sent, and are not in clear in the "
            "capture: where they went is not known",
            measured,
            [_stamp(one.end, one.token) for one in lost[:_TOLD]],
        )
    within = [one for one in lookups if one["outcome"] == "ok" and not _asked(one["name"], seen)]
    if within:
        raise Unjudgeable(
            f"{len(within)} lookups of {within[0]['name']} were answered, and no query for it is "
            "in the capture: it was answered within the pod, or by a way that was not watched",
            measured,
            [_stamp(one, one["name"]) for one in within[:_TOLD]],
        )


def _asked(name: str, seen: _Seen) -> bool:
    """Whether there was a query for a name, by itself or completed from the search list."""
    return any(one == name or one.startswith(f"{name}.") for one in seen.names)


def _measure(
    seen: _Seen, datagrams: Sequence[_Datagram], lookups: Sequence[Line], window: Window
) -> Measured:
    owners = Counter(seen.owners[token] for token in seen.sent)
    names: dict[str, Value] = {name: seen.queries[name] for name in _most(seen.queries)}
    return {
        "window_seconds": round(window.seconds, 3),
        "datagrams_tried": len(datagrams),
        "datagrams_sent": sum(one.sent for one in datagrams),
        "datagrams_by_outcome": dict(Counter(str(one.end["outcome"]) for one in datagrams)),
        "datagrams_in_clear": sum(one.token in seen.sent for one in datagrams),
        "answers_in_clear": sum(one.token in seen.came for one in datagrams),
        "tokens_in_clear_by_owner": dict(owners),
        "other_datagrams": len(seen.others),
        "rate_bound_95": rate_bound(len(datagrams)),
        "lookups": len(lookups),
        "lookups_by_outcome": dict(Counter(str(one["outcome"]) for one in lookups)),
        "names_in_clear": names,
        "queries": sum(seen.queries.values()),
        "resolvers": sorted(seen.resolvers),
    }


def _most(queries: dict[str, int]) -> Sequence[str]:
    """Names that were asked for in the window, the most often asked first."""
    asked = [name for name, number in queries.items() if number]
    return sorted(asked, key=lambda name: (-queries[name], name))[:_TOLD]


def _listed(queries: dict[str, int]) -> str:
    names = _most(queries)
    return ", ".join(names[:4]) + (f" and {len(queries) - 4} more" if len(queries) > 4 else "")


def _frame(bundle: Bundle, packet: Packet, what: str) -> Evidence:
    text = f"{what}, {packet.src}:{packet.sport} > {packet.dst}:{packet.dport}"
    return Evidence(bundle.capture_file, frame=packet.frame, ns=packet.ns, text=text)


def _stamp(line: Line, what: str) -> Evidence:
    file = stamps_file(SUBJECT_ROLE, Container.APP)
    return Evidence(file, line=line.number, ns=line.ns, text=f"{what}: {line['outcome']}")

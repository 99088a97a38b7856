"""What was seen in one view of the pod's packets: sights, their counts, and the whole survey."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.tokens import Token
from conformance.model import Evidence

_TOLD = 300  # leaks, doubts and controls that are kept one by one; all are counted
Endpoint = tuple[str, int]


class Sight(NamedTuple):
    """Something seen in a frame, worth telling. token is "" where there is none."""

    what: str
    frame: int
    ns: int
    source: Endpoint
    target: Endpoint
    size: int
    token: str = ""
    owner: str = ""

    def of(self, token: Token) -> Sight:
        """The same, with a token in it."""
        return self._replace(token=token.text, owner=token.sender)

    def evidence(self, file: str) -> Evidence:
        """Where it can be checked by hand."""
        carried = f"{self.token} of {self.owner}: " if self.token else ""
        text = f"{carried}{self.what}, {self.size} bytes, {_name(self.source)} > "
        return Evidence(file, frame=self.frame, ns=self.ns, text=text + _name(self.target))


def _name(end: Endpoint) -> str:
    host = f"[{end[0]}]" if ":" in end[0] else end[0]
    return f"{host}:{end[1]}" if end[1] else host


@dataclass
class Count:
    """Sights of one sort: the first ones, and how many there were in all."""

    told: list[Sight] = field(default_factory=list)
    number: int = 0

    def add(self, sight: Sight) -> None:
        self.number += 1
        if len(self.told) < _TOLD:
            self.told.append(sight)


@dataclass
class Survey:
    """What was seen in a window, and the little that matters outside of it.

    leaks: in clear, inside the window; told once for each token, and once for each connection
    without one. leaked_bytes: payload in clear, tokens or not. doubts: payload that could not be
    judged. controls: the deliberate leak, outside the window. leaks_by and tls_bytes_by: how many,
    by the family of addresses.
    """

    leaks: Count = field(default_factory=Count)
    leaked_bytes: int = 0
    leaked_streams: int = 0
    tokens: set[str] = field(default_factory=set)
    clear: set[tuple[Endpoint, Endpoint]] = field(default_factory=set)
    outside: Count = field(default_factory=Count)
    doubts: Count = field(default_factory=Count)
    controls: Count = field(default_factory=Count)
    packets: int = 0
    payload_bytes: int = 0
    tls_streams: int = 0
    tls_bytes: int = 0
    leaks_by: Counter[str] = field(default_factory=Counter)
    tls_bytes_by: Counter[str] = field(default_factory=Counter)
    explained: dict[str, int] = field(default_factory=dict)

    @property
    def tokens_leaked(self) -> int:
        return len(self.tokens)


def sight_of(what: str, packet: Packet) -> Sight:
    """What a packet shows."""
    source, target = (packet.src, packet.sport), (packet.dst, packet.dport)
    return Sight(what, packet.frame, packet.ns, source, target, len(packet.payload))


def family(end: Endpoint) -> str:
    """By what an endpoint is reached: "ipv4" or "ipv6".

    A frame's addresses are those of its own header. A program may name an IPv4 address as IPv6
    (::ffff:10.0.0.1) and goes by IPv4 all the same: index.endpoint tells it so, as IPv4.
    """
    return "ipv6" if ":" in end[0] else "ipv4"


def pair(source: Endpoint, target: Endpoint) -> tuple[Endpoint, Endpoint]:
    """Both ends of a connection, whichever sends."""
    return (source, target) if source <= target else (target, source)


def unseen_in(seen: Survey, other: Survey) -> list[Sight]:
    """Leaks of ``seen`` of which ``other`` shows neither the token nor the connection in clear."""
    return [
        sight
        for sight in seen.leaks.told
        if sight.token not in other.tokens and pair(sight.source, sight.target) not in other.clear
    ]

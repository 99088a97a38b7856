"""The sidecars' own records of the requests that they carried (FORMAT.md, requests/)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.evidence import envoy_log
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, log_file, requests_file
from conformance.evidence.index import endpoint
from conformance.evidence.packets.wire_connections import Connection
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import NS, Evidence

_TOLD = 50
INBOUND, OUTBOUND = "inbound", "outbound"
Endpoint = tuple[str, int]


@dataclass(frozen=True)
class Record:
    """One request, as the sidecar recorded it.

    file, line: where the sidecar said so. own, peer: the identities of this pod and of the other
    one; "" where there was no certificate. peer_serial: of the client's certificate, inbound, where
    the sidecar records it. status: HTTP's; 0 for no answer. begin_ns: None where that is not known.
    attempts: how often the request was sent, outbound, where the sidecar records it; else 0.
    """

    file: str
    line: int
    direction: str
    begin_ns: int | None
    local: str
    remote: str
    own: str
    peer: str
    peer_serial: str
    tls: str
    status: int
    path: str
    attempts: int

    @property
    def served(self) -> bool:
        """An answer came from the other side."""
        return 200 <= self.status < 400

    @property
    def evidence(self) -> Evidence:
        """The line in which the sidecar said so."""
        text = f"{self.direction}: {self.own or 'none'} with {self.peer or 'none'}"
        text += f", serial {self.peer_serial}" if self.peer_serial else ""
        return Evidence(self.file, line=self.line, text=text)


@dataclass
class Records:
    """All records, to be found by a connection.

    anonymous: inbound requests that were served to a client without an identity.
    shown: inbound requests with the serial number of the certificate that the client showed.
    sent: outbound requests whose attempts were counted.
    first_of: the first inbound request that was served to each identity.
    """

    number: int = 0
    anonymous_number: int = 0
    anonymous: list[Record] = field(default_factory=list)
    shown: list[Record] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)
    first_of: dict[str, Record] = field(default_factory=dict)
    _outbound: dict[Endpoint, list[Record]] = field(default_factory=dict)
    _inbound: dict[Endpoint, list[Record]] = field(default_factory=dict)

    def of(self, connection: Connection) -> Sequence[Record]:
        """The records of a connection: outbound by the pod's end of it, inbound by the peer's."""
        known = (
            self._outbound.get(connection.local, [])
            if connection.outbound
            else self._inbound.get(connection.remote, [])
        )
        # A port may be used again: a request belongs to the connection that was there at its time.
        # Outbound, it begins before the connection that is made for it (connect timeout: 1 s).
        begin, end = connection.first_ns - 2 * NS, connection.last_ns + NS
        return [each for each in known if each.begin_ns is None or begin <= each.begin_ns <= end]

    def add(self, record: Record) -> None:
        """Take one record."""
        self.number += 1
        if record.direction == OUTBOUND:
            _put(self._outbound, record.local, record)
            if record.attempts:
                self.sent.append(record)
        elif record.direction == INBOUND:
            _put(self._inbound, record.remote, record)
            if record.peer_serial:
                self.shown.append(record)
            if record.served and record.peer:
                self.first_of.setdefault(record.peer, record)
            if record.served and not record.peer:
                self.anonymous_number += 1
                if len(self.anonymous) < _TOLD:
                    self.anonymous.append(record)


def records(bundle: Bundle, role: str = SUBJECT_ROLE) -> Records:
    """What the sidecars of a pod recorded, of the one under test or of its peer.

    Raises Unjudgeable without any record.
    """
    found = Records()
    for sidecar in bundle.index.sidecars:
        for record in _read(bundle, role, sidecar):
            found.add(record)
    if not found.number:
        raise Unjudgeable("the sidecar recorded no request of its own")
    return found


def _read(bundle: Bundle, role: str, sidecar: str) -> Iterator[Record]:
    file = requests_file(role, sidecar)
    if bundle.has(file) or bundle.index.cell.sidecar not in envoy_log.SIDECARS:
        yield from _written(bundle, file)
        return
    log = log_file(role, sidecar)
    for number, text in bundle.lines(log):
        raw = envoy_log.request_of(text)
        if raw is not None:
            yield Record(file=log, line=number, **raw)


def _written(bundle: Bundle, file: str) -> Iterator[Record]:
    """The records of a file of requests/. Raises Unjudgeable."""
    for number, text in bundle.lines(file):
        try:
            raw: dict[str, Any] = json.loads(text)
            said, _, line = str(raw.pop("source", f"{file}:{number}")).rpartition(":")
            yield Record(file=said, line=int(line), **{**_NOTHING, **raw})
        except (ValueError, TypeError) as error:
            where = (Evidence(file, line=number),)
            raise Unjudgeable(f"{file}:{number} cannot be read: {error}", evidence=where) from error


# What a record says of a thing that its proxy does not record.
_NOTHING: Mapping[str, Any] = {
    "begin_ns": None, "local": "", "remote": "", "own": "", "peer": "", "peer_serial": "",
    "tls": "", "status": 0, "path": "", "attempts": 0,
}  # fmt: skip


def _put(table: dict[Endpoint, list[Record]], where: str, record: Record) -> None:
    try:
        table.setdefault(endpoint(where), []).append(record)
    except ValueError:
        return  # no connection was made

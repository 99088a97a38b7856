"""The sidecar's own records: Envoy's access log, as JSON lines in the container's output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, log_file
from conformance.evidence.index import endpoint
from conformance.evidence.parse import rfc3339_ns
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.wire_connections import Connection
from conformance.model import NS, Evidence

_TOLD = 50
Endpoint = tuple[str, int]


@dataclass(frozen=True)
class Record:
    """One request, as the sidecar recorded it. URIs are "" where there was no certificate.

    peer_serial: of the client's certificate, inbound, where the sidecar records it. attempts: how
    often the request was sent, outbound, where the sidecar records it; else 0.
    """

    file: str
    line: int
    direction: str
    peer_uri: str
    peer_serial: str
    own_uri: str
    tls_version: str
    code: int
    start: int | None
    path: str
    attempts: int

    @property
    def served(self) -> bool:
        """An answer came from the other side."""
        return 200 <= self.code < 400

    @property
    def evidence(self) -> Evidence:
        """The line in the log."""
        text = f"{self.direction}: {self.own_uri or 'none'} with {self.peer_uri or 'none'}"
        text += f", serial {self.peer_serial}" if self.peer_serial else ""
        return Evidence(self.file, line=self.line, text=text)


@dataclass
class Records:
    """All records, to be found by a connection.

    anonymous: inbound requests that were served to a client without an identity.
    shown: inbound requests with the serial number of the certificate that the client showed.
    sent: outbound requests whose attempts were counted.
    """

    number: int = 0
    anonymous_number: int = 0
    anonymous: list[Record] = field(default_factory=list)
    shown: list[Record] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)
    _outbound: dict[Endpoint, list[Record]] = field(default_factory=dict)
    _inbound: dict[Endpoint, list[Record]] = field(default_factory=dict)

    def of(self, connection: Connection) -> Sequence[Record]:
        """The records of a connection: outbound by the pod's end of it, inbound by the peer's."""
        its = (
            self._outbound.get(connection.local, [])
            if connection.outbound
            else self._inbound.get(connection.remote, [])
        )
        # A port may be used again: a request belongs to the connection that was there at its time.
        # Outbound, it begins before the connection that is made for it (connect timeout: 1 s).
        begin, end = connection.first_ns - 2 * NS, connection.last_ns + NS
        return [one for one in its if one.start is None or begin <= one.start <= end]

    def add(self, record: Record, raw: Mapping[str, Any]) -> None:
        """Take one record."""
        self.number += 1
        if record.direction == "outbound":
            _put(self._outbound, raw.get("upstream_local"), record)
            if record.attempts:
                self.sent.append(record)
        elif record.direction == "inbound":
            _put(self._inbound, raw.get("downstream_remote"), record)
            if record.peer_serial:
                self.shown.append(record)
            if record.served and not record.peer_uri:
                self.anonymous_number += 1
                if len(self.anonymous) < _TOLD:
                    self.anonymous.append(record)


def records(bundle: Bundle, role: str = SUBJECT_ROLE) -> Records:
    """What the sidecars of a pod recorded, of the one under test or of its peer.

    Raises Unjudgeable without any record.
    """
    found = Records()
    for sidecar in bundle.index.sidecars:
        file = log_file(role, sidecar)
        for number, text in bundle.lines(file):
            raw = _json_in(text)
            if raw is not None and "direction" in raw:
                found.add(_record(file, number, raw), raw)
    if not found.number:
        raise Unjudgeable("the sidecar recorded no request of its own")
    return found


def _json_in(text: str) -> Mapping[str, Any] | None:
    """The JSON object that a line ends in; log lines of another kind have none."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        raw = json.loads(text[start:])
    except ValueError:
        return None
    return raw if isinstance(raw, dict) else None


def _record(file: str, number: int, raw: Mapping[str, Any]) -> Record:
    return Record(
        file=file,
        line=number,
        direction=str(raw["direction"]),
        peer_uri=_said(raw.get("peer_uri")),
        peer_serial=_said(raw.get("peer_serial")),
        own_uri=_said(raw.get("own_uri")),
        tls_version=_said(raw.get("tls_version")),
        code=int(_said(raw.get("response_code")) or 0),
        start=_start(_said(raw.get("start"))),
        path=_said(raw.get("token_path")),
        attempts=int(_said(raw.get("attempts")) or 0),
    )


def _start(text: str) -> int | None:
    try:
        return rfc3339_ns(text)
    except ValueError:
        return None


def _said(value: Any) -> str:
    """Envoy writes null or "-" for what is not there."""
    return "" if value in (None, "-") else str(value)


def _put(table: dict[Endpoint, list[Record]], where: Any, record: Record) -> None:
    try:
        table.setdefault(endpoint(_said(where)), []).append(record)
    except ValueError:
        return  # no connection was made

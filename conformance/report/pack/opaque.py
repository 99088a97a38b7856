"""What a TLS hello holds that is drawn by lot: randoms, session ids, key shares, tickets.

It is new in each connection, cannot be compressed (a post-quantum share has 1.2 kB), and no judge
reads more of it than that it is no text. RFC 8446, 4.1.2, 4.1.3, 4.2.8, 4.2.11; RFC 5077, 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence.packets.tls_hello import CLIENT_HELLO, RETRY, SERVER_HELLO

_SHARE, _TICKET, _EARLIER = 51, 35, 41  # extensions: key_share, session_ticket, pre_shared_key
_RANDOM = 32


class _Strange(Exception):
    pass


class _Cursor:
    """Reads a piece of a record, and knows where in the record it stands."""

    def __init__(self, data: bytes | bytearray, at: int, end: int) -> None:
        if end > len(data):
            raise _Strange
        self.data, self.at, self.end = data, at, end

    def number(self, size: int) -> int:
        begin, _ = self.take(size)
        return int.from_bytes(self.data[begin : begin + size])

    def take(self, size: int) -> tuple[int, int]:
        if self.at + size > self.end:
            raise _Strange
        begin, self.at = self.at, self.at + size
        return begin, self.at

    def vector(self, size: int) -> tuple[int, int]:
        return self.take(self.number(size))

    def within(self, size: int) -> _Cursor:
        return _Cursor(self.data, *self.vector(size))


def spans(record: bytes | bytearray, size: int = 0) -> list[tuple[int, int]]:
    """Where in a handshake record (without its header) such bytes begin and end, in order; [] for
    one that does not begin with a whole hello.

    size: of the whole record, where only its beginning is there; what lies behind that is not read.
    """
    found: list[tuple[int, int]] = []
    cut = size > len(record)
    try:
        message = _Cursor(bytes(record).ljust(size, b"\0"), 0, max(size, len(record)))
        kind = message.number(1)
        if kind not in (CLIENT_HELLO, SERVER_HELLO):
            return []
        for span in _hello(message.within(3), client=kind == CLIENT_HELLO):
            found.append(span)
    except _Strange:
        if not cut:
            return []
    return sorted(one for one in found if one[0] < len(record))


def _hello(body: _Cursor, *, client: bool) -> Iterator[tuple[int, int]]:
    body.take(2)
    begin, end = body.take(_RANDOM)
    if body.data[begin:end] != RETRY:
        yield begin, end
    yield body.vector(1)
    if client:
        body.vector(2)
        body.vector(1)
    else:
        body.take(3)
    extensions = body.within(2)
    while extensions.at < extensions.end:
        kind, data = extensions.number(2), extensions.within(2)
        if kind == _SHARE:
            yield from _shares(data, client)
        elif kind == _TICKET:
            yield data.at, data.end
        elif kind == _EARLIER and client:
            yield from _earlier(data)


def _shares(data: _Cursor, client: bool) -> Iterator[tuple[int, int]]:
    if client:
        data = data.within(2)
    while data.end - data.at > 2:  # a server that asks for another hello names a group alone
        data.take(2)
        yield data.vector(2)


def _earlier(data: _Cursor) -> Iterator[tuple[int, int]]:
    identities, binders = data.within(2), data.within(2)
    while identities.at < identities.end:
        yield identities.vector(2)
        yield identities.take(4)  # an age that is made unreadable
    while binders.at < binders.end:
        yield binders.vector(1)

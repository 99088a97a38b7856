"""The messages of a TLS handshake that are in clear: what the two sides agreed on (RFC 8446, 4.1).

A hello that does not parse is not refused: its length is right, and nothing more is known of it.
Then what it and the records hold must not be text, compressed or not, as in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from conformance.evidence.packets.compressed_text import is_compressed_text
from conformance.evidence.packets.runs import READABLE, has_run

CLIENT_HELLO, SERVER_HELLO = 1, 2
# Messages that are in clear up to TLS 1.2 (RFC 5246, 7.4; RFC 6066, 8; RFC 5077, 3.3), beside the
# hellos: ticket, certificate, key exchange, its request, done, verify, client's key, status.
FORMER = frozenset({4, 11, 12, 13, 14, 15, 16, 22})
# Names stand readable in these: certificates, and the authorities that are asked for.
_NAMING = frozenset({11, 13, 22})
# IANA, TLS Cipher Suites: those that are named ..._WITH_NULL_..., the empty one, and those of TLS
# 1.3 that protect integrity only (RFC 9150).
_NULL = frozenset({
    0x0000, 0x0001, 0x0002, 0x002C, 0x002D, 0x002E, 0x003B, 0x00B0, 0x00B1, 0x00B4, 0x00B5, 0x00B8,
    0x00B9, 0xC001, 0xC006, 0xC00B, 0xC010, 0xC015, 0xC039, 0xC03A, 0xC03B, 0xC0B4, 0xC0B5,
})  # fmt: skip
# The same list: AES and ChaCha20 suites, which is what proxies and clients of today agree on.
_ENCRYPTING = frozenset({
    *range(0x1301, 0x1306), 0x002F, 0x0033, 0x0035, 0x0039, 0x003C, 0x003D, 0x0067, 0x006B,
    *range(0x009C, 0x00A0), 0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028, 0xC02B,
    0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0xCCAA,
})  # fmt: skip
# The same list: the ranges in which a number has a meaning. A number outside of them is no cipher.
_REGISTERED = (
    range(0x0000, 0x0047), range(0x0067, 0x006E), range(0x0084, 0x00C8), range(0x1301, 0x1308),
    range(0xC001, 0xC0B6), range(0xC100, 0xC108), range(0xCCA8, 0xCCAF), range(0xD001, 0xD006),
)  # fmt: skip
# RFC 8446, 4.1.3: the "random" by which a server asks for another ClientHello.
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_NAME, _PROTOCOLS, _VERSIONS = 0, 16, 43  # extensions
_THIRTEEN = 0x0304
# 24 readable bytes in a row come about by chance once in 10^10 places: far more than all hellos of
# a run have. In records there are far more places, and 32 in a row are one in 10^13.
READABLE_HELLO, READABLE_RECORD = 24, 32
_HOST = re.compile(rb"[A-Za-z0-9._-]{0,253}")
_PROTOCOL = re.compile(rb"[\x20-\x7e]{1,32}")


@dataclass(frozen=True)
class Hello:
    """What a hello says. known: it could be parsed. encrypts: the server's cipher does, or does
    not; None when nobody knows. ciphers: those that a client offers, or the one that a server
    chose. thirteen: it is TLS 1.3. retry: another hello must follow. clear: what in it is no TLS,
    "" when nothing is."""

    known: bool
    encrypts: bool | None = None
    thirteen: bool | None = None
    retry: bool = False
    clear: str = ""
    ciphers: frozenset[int] = frozenset()


class _Short(Exception):
    pass


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size > len(self.data):
            raise _Short
        found, self.data = self.data[:size], self.data[size:]
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def read(body: bytes, *, client: bool) -> Hello:
    """The body of a hello (without its type and length)."""
    try:
        return _client(_Reader(body)) if client else _server(_Reader(body))
    except _Short:
        return Hello(known=False, clear=_clear(body) or _compressed(body))


def _head(reader: _Reader) -> bytes:
    """The random. The version before it is 0x0303 in every hello since TLS 1.2."""
    if reader.take(1) != b"\x03":
        raise _Short
    reader.take(1)
    return reader.take(32)


def _client(reader: _Reader) -> Hello:
    rest = _head(reader)
    session = reader.vector(1)
    suites = reader.vector(2)
    if len(session) > 32 or not suites or len(suites) % 2:
        raise _Short
    reader.vector(1)
    hidden, names = b"", ""
    for kind, data in _extensions(reader):
        names = names or _compressed(data)
        if kind in (_NAME, _PROTOCOLS):
            names = names or _strange(kind, data)
        else:
            hidden += b"\0" + data
    hidden = b"\0".join((rest, session, suites)) + hidden
    offered = frozenset(int.from_bytes(suites[at : at + 2]) for at in range(0, len(suites), 2))
    return Hello(known=True, clear=names or _clear(hidden), ciphers=offered)


def _server(reader: _Reader) -> Hello:
    rest = _head(reader)
    session = reader.vector(1)
    suite = reader.number(2)
    if len(session) > 32 or reader.take(1) != b"\0":
        raise _Short
    thirteen, hidden = False, b""
    for kind, data in _extensions(reader):
        if kind == _VERSIONS:
            thirteen = data == _THIRTEEN.to_bytes(2)
        hidden += b"\0" + data
    none = suite in _NULL or not any(suite in one for one in _REGISTERED)
    encrypts = False if none else True if suite in _ENCRYPTING else None
    return Hello(
        known=True,
        encrypts=encrypts,
        thirteen=thirteen,
        retry=rest == RETRY,
        clear=_clear(rest + b"\0" + session + hidden),
        ciphers=frozenset({suite}),
    )


def _extensions(reader: _Reader) -> list[tuple[int, bytes]]:
    if not reader.data:
        return []
    inner = _Reader(reader.vector(2))
    if reader.data:
        raise _Short  # something stands after the last extension
    found = []
    while inner.data:
        found.append((inner.number(2), inner.vector(2)))
    return found


def _strange(kind: int, data: bytes) -> str:
    """What is wrong with the two extensions in which readable names belong."""
    reader = _Reader(data)
    inner = _Reader(reader.vector(2))
    if kind == _NAME:
        inner.take(1)
        name = inner.vector(2)
        return "" if _HOST.fullmatch(name) else "a server name that is no name"
    while inner.data:
        if not _PROTOCOL.fullmatch(inner.vector(1)):
            return "a protocol's name that is none"
    return ""


def _compressed(data: bytes) -> str:
    return "compressed text in a hello" if is_compressed_text(data) else ""


def _clear(data: bytes) -> str:
    return "readable text in a hello" if has_run(READABLE, data, READABLE_HELLO) else ""


def strange_message(kind: int, body: bytes) -> str:
    """What is wrong with another message of a handshake up to TLS 1.2; "" when nothing is."""
    if kind not in FORMER:
        return f"a handshake message of type {kind}"
    if kind not in _NAMING and has_run(READABLE, body, READABLE_HELLO):
        return f"readable text in a handshake message of type {kind}"
    return ""

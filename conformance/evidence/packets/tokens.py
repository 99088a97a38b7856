"""Request tokens: what they say, and how they are found in a stream of bytes.

``cny.<nonce>.<kind>.<sender>.<seq>``, see FORMAT.md.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(rb"cny\.([0-9a-f]{12})\.([a-z-]+)\.([a-z]+)\.([0-9]{6})")
# Bytes kept of what was scanned, so that a token cut in two is found: well above the longest token
# there is (mesh-witness, subject: 46 bytes).
_OVERLAP = 96


class Token(NamedTuple):
    """One token: text is the whole of it; sender is its owner."""

    text: str
    nonce: str
    kind: str
    sender: str
    seq: int


def find(data: bytes) -> list[Token]:
    """All tokens in a piece of bytes."""
    if b"cny." not in data:
        return []
    return [_read(match) for match in _TOKEN.finditer(data)]


def parse(text: str) -> Token | None:
    """The token that ``text`` is; None when it is none."""
    match = _TOKEN.fullmatch(text.encode())
    return _read(match) if match else None


class TokenScan:
    """Finds tokens in one direction of a stream, however the stream is cut into pieces."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> list[Token]:
        """The tokens that end within ``data``."""
        seen = len(self._tail)
        whole = self._tail + data
        self._tail = whole[-_OVERLAP:]
        if b"cny." not in whole:
            return []
        return [_read(match) for match in _TOKEN.finditer(whole) if match.end() > seen]

    def forget(self) -> None:
        """What comes next does not continue what came before."""
        self._tail = b""


def _read(match: re.Match[bytes]) -> Token:
    text = match[0].decode()
    _, nonce, kind, sender, seq = text.split(".")
    return Token(text, nonce, kind, sender, int(seq))

"""A bundle's text files without what nobody reads and nobody can guess.

The journal's lines come with their fields in any order, and with a cursor, which is the journal's
own. The listener outside the mesh writes down what a connection began with: of a TLS hello, what is
drawn by lot becomes zeros, as in captures (opaque.py). Lines keep their numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from conformance.evidence.packets.tls import HANDSHAKE, RecordCheck
from conformance.report.pack import opaque

_JOURNALS = ("containerd.log", "kubelet.log")
_CURSOR = "__CURSOR"
_WITNESS = re.compile(r"stamps/witness\.[^/]+\.jsonl")
_FIRST = re.compile(rb'("first_bytes": ")([0-9a-f]{20,})(")')
_HEAD = 5  # bytes of a TLS record's header, whose last two are its length


def without(name: str, content: bytes) -> bytes:
    """The content without it. name: the file's, in the bundle."""
    change: Callable[[bytes], bytes] | None = None
    if name in _JOURNALS:
        change = _journal
    elif _WITNESS.fullmatch(name):
        change = _witness
    if change is None:
        return content
    return b"".join(map(change, content.splitlines(keepends=True)))


def _journal(line: bytes) -> bytes:
    """A line with its fields in their order. What is no line of a journal stays."""
    if not line.endswith(b"}\n"):
        return line
    try:
        fields = json.loads(line)
        fields.pop(_CURSOR, None)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return text.encode() + b"\n"
    except (ValueError, AttributeError, RecursionError):
        return line


def _witness(line: bytes) -> bytes:
    return _FIRST.sub(_hello, line)


def _hello(found: re.Match[bytes]) -> bytes:
    """The same, where what came is TLS as far as it was written down, and holds no token."""
    try:
        first = bytearray.fromhex(found[2].decode())
    except ValueError:
        return found[0]
    is_tls = first[0] == HANDSHAKE and RecordCheck(opener=True).feed(bytes(first)) is None
    if not is_tls or b"cny." in first:
        return found[0]
    record = first[_HEAD : _HEAD + int.from_bytes(first[_HEAD - 2 : _HEAD])]
    for begin, end in opaque.spans(record, int.from_bytes(first[_HEAD - 2 : _HEAD])):
        begin, end = begin + _HEAD, min(end + _HEAD, len(first))
        first[begin:end] = bytes(max(end - begin, 0))
    return found[1] + first.hex().encode() + found[3]

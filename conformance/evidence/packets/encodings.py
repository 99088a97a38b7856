"""Tokens as a bystander could still read them: written in another way.

Looked for are percent signs, base64 (both alphabets), base32 and hexadecimal digits, at every
alignment. Out of reach, and kept out by what an exception may hold at all: compression, HPACK's
Huffman code, and whatever sender and receiver have agreed on.
"""

from __future__ import annotations

import base64
import binascii
import re
import string
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from conformance.evidence.packets.runs import has_run, table
from conformance.evidence.packets.tokens import Token, find

# The shortest token has 28 bytes; runs that cannot hold one are passed over.
_LEAST = 36
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % _LEAST)
_BASE32 = re.compile(rb"[A-Za-z2-7]{44,}")
_HEX = re.compile(rb"[0-9A-Fa-f]{56,}")
# Base64's letters, among which are all of base32 and all hexadecimal digits: where no long run of
# them is, there is none of the others.
_LETTERS = table(f"{string.ascii_letters}{string.digits}+/_-".encode())
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")


def written_otherwise(data: bytes) -> list[Token]:
    """The tokens in a piece of bytes that ``tokens.find`` does not see."""
    if b"%" not in data and not has_run(_LETTERS, data, _LEAST):
        return []
    found: dict[str, Token] = {}
    plain = {one.text for one in find(data)}
    for text in _readings(data):
        for token in find(text):
            if token.text not in plain:
                found.setdefault(token.text, token)
    return list(found.values())


def _readings(data: bytes) -> Iterator[bytes]:
    if b"%" in data:
        once = unquote_to_bytes(data)
        yield once
        yield unquote_to_bytes(once)
    for run in _BASE64.findall(data):
        yield from _aligned(run.translate(_URL_ALPHABET), 4, base64.b64decode)
    for run in _BASE32.findall(data):
        yield from _aligned(run.upper(), 8, base64.b32decode)
    for run in _HEX.findall(data):
        yield from _aligned(run, 2, binascii.unhexlify)


def _aligned(run: bytes, group: int, decode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """A run decoded from each place in a group: what stands before it may look like its part."""
    for start in range(group):
        whole = run[start : start + (len(run) - start) // group * group]
        rest = run[start + len(whole) :]
        padded = [whole, whole + rest + b"=" * (group - len(rest))] if rest else [whole]
        for piece in reversed(padded):
            try:
                yield decode(piece)
                break
            except (ValueError, binascii.Error):
                continue

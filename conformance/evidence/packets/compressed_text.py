"""Clear text that is compressed: it looks random, and whoever stands by reads it.

zlib, gzip and raw deflate, bzip2 and xz are expanded; what begins as Zstandard or LZ4 does is taken
for it. Brotli has no mark, and is out of reach.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib

LOOKED_AT = 4096
"""Bytes of a piece that are looked at: its beginning."""
_EXPANDED = 4096  # bytes that are made of them at most
_GZIP = b"\x1f\x8b\x08"  # RFC 1952, 2.3.1
# The magic numbers of Zstandard (RFC 8878, 3.1.1) and of LZ4's frames.
_MARKS = (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


# Random bytes taken for deflate's fixed codes (RFC 1951, 3.2.6) make a readable byte of every third
# symbol, and repeat it: a long run alone says nothing. So many different ones in a row that begins
# with the first byte are one in 10^10.
_TEXT = re.compile(rb"[\t\r\n\x20-\x7e]{128}")
_DIFFERENT = 24


def is_compressed_text(data: bytes) -> bool:
    """Whether a piece of bytes is compressed text, of at least 128 bytes.

    A mark of four bytes comes about by chance once in 2 * 10^9 pieces.
    """
    data = data[:LOOKED_AT]
    if data.startswith(_MARKS):
        return True
    places = [0, *(at for at in [data.find(_GZIP, 1)] if at > 0)]
    return any(_is_text(one) for at in places for one in _expanded(data[at:]))


def _is_text(data: bytes) -> bool:
    match = _TEXT.match(data)
    return match is not None and len(set(match[0])) >= _DIFFERENT


def _expanded(data: bytes) -> list[bytes]:
    """What a beginning expands to, by each method that takes it at all."""
    found = []
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        expand = zlib.decompressobj(bits)
        try:
            found.append(expand.decompress(data, _EXPANDED))
        except zlib.error:
            found.append(_before_the_error(data, bits))
    for mark, make in ((b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ\0", lzma.LZMADecompressor)):
        if data.startswith(mark):
            try:
                found.append(make().decompress(data, _EXPANDED))
            except (OSError, lzma.LZMAError, EOFError):
                found.append(b"")
    return found


def _before_the_error(data: bytes, bits: int) -> bytes:
    """What a stream expands to that goes wrong on its way: zlib keeps nothing of it by itself."""
    expand, out = zlib.decompressobj(bits), b""
    try:
        for place in range(0, min(len(data), 512), 16):
            out += expand.decompress(data[place : place + 16], _EXPANDED)
    except zlib.error:
        pass
    return out

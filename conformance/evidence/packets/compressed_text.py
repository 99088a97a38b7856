"""Clear text that is compressed: it looks random, and whoever stands by reads it.

zlib, gzip and raw deflate, bzip2 and xz are expanded; what begins as Zstandard or LZ4 does is taken
for it. Brotli has no mark, and is out of reach.
"""

from __future__ import annotations

import bz2
import lzma
import zlib

from conformance.evidence.packets.runs import LETTERS

LOOKED_AT = 4096
"""Bytes of a piece that are looked at: its beginning."""
_EXPANDED = 4096  # bytes that are made of them at most
_GZIP = b"\x1f\x8b\x08"  # RFC 1952, 2.3.1
# How gzip and zlib begin (RFC 1950, 2.2: method 8, a window of at most 32 KiB, and a check); at any
# other two bytes zlib gives up before it has made one.
_HEADERS = frozenset(
    {_GZIP[:2]}
    | {
        number.to_bytes(2)
        for number in range(0x0800, 0x8000)
        if number >> 8 & 15 == 8 and not number % 31
    }
)
# The magic numbers of Zstandard (RFC 8878, 3.1.1) and of LZ4's frames.
_MARKS = (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


# Random bytes taken for deflate's fixed codes (RFC 1951, 3.2.6) make a readable byte of every third
# symbol, and repeat it: a long run alone says nothing. So many different ones in a row that begins
# with the first byte are one in 10^10.
_TEXT = 128
_DIFFERENT = 24
# Fewer bytes hold no such text. Each of 24 different letters stands in deflate as itself where it
# comes first, whatever is repeated: at best in a Huffman code of its own, whose 24 lengths come to
# 24 * log2(24) = 110 bits (Kraft), after 17 bits of a block's header. bzip2 and xz need more.
_LEAST = 15
# Compressed bytes in which so much text must begin to show; they are given out a few at a time, for
# zlib keeps nothing of what comes before an error, and most of what is no text ends in the first.
_SHOWN_WITHIN, _PIECE = 512, 16


def is_compressed_text(data: bytes) -> bool:
    """Whether a piece of bytes is compressed text, of at least 128 bytes.

    A mark of four bytes comes about by chance once in 2 * 10^9 pieces.
    """
    data = data[:LOOKED_AT]
    if data.startswith(_MARKS):
        return True
    if len(data) < _LEAST:
        return False
    return _is_compressed(data) or ((at := data.find(_GZIP, 1)) > 0 and _is_compressed(data[at:]))


def _is_compressed(data: bytes) -> bool:
    """Whether text comes of it by a method that has no mark of four bytes."""
    if _is_deflated(data, -zlib.MAX_WBITS):
        return True
    if data[:2] in _HEADERS and _is_deflated(data, zlib.MAX_WBITS | 32):
        return True
    for mark, make in ((b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ\0", lzma.LZMADecompressor)):
        if data.startswith(mark):
            try:
                return _is_text(make().decompress(data, _EXPANDED))
            except (OSError, lzma.LZMAError, EOFError):
                return False
    return False


def _is_text(data: bytes) -> bool:
    start = data[:_TEXT]
    return (
        len(start) == _TEXT and not start.translate(None, LETTERS) and len(set(start)) >= _DIFFERENT
    )


def _is_deflated(data: bytes, bits: int) -> bool:
    """Whether deflate expands it to something that begins with text.

    The first 128 bytes tell, so it ends at the first one that is no letter, or at an error before
    there are as many: neither more bytes nor all of them at once would change those.
    """
    expand, out = zlib.decompressobj(bits), b""
    try:
        for place in range(0, min(len(data), _SHOWN_WITHIN), _PIECE):
            out += expand.decompress(data[place : place + _PIECE], _EXPANDED)
            if out[:_TEXT].translate(None, LETTERS):
                return False
            if len(out) >= _TEXT:
                return _is_text(out)
        if len(data) <= _SHOWN_WITHIN:
            return False
        return _is_text(zlib.decompressobj(bits).decompress(data, _EXPANDED))
    except zlib.error:
        return False

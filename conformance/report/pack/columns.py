"""A capture in another order of its bytes, which xz makes a fifth smaller; and back, bit by bit.

The times of all records stand together, byte plane by byte plane, as steps from one to the next;
then the lengths; then the frames. In each TCP packet the two numbers that nobody can guess, its
sequence and acknowledgement, are told as how far they are from what the connection said before:
mostly 0.
"""

from __future__ import annotations

import struct
import sys
from array import array

SUFFIX = ".columns"
_COUNTS = struct.Struct("<II")  # records; bytes after the last whole one
_HEADER, _LINK_AT = 24, 20
# The magic number of a pcap file → its byte order, and its units in a second.
_MAGIC = {
    bytes.fromhex("d4c3b2a1"): ("<", 10**6), bytes.fromhex("4d3cb2a1"): ("<", 10**9),
    bytes.fromhex("a1b2c3d4"): (">", 10**6), bytes.fromhex("a1b23c4d"): (">", 10**9),
}  # fmt: skip
_PLANES = 8
_WRAP64, _WRAP32 = (1 << 64) - 1, (1 << 32) - 1
_ETHERNET, _SLL2 = 1, 276
_LINKS = {_ETHERNET: (14, 12), _SLL2: (20, 0)}  # bytes of the link's header; where its type is
_IPV4, _TCP = b"\x08\0", 6
_NUMBERS = struct.Struct(">II")


def columns(capture: bytes) -> bytes | None:
    """The capture as columns; None for one that ``capture`` would not give back the same."""
    known = _MAGIC.get(capture[:4])
    # Columns are in the order of bytes of the machines that there are; another one keeps captures.
    if known is None or len(capture) < _HEADER or sys.byteorder != "little":
        return None
    record, unit = struct.Struct(f"{known[0]}IIII"), known[1]
    steps, kept, more = array("Q"), array("I"), array("I")
    frames, at, before = bytearray(), _HEADER, 0
    while at + record.size <= len(capture):
        seconds, part, size, whole = record.unpack_from(capture, at)
        if at + record.size + size > len(capture):
            break
        time = seconds * unit + part
        steps.append((time - before) & _WRAP64)
        before = time
        kept.append(size)
        more.append((whole - size) & _WRAP32)
        frames += capture[at + record.size : at + record.size + size]
        at += record.size + size
    _tell(frames, kept, _link(capture), back=False)
    counts = _COUNTS.pack(len(kept), len(capture) - at)
    parts = (counts, capture[:_HEADER], planes(steps), kept, more, frames, capture[at:])
    made = b"".join(map(bytes, parts))
    return made if restored(made) == capture else None


def restored(made: bytes) -> bytes:
    """The capture that ``columns`` was given."""
    count, left = _COUNTS.unpack_from(made)
    at = _COUNTS.size + _HEADER
    head = made[_COUNTS.size : at]
    order, unit = _MAGIC[head[:4]]
    steps, kept, more = unplaned(made[at : at + _PLANES * count]), array("I"), array("I")
    at += _PLANES * count
    for numbers in (kept, more):
        numbers.frombytes(made[at : at + 4 * count])
        at += 4 * count
    frames = bytearray(made[at : len(made) - left])
    _tell(frames, kept, _link(head), back=True)
    record, time, place = struct.Struct(f"{order}IIII"), 0, 0
    found = bytearray(head)
    for step, size, rest in zip(steps, kept, more, strict=True):
        time = (time + step) & _WRAP64
        found += record.pack(*divmod(time, unit), size, (size + rest) & _WRAP32)
        found += frames[place : place + size]
        place += size
    return bytes(found) + made[len(made) - left :]


def planes(numbers: array[int]) -> bytes:
    """The lowest bytes of all numbers, then the next ones, and so on: alike stands by alike."""
    raw = numbers.tobytes()
    return b"".join(raw[plane::_PLANES] for plane in range(_PLANES))


def unplaned(made: bytes) -> array[int]:
    """The numbers that ``planes`` was given. Raises ValueError for bytes that are not whole."""
    count = len(made) // _PLANES
    raw = bytearray(len(made))
    for plane in range(_PLANES):
        raw[plane::_PLANES] = made[plane * count : (plane + 1) * count]
    return array("Q", bytes(raw))


def _link(head: bytes) -> int:
    order = "little" if _MAGIC[head[:4]][0] == "<" else "big"
    return int.from_bytes(head[_LINK_AT : _LINK_AT + 2], order)  # type: ignore[arg-type]


def _tell(frames: bytearray, sizes: array[int], link: int, *, back: bool) -> None:
    """Tell the numbers of TCP as distances from what is expected, or back as themselves."""
    if link not in _LINKS:
        return
    head, kind = _LINKS[link]
    expected: dict[bytes, int] = {}
    at = 0
    for size in sizes:
        begin, at = at, at + size
        ip = begin + head
        transport = ip + (frames[ip] & 15) * 4 if size > head else at
        if (
            frames[begin + kind : begin + kind + 2] != _IPV4
            or transport + 20 > at
            or frames[ip + 9] != _TCP
        ):
            continue
        one, two = bytes(frames[ip + 12 : ip + 16]), bytes(frames[ip + 16 : ip + 20])
        mine, other = (bytes(frames[transport + n : transport + n + 2]) for n in (0, 2))
        key, answer = one + mine + two + other, two + other + one + mine
        said, heard = _NUMBERS.unpack_from(frames, transport + 4)
        guess, guessed = expected.get(key, 0), expected.get(answer, 0)
        sequence = (said + guess) & _WRAP32 if back else said
        if back:
            told = sequence, (heard + guessed) & _WRAP32
        else:
            told = (said - guess) & _WRAP32, (heard - guessed) & _WRAP32
        _NUMBERS.pack_into(frames, transport + 4, *told)
        flags = frames[transport + 13]
        length = int.from_bytes(frames[ip + 2 : ip + 4]) - (transport - ip)
        length += (flags & 1) + (flags >> 1 & 1) - (frames[transport + 12] >> 4) * 4
        expected[key] = (sequence + length) & _WRAP32

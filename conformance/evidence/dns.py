"""The question of a DNS message (RFC 1035, 4.1), which names what was looked up."""

from __future__ import annotations

import struct
from dataclasses import dataclass

PORT = 53
_HEADER = 12
_ANSWER = 0x8000  # QR, the first bit of the flags
_LONGEST_LABEL = 63
_TYPES = {1: "A", 28: "AAAA", 33: "SRV", 12: "PTR"}


@dataclass(frozen=True)
class Question:
    """What was asked. name: in lower case, without the last dot. answered: this is the answer."""

    name: str
    kind: str
    answered: bool


def question(message: bytes) -> Question | None:
    """The first question of a message; None when this is no DNS message with a question."""
    if len(message) < _HEADER:
        return None
    flags, questions = struct.unpack_from("!HH", message, 2)
    labels: list[str] = []
    at = _HEADER
    while questions and at < len(message):
        size = message[at]
        at += 1
        if size == 0:
            if not labels or at + 4 > len(message):
                return None
            (kind,) = struct.unpack_from("!H", message, at)
            name = ".".join(labels).lower()
            return Question(name, _TYPES.get(kind, f"type {kind}"), bool(flags & _ANSWER))
        if size > _LONGEST_LABEL or at + size > len(message):  # in a question nothing is compressed
            return None
        labels.append(message[at : at + size].decode("ascii", "backslashreplace"))
        at += size
    return None

"""The question of a DNS message (RFC 1035, 4.1), which names what was looked up.

scapy reads it, imported on first use because that takes 0.7 s. It is lenient where a judge may not
be: it takes the rest of a message that is cut short for a name. So what it read is written again,
and must be what the message has.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

PORT = 53
_HEADER = 12


@dataclass(frozen=True)
class Question:
    """What was asked. name: in lower case, without the last dot. answered: this is the answer."""

    name: str
    kind: str
    answered: bool


@lru_cache(maxsize=64)  # who looks at a message asks twice: for its form, and for the name in it
def question(message: bytes) -> Question | None:
    """The first question of a message; None when this is no DNS message with a question."""
    from scapy.error import Scapy_Exception
    from scapy.layers.dns import DNS, DNSQR, dnsqtypes

    if len(message) <= _HEADER:
        return None
    header = DNS(message[:_HEADER])
    try:
        asked = DNSQR(message[_HEADER:])
    except (Scapy_Exception, struct.error):  # a compressed name, which no question has, or half one
        return None
    again = bytes(DNSQR(qname=asked.qname, qtype=asked.qtype, qclass=asked.qclass))
    name = asked.qname.removesuffix(b".").decode("ascii", "backslashreplace").lower()
    if not header.qdcount or not name or not message.startswith(again, _HEADER):
        return None
    kind = dnsqtypes.get(asked.qtype, f"type {asked.qtype}")
    return Question(name, kind, bool(header.qr))

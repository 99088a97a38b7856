"""A frame in full, for people: what scapy reads in it, layer by layer, and its bytes.

A verdict names a frame or two, and only those are read like this: scapy's layers take a second to
import and a frame a millisecond to read, where a judge has some µs.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from conformance.evidence.packets.capture import ETHERNET, SLL2
from conformance.evidence.packets.pcap import Pcap

_MOST_BYTES = 512  # of a hexdump, 32 lines
_LONGEST_VALUE = 60  # characters of a field
_PAYLOAD = ("load", "options")  # fields that the hexdump shows better


@dataclass(frozen=True)
class Dissection:
    """summary: the frame in one line, then one for each layer. hexdump: of its first 512 bytes."""

    summary: tuple[str, ...]
    hexdump: str


def frames(capture: Path, numbers: Collection[int]) -> Mapping[int, Dissection]:
    """Those of the numbered frames that a capture has; numbers are tcpdump's, from 1.

    Raises UnreadableCapture.
    """
    with Pcap(capture) as file:
        return {
            number: dissect(record.frame, file.link)
            for number, record in enumerate(islice(file, max(numbers, default=0)), 1)
            if number in numbers
        }


def dissect(frame: bytes, link: int = ETHERNET) -> Dissection:
    """What one frame says. link: its LINKTYPE, Ethernet or SLL2; of others there are only bytes.

    Never raises: a frame that breaks off, or is none, is shown as far as scapy understands it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scapy imports ciphers that are no longer in favour
        from scapy.layers import dns, http, inet, inet6, l2  # noqa: F401
        from scapy.packet import Raw
        from scapy.utils import hexdump

        outer = {ETHERNET: l2.Ether, SLL2: l2.CookedLinuxV2}.get(link, Raw)
        try:
            packet: Any = outer(frame)
        except struct.error:  # cut short in its link layer; scapy minds it in no other
            packet = Raw(frame)
        lines = [str(packet.summary())]
        layer = packet
        while layer:
            lines.append(f"{layer.name}: {_fields(layer)}")
            layer = layer.payload
    more = f"\n… {len(frame) - _MOST_BYTES} more bytes" * (len(frame) > _MOST_BYTES)
    return Dissection(tuple(lines), f"{hexdump(frame[:_MOST_BYTES], dump=True)}{more}")


def _fields(layer: Any) -> str:
    """The fields of a layer that are set, in scapy's words for their values."""
    shown = []
    for field, value in layer.fields.items():
        if field in _PAYLOAD or value in (None, "", b""):
            continue
        words = str(layer.get_field(field).i2repr(layer, value))  # a flag field's is no str
        shown.append(f"{field}={words[:_LONGEST_VALUE]}{'…' * (len(words) > _LONGEST_VALUE)}")
    return ", ".join(shown) or f"{len(layer)} bytes"

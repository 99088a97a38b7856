"""Opens a pcap file record by record; what a record holds is not decoded.

scapy reads the file's header: byte order, resolution, link type. It takes gzip and pcapng as well;
nothing here writes those, so they are refused: a file that is not what it should be is seen. The
records are walked here, a block of the file at a time, for scapy's reads of each one take four
times as long. scapy is imported on first use, because that takes 0.3 s.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from conformance.evidence import compressed
from conformance.model import NS

HEADER_BYTES = 24
RECORD_BYTES = 16
# tcpdump's largest snapshot length is 262144; a larger record is not one.
_LARGEST = 1 << 19
_BLOCK = 1 << 20

# What scapy warns of (half a record, no route to a network) is told here in sentences of our own.
for _logger in ("scapy.loading", "scapy.runtime"):
    logging.getLogger(_logger).setLevel(logging.ERROR)


class UnreadableCapture(Exception):
    """The file is no capture of a kind that is known here."""


class Record(NamedTuple):
    """One frame as it was captured. ns: its time. size: the bytes that it had on the wire."""

    ns: int
    frame: bytes
    size: int


class Pcap:
    """A pcap file, to be iterated once; then ``truncated`` tells how it ended.

    header: its first 24 bytes. link: the LINKTYPE of its frames. truncated: the last record is not
    whole, because tcpdump was killed or still writes it; that record is left out.
    Raises UnreadableCapture when the file is no pcap.
    """

    def __init__(self, path: Path) -> None:
        from scapy.error import Scapy_Exception
        from scapy.utils import RawPcapReader

        self.truncated = False
        self._file = compressed.opened(path)
        self.header = self._file.read(HEADER_BYTES)
        self._file.seek(0)
        try:
            self._reader = RawPcapReader(self._file)
        except Scapy_Exception:
            self._reader = None
        if type(self._reader) is not RawPcapReader or self._reader.f is not self._file:
            self._file.close()
            raise UnreadableCapture(f"{path.name} is no pcap file ({len(self.header)} bytes read)")
        self.link: int = self._reader.linktype & 0xFFFF  # above: of a frame check sequence
        self._unit = 1 if self._reader.nano else 1000
        self._head = struct.Struct(f"{self._reader.endian}IIII")

    def __iter__(self) -> Iterator[Record]:
        head, unit = self._head.unpack_from, self._unit
        rest = b""  # of the block before: the beginning of a record
        for block in self._blocks():
            data = rest + block
            at, end = 0, len(data)
            while at + RECORD_BYTES <= end:
                seconds, fraction, kept, size = head(data, at)
                if kept > _LARGEST:
                    self.truncated = True
                    return
                body = at + RECORD_BYTES
                if body + kept > end:
                    break
                at = body + kept
                yield Record(seconds * NS + fraction * unit, data[body:at], size)
            rest = data[at:]
        self.truncated = self.truncated or bool(rest)

    def _blocks(self) -> Iterator[bytes]:
        """What follows the header, in pieces; a compressed file that is damaged ends there."""
        try:
            while block := self._file.read1(_BLOCK):
                yield block
        except (OSError, EOFError, zlib.error):
            self.truncated = True

    def packed(self, record: Record) -> bytes:
        """The record as it stands in this file, with its own header."""
        seconds, rest = divmod(record.ns, NS)
        return (
            self._head.pack(seconds, rest // self._unit, len(record.frame), record.size)
            + record.frame
        )

    def __enter__(self) -> Pcap:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

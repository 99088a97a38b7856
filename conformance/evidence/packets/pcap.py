"""Opens a pcap file record by record, through scapy's reader; what a record holds is not decoded.

scapy reads gzip and pcapng as well. Nothing here writes those, so they are refused: a file that is
not what it should be is seen. scapy is imported on first use, because that takes 0.3 s.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from conformance.evidence import compressed
from conformance.model import NS

HEADER_BYTES = 24
RECORD_BYTES = 16
# tcpdump's largest snapshot length is 262144; a larger record is not one.
_LARGEST = 1 << 19

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
        self._file: IO[bytes] = compressed.opened(path)
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
        read, unit = self._reader._read_packet, self._unit
        whole = HEADER_BYTES  # the end of the last whole record in the file
        while True:
            try:
                frame, (seconds, fraction, size, kept) = read(_LARGEST)
            except EOFError:
                self.truncated = self._file.tell() != whole
                return
            whole += RECORD_BYTES + kept
            # scapy gives up on a record above 256 KiB in the middle, and then finds the next one.
            if len(frame) < kept and (kept > _LARGEST or self._file.tell() != whole):
                self.truncated = True
                return
            yield Record(seconds * NS + fraction * unit, frame, size)

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

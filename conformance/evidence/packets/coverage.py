"""Was the capture watching? Answered by the numbers of its beacons and by tcpdump's own counters.

A late beacon is no gap (the machine was busy, and so was everyone); a missing number is. Counters
only ever grow, so the samples between which "dropped" grew bound the moment of the loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from conformance.evidence.packets.capture import Packet
from conformance.evidence.parse import Line
from conformance.model import NEVER, Evidence, Window

BEACON_TEXT = re.compile(rb"SCB1 ([0-9a-f]{16}) (\d+) (\d+) (first|beat|last)\n")
_REMEMBERED = 100  # blind intervals that are told one by one


@dataclass(frozen=True)
class Blind:
    """A stretch of time (ns) in which the capture may have missed something."""

    start: int
    end: int
    why: str
    evidence: Evidence

    def touches(self, window: Window) -> bool:
        return self.start < window.end and self.end > window.start


@dataclass
class BeaconLog:
    """Collects the beacons that pass by. Only beacons of ``boot`` count."""

    boot: str
    file: str
    beacons: int = 0
    first: Packet | None = None
    last_anchor: Packet | None = None
    last_seq: int = -1
    last_packet: Packet | None = None
    foreign: Packet | None = None
    gaps: list[Blind] = field(default_factory=list)
    missing: int = 0

    def see(self, packet: Packet) -> None:
        """Take one packet of kind "beacon"."""
        match = BEACON_TEXT.match(packet.payload)
        if match is None or match[1].decode() != self.boot:
            self.foreign = self.foreign or packet
            return
        seq, kind = int(match[2]), match[4]
        self.beacons += 1
        if kind == b"first" and seq == 0:
            self.first = packet
        if kind == b"last":
            self.last_anchor = packet
        if seq > self.last_seq + 1 and self.last_packet is not None:
            self._gap(self.last_packet.ns, packet, self.last_seq + 1, seq - 1)
        elif seq <= self.last_seq:
            self._gap(packet.ns, packet, seq, self.last_seq, "came again, or out of order:")
        self.last_seq, self.last_packet = max(seq, self.last_seq), packet

    def _gap(self, start: int, packet: Packet, low: int, high: int, how: str = "missing:") -> None:
        self.missing += high - low + 1
        why = f"beacon {how} {low}" + (f" to {high}" if high > low else "")
        if len(self.gaps) < _REMEMBERED:
            self.gaps.append(Blind(start, packet.ns, why, self._evidence(packet, why)))
        else:  # too many to tell apart: the last one stands for all that follow
            last = self.gaps[-1]
            self.gaps[-1] = Blind(last.start, packet.ns, "beacons missing", last.evidence)

    def _evidence(self, packet: Packet, text: str) -> Evidence:
        return Evidence(self.file, frame=packet.frame, ns=packet.ns, text=text)


@dataclass(frozen=True)
class Coverage:
    """What was watched: from start to end (ns), but for the blind stretches.

    counted_until: when the counters were last read; final: that was at the capture's end.
    lacks: what is missing altogether, in words.
    """

    start: int
    end: int
    blind: Sequence[Blind]
    counted_until: int
    final: bool
    beacons: int
    missing: int
    dropped: int
    lacks: Sequence[str]

    def problems(self, window: Window, *, to_the_end: bool) -> list[Blind | str]:
        """Why the window was not watched without a gap; nothing when it was.

        to_the_end: the window lasts as long as the network namespace, so the last anchor (without
        it, all that follows the last beacon is blind) and the final counters belong to it.
        """
        found: list[Blind | str] = list(self.lacks)
        if self.lacks:
            return found
        found += [one for one in self.blind if one.touches(window)]
        if self.start > window.start:
            found.append("the first beacon came after the window began")
        if to_the_end and not self.final:
            found.append("tcpdump's final counters are missing")
        if not to_the_end and self.end < window.end:
            found.append("the last beacon came before the window ended")
        if not to_the_end and self.counted_until < window.end:
            found.append("tcpdump's counters were not read after the window ended")
        return found


def coverage(
    beacons: BeaconLog, diary: Iterable[Line], diary_file: str, frames: int, truncated: bool
) -> Coverage:
    """Put together what the beacons, the agent's diary and the file itself say.

    frames and truncated: of the capture, after it was read to its end.
    """
    lacks: list[str] = []
    counters: list[Line] = []
    said_last: int | None = None
    ended: Line | None = None
    for line in diary:
        if line.event == "counters":
            counters.append(line)
            if len(counters) > 2 and _same_drops(counters[-3:]):
                del counters[-2]  # only the samples between which drops grew are of interest
        elif line.event == "beacon.last":
            said_last = int(line["seq"])
        elif line.event == "ended":
            ended = line
    if not beacons.beacons:
        lacks.append("no beacon is in the capture")
    elif beacons.first is None:
        lacks.append("the first beacon is not in the capture")
    if beacons.foreign is not None:
        lacks.append(f"frame {beacons.foreign.frame} is a beacon of another boot than the agent's")
    if not counters:
        lacks.append("tcpdump's counters were never read")
    blind = [*beacons.gaps, *_drops(counters, diary_file)]
    last = beacons.last_packet
    whole = beacons.last_anchor is not None and (said_last is None or said_last <= beacons.last_seq)
    if last is not None and not whole:
        why = f"no beacon after number {beacons.last_seq}, and none that says it is the last"
        evidence = Evidence(beacons.file, frame=last.frame, ns=last.ns, text=why)
        blind.append(Blind(last.ns, NEVER, why, evidence))
    final = counters[-1] if counters else None
    if final is not None and frames < int(final["captured"]):
        why = f"tcpdump captured {final['captured']} packets and the file holds {frames}"
        evidence = Evidence(diary_file, line=final.number, ns=final.ns, text=why)
        blind.append(Blind(0, NEVER, why, evidence))  # which ones are missing, nobody knows
    return Coverage(
        start=beacons.first.ns if beacons.first else NEVER,
        end=last.ns if last else 0,
        blind=blind,
        counted_until=final.ns if final else 0,
        final=_is_final(final, ended, said_last is not None) and not truncated,
        beacons=beacons.beacons,
        missing=beacons.missing,
        dropped=int(final["dropped"]) if final else 0,
        lacks=lacks,
    )


def _same_drops(lines: Sequence[Line]) -> bool:
    return len({int(line["dropped"]) for line in lines}) == 1


def _is_final(counters: Line | None, ended: Line | None, said_last: bool) -> bool:
    """tcpdump prints its last counters as it ends: they stand beside the agent's "ended"."""
    if counters is None or ended is None or not said_last:
        return False
    return counters.get("final") is not False and counters.number >= ended.number - 1


def _drops(counters: Sequence[Line], file: str) -> list[Blind]:
    found: list[Blind] = []
    before_ns, before = 0, 0
    for line in counters:
        dropped = int(line["dropped"])
        if dropped != before:
            why = f"{abs(dropped - before)} packets dropped"
            evidence = Evidence(file, line=line.number, ns=line.ns, text=why)
            found.append(Blind(before_ns, line.ns, why, evidence))
        before_ns, before = line.ns, dropped
    return found

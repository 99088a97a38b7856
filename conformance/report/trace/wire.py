"""Lanes from the capture of the pod under test: packets by class, and whether it was watched.

A class says how a packet looks, for orientation; what is a leak is the judges' word, and only the
frames that a verdict names are marked as in clear.
"""

from __future__ import annotations

from collections.abc import Mapping

from conformance.evidence.bundle import Bundle
from conformance.evidence.index import Index
from conformance.evidence.packets.capture import RST, Capture, Packet
from conformance.evidence.packets.coverage import BeaconLog, coverage
from conformance.model import NEVER
from conformance.report.trace.model import Lane, Mark

CLASSES: Mapping[str, str] = {
    "tls": "TLS",
    "readable": "not TLS",
    "dialed": "an outsider's dials",
    "probe": "probes, from the node",
    "control": "the deliberate canary",
    "dns": "DNS",
    "datagram": "other UDP",
    "reset": "TCP reset",
    "bare": "TCP without payload",
    "other": "ARP, ICMP, others",
}
_DNS = 53
# The first byte of what a side says in TLS: a handshake, or an alert that turns the client away.
_TLS = (22, 21)


def lanes(bundle: Bundle) -> list[Lane]:
    """The strip of the capture's own watch, and a lane for each class of packets that there is.

    Raises Unjudgeable, or UnreadableCapture, when the capture is not to be read.
    """
    index = bundle.index
    file = bundle.capture_file
    diary = list(bundle.agent())
    boot = next((str(line["boot"]) for line in diary if line.event == "added"), "")
    beacons = BeaconLog(boot, file)
    found: dict[str, Lane] = {name: Lane(label, "packets") for name, label in CLASSES.items()}
    capture = Capture(bundle.path(file))
    streams: dict[tuple[str, int, str, int], bool] = {}
    for packet in capture:
        if packet.kind == "beacon":
            beacons.see(packet)
            continue
        name = _class(packet, index, streams)
        found[name].marks.append(
            Mark(packet.ns, None, f"packet {name}", _title(packet), "", file, 0, packet.frame)
        )
    watched = coverage(beacons, diary, bundle.agent_file, capture.frames, capture.truncated)
    strip = Lane("watched", "packets")
    if not watched.lacks:
        end = max(watched.end, watched.start)
        title = f"watched: {watched.beacons} beacons, {watched.dropped} packets dropped"
        strip.marks.append(Mark(watched.start, end, "watched", title, "", bundle.agent_file))
        for blind in watched.blind:
            last = end if blind.end >= NEVER else blind.end
            first = max(blind.start, watched.start)
            strip.marks.append(Mark(first, last, "blind", f"blind: {blind.why}", "", file))
    return [strip, *(lane for lane in found.values() if lane.marks)]


def _class(packet: Packet, index: Index, streams: dict[tuple[str, int, str, int], bool]) -> str:
    if packet.kind == "udp":
        return "dns" if _DNS in (packet.sport, packet.dport) else "datagram"
    if packet.kind != "tcp":
        return "other"
    if not packet.payload:
        return "reset" if packet.flags & RST else "bare"
    ends = {packet.src, packet.dst}
    if ends & index.addresses.get("gateway", frozenset()):
        return "probe"
    if index.ports.get("control") in (packet.sport, packet.dport):
        return "control"
    if ends & index.addresses.get("dialer", frozenset()):
        return "dialed"
    side = packet.src, packet.sport, packet.dst, packet.dport
    return "tls" if streams.setdefault(side, packet.payload[0] in _TLS) else "readable"


def _title(packet: Packet) -> str:
    if not packet.src:
        return packet.kind
    # Without ports: a title is one of few; the frame has all of it.
    size = f", {len(packet.payload)} bytes" if packet.payload else ""
    return f"{packet.kind} {packet.src} > {packet.dst}{size}"

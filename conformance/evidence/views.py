"""The two views of the pod's packets, each read in one pass: from inside, and from the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from conformance.evidence.bundle import Bundle
from conformance.evidence.index import shortest
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.coverage import BeaconLog, Blind, Coverage, coverage
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence, Measured, Window

# 169.254.0.0/16, and fe80::/10.
_LINK_LOCAL = ("169.254.", "fe8", "fe9", "fea", "feb")


@dataclass(frozen=True)
class Identity:
    """What the capture agent says of the pod: its addresses, MAC and this capture's boot id."""

    boot: str
    local: frozenset[str]
    mac: bytes


def identity(bundle: Bundle) -> Identity:
    """The pod's identity. Raises Unjudgeable when the agent was never there, or in the sandbox of
    another pod (one of the same name, or a former one)."""
    pod = bundle.index.subject_pod
    for line in bundle.agent():
        if line.event == "added":
            if pod.sandbox and line.get("sandbox", pod.sandbox) != pod.sandbox:
                raise Unjudgeable(
                    f"the capture is of another sandbox than the pod's: {line['sandbox'][:12]}",
                    evidence=(Evidence(bundle.agent_file, line=line.number, ns=line.ns),),
                )
            ips = frozenset(shortest(one) for one in line.get("ips", ())) | pod.ips
            return Identity(str(line["boot"]), ips, bytes.fromhex(line["mac"].replace(":", "")))
    raise Unjudgeable("the capture agent never came", evidence=(Evidence(bundle.agent_file),))


def from_inside(bundle: Bundle, see: Callable[[Packet], None]) -> Coverage:
    """Show every packet of the pod's eth0, and tell how well the capture was watching."""
    beacons = BeaconLog(identity(bundle).boot, bundle.capture_file)
    capture = bundle.capture(bundle.capture_file)
    try:
        for packet in capture:
            if packet.kind == "beacon":
                beacons.see(packet)
            see(packet)
    except UnreadableCapture as error:
        raise Unjudgeable(str(error), evidence=(Evidence(bundle.capture_file),)) from error
    return coverage(beacons, bundle.agent(), bundle.agent_file, capture.frames, capture.truncated)


def require_watched(
    watched: Coverage, window: Window, *, to_the_end: bool, measured: Measured
) -> None:
    """The capture watched a window without a gap. Raises Unjudgeable, which asks for another
    attempt where it was blind for a time."""
    problems = watched.problems(window, to_the_end=to_the_end)
    if problems:
        words = [one.why if isinstance(one, Blind) else one for one in problems]
        raise Unjudgeable(
            f"capture blind in the {window.name} window: {'; '.join(words[:5])}",
            retry=any(isinstance(one, Blind) for one in problems),
            evidence=[one.evidence for one in problems if isinstance(one, Blind)],
            measured=measured,
        )


def from_node(bundle: Bundle) -> Iterator[Packet]:
    """The same pod's packets as they crossed the node's end of its link.

    A capture of all interfaces shows a packet at each that it passes. What the pod sent comes in at
    its own link, and at others goes out; what is sent to the pod goes out at its own link only. So
    it is with what has no address of the pod's: its link-local one, which is known to nobody, or
    none at all. The file holds what passed the pod's link: what of this came in there is the pod's.
    """
    local = bundle.index.subject_pod.ips
    for packet in bundle.capture(bundle.node_file):
        if packet.src in local:
            if packet.sent is not True:
                yield packet
        elif packet.dst in local:
            if packet.sent is not False:
                yield packet
        elif _of_the_link(packet.dst if packet.sent else packet.src):
            yield packet


def _of_the_link(address: str) -> bool:
    """Whether an address has a meaning on one link only (RFC 3927, RFC 4291, 2.5.6), or is none."""
    return not address or address.startswith(_LINK_LOCAL)

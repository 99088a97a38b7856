"""wire.same-node: what pods of one node say to each other, on the node itself."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.packets.tokens import TokenScan
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_node
from conformance.evidence.vocabulary import Role, Step
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import measures, premised, require_number
from conformance.judges.sources import step
from conformance.judges.wire.sent import node_of
from conformance.model import Evidence, Finding, Window

LEAST = 5  # requests whose tokens are to be found


@premised(require_no_sidecar)
def measured(bundle: Bundle) -> Finding:
    """How many of the near pod's requests can be read at the subject's link on their node: neither
    right nor wrong, for nothing promises another thing."""
    if node_of(bundle, SUBJECT_ROLE) != node_of(bundle, Role.NEAR):
        raise Unjudgeable("the near pod was not on the node of the pod under test")
    begin, end = step(bundle, Step.SUBJECT_READY), step(bundle, Step.AGENT_KILLED)
    window = Window("steady", begin.ns, end.ns)
    scans: dict[tuple[str, int, str, int], TokenScan] = {}
    found: dict[str, Evidence] = {}
    try:
        for packet in from_node(bundle):
            if packet.kind != "tcp" or not packet.payload or packet.ns not in window:
                continue
            ends = (packet.src, packet.sport, packet.dst, packet.dport)
            for token in scans.setdefault(ends, TokenScan()).feed(packet.payload):
                if token.sender == Role.NEAR and token.nonce == bundle.index.nonce:
                    where = Evidence(bundle.node_file, frame=packet.frame, ns=packet.ns)
                    found.setdefault(token.text, where)
    except UnreadableCapture as why:
        raise Unjudgeable(str(why), evidence=(Evidence(bundle.node_file),)) from why
    figures = {"requests_in_clear": len(found), "watched_seconds": round(window.seconds, 2)}
    require_number(len(found), LEAST, "requests of the near pod were seen on the node", figures)
    return measures(
        f"On one node {len(found)} requests of the pod beside it could be read at the subject's "
        f"link in {window.seconds:.1f} s: what stays on a node is not encrypted, by design.",
        figures,
        list(found.values()),
    )

"""The list of what may be in clear on the pod's eth0, each with its reason. Nothing else may.

An exception matches on addresses, ports and on who opened the connection. What it explains is held
to its form (contents.py), and a token in it is still a leak, however it is written, unless it is of
a kind that belongs there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from conformance.evidence.index import Index

OpenedBy = Literal["remote", "local"]


@dataclass(frozen=True)
class Explained:
    """One exception.

    remote: whose addresses (a key of the index's addresses). local_ports and remote_ports: keys of
    the index's ports, or numbers; empty means any. opened_by: who sent the SYN (of UDP: nobody
    asks). tokens: kinds of tokens that may be in it. form: what it is held to. only: what each
    datagram of it is, where that is known.
    """

    name: str
    reason: str
    remote: str
    protocols: tuple[str, ...] = ("tcp",)
    local_ports: tuple[str | int, ...] = ()
    remote_ports: tuple[str | int, ...] = ()
    opened_by: OpenedBy = "remote"
    tokens: frozenset[str] = frozenset()
    form: Literal["", "probe", "dns"] = ""
    only: re.Pattern[bytes] | None = None


EXCEPTIONS: Sequence[Explained] = (
    Explained(
        "probe",
        "the kubelet's probes and the API server's pod proxy come from the node, which is in no "
        "mesh; the control canary is asked for by that way, and named in the answer",
        remote="gateway",
        local_ports=("probe", "health", "agent"),
        tokens=frozenset({"control"}),
        form="probe",
    ),
    Explained(
        "dns",
        "names are looked up in clear: the mesh does not carry DNS",
        remote="dns",
        protocols=("tcp", "udp"),
        remote_ports=(53,),
        opened_by="local",
        form="dns",
    ),
    Explained(
        "control",
        "the deliberate leak by which a judge proves that it can see",
        remote="witness",
        remote_ports=("control",),
        opened_by="local",
        tokens=frozenset({"control"}),
    ),
    Explained(
        "dialer",
        "the client outside the mesh knocks in clear; whether it is answered is inbound.bypass",
        remote="dialer",
        local_ports=("app", "probe"),
        tokens=frozenset({"dial", "dial-tls", "dial-probe"}),
    ),
)

# Kinds of frames that carry no connection, and may pass as long as no token is in them.
PLAIN_KINDS = {
    "beacon": "the capture's own beacon",
    "arp": "address resolution, below IP",
    "icmp": "neighbour discovery, and errors that quote a packet: a token in the quote is a leak",
    "igmp": "membership of multicast groups, sent by the kernel",
}


@dataclass(frozen=True)
class _Match:
    exception: Explained
    remotes: frozenset[str]
    local_ports: frozenset[int]
    remote_ports: frozenset[int]


class Explainer:
    """Finds the exception for a connection, with the cell's own addresses and ports.

    also: exceptions of one judge's own, beside the list.
    """

    def __init__(self, index: Index, also: Sequence[Explained] = ()) -> None:
        self._matches = [
            _Match(
                one,
                index.addresses.get(one.remote, frozenset()),
                _numbers(one.local_ports, index),
                _numbers(one.remote_ports, index),
            )
            for one in (*EXCEPTIONS, *also)
        ]

    def explain(
        self,
        protocol: str,
        local: tuple[str, int],
        remote: tuple[str, int],
        opened_by: OpenedBy | None,
    ) -> Explained | None:
        """The exception for a connection; None when it must be TLS. opened_by None: not known."""
        for match in self._matches:
            one = match.exception
            if (
                protocol in one.protocols
                and remote[0] in match.remotes
                and (not one.local_ports or local[1] in match.local_ports)
                and (not one.remote_ports or remote[1] in match.remote_ports)
                and opened_by in (None, one.opened_by)
            ):
                return one
        return None

    def is_dns(self, remote: str) -> bool:
        """Whether an address is a name server's: a piece of a large answer shows no port."""
        return any(one.exception.name == "dns" and remote in one.remotes for one in self._matches)


def _numbers(ports: Sequence[str | int], index: Index) -> frozenset[int]:
    """Ports by name or number. A name that the index does not know matches no port."""
    known = (index.ports.get(port) if isinstance(port, str) else port for port in ports)
    return frozenset(port for port in known if port is not None)

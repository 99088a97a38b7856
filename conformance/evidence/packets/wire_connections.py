"""The connections between the pod under test and its peer, and those of strangers, on the wire."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.evidence.bundle import Bundle
from conformance.evidence.index import endpoint
from conformance.evidence.packets import tls
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.streams import Chunk, Reassembler, Stream
from conformance.model import Evidence, Window

Endpoint = tuple[str, int]


@dataclass
class Connection:
    """One connection that carried payload. clear: why it is not TLS, "" when it is.

    tls: it is TLS, and carried more than its handshake.
    """

    file: str
    outbound: bool
    local: Endpoint
    remote: Endpoint
    first_frame: int
    first_ns: int
    last_ns: int
    clear: str = ""
    tls: bool = False

    def crosses(self, window: Window) -> bool:
        """Whether some of its life lies inside the window."""
        return self.first_ns <= window.end and self.last_ns >= window.start

    @property
    def evidence(self) -> Evidence:
        """The connection's first frame."""
        ends = (self.local, self.remote) if self.outbound else (self.remote, self.local)
        text = " > ".join(f"{host}:{port}" for host, port in ends)
        return Evidence(self.file, frame=self.first_frame, ns=self.first_ns, text=text)


class Connections:
    """Collects connections as the packets pass by."""

    def __init__(self, bundle: Bundle) -> None:
        index = bundle.index
        self.file = bundle.capture_file
        self.local = index.subject_pod.ips
        self.with_peer: list[Connection] = []
        self._peers = index.addresses.get("peer", frozenset())
        self._dialers = index.addresses.get("dialer", frozenset())
        self._app_port = index.ports["app"]
        self._greeted: set[Endpoint] = set()
        self._streams = Reassembler(lambda stream: _Look(self, stream))

    def see(self, packet: Packet) -> None:
        """Take one packet of the pod's eth0."""
        if packet.kind != "tcp":
            return
        remote = packet.dst if packet.src in self.local else packet.src
        if remote in self._peers or (
            remote in self._dialers and self._app_port in (packet.sport, packet.dport)
        ):
            self._streams.feed(packet)

    def finish(self) -> None:
        """The capture is over."""
        self._streams.finish()

    def shook_hands(self, stranger: str) -> bool:
        """Whether the pod answered the TLS hello of a client at "ip:port" with its own."""
        return endpoint(stranger) in self._greeted

    def begun(self, stream: Stream) -> Connection | None:
        """A connection with the peer; None for a stranger's."""
        outbound = stream.opener[0] in self.local
        local, remote = (
            (stream.opener, stream.answerer) if outbound else (stream.answerer, stream.opener)
        )
        if remote[0] not in self._peers:
            return None
        connection = Connection(
            self.file,
            outbound,
            local,
            remote,
            stream.frame,
            stream.ns,
            stream.ns,
        )
        self.with_peer.append(connection)
        return connection

    def greeted(self, stream: Stream) -> None:
        """The pod said hello in TLS."""
        self._greeted.add(stream.opener)


class _Look:
    """Looks at one connection, from its first payload on."""

    def __init__(self, connections: Connections, stream: Stream) -> None:
        self._connections = connections
        self._stream = stream
        self._connection: Connection | None = None
        self._begun = False
        self._checks = tls.pair()

    def chunk(self, chunk: Chunk) -> None:
        """Payload of the connection."""
        if not self._begun:
            self._begun = True
            self._connection = self._connections.begun(self._stream)
        check = self._checks[chunk.direction]
        if chunk.kind == "data" and not self._stream.headless:
            check.feed(chunk.data)
            if chunk.direction == 1 and check.hello and not self._connection:
                self._connections.greeted(self._stream)
        connection = self._connection
        if connection is None:
            return
        connection.last_ns = max(connection.last_ns, chunk.ns)
        connection.clear = connection.clear or check.violation
        asked, answered = self._checks
        connection.tls = (
            not connection.clear and asked.said_something and answered.application_bytes > 0
        )

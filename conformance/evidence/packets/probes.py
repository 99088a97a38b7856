"""Finds the kubelet's successful probes of a sidecar in the capture, and which one opened the gate.

A 200 opens the gate for the life of the sidecar that gave it, and for no other: what a former life
answered, or another server on the port, says nothing of the sidecar that is there now.
"""

from __future__ import annotations

import re

from conformance.evidence.bundle import Bundle
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.coverage import Coverage
from conformance.evidence.packets.streams import Chunk, Reassembler, Stream
from conformance.evidence.timeline import PUBLISH_LAG_NS, Event, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside, identity
from conformance.evidence.vocabulary import File, Stamp
from conformance.model import NEVER, NS, Evidence

# The kubelet takes every status from 200 to 399 for success (pkg/probe/http/http.go), and calls
# itself "kube-probe/<minor>". Some servers (Fluent Bit's) end the line with the status.
_SUCCESS = re.compile(rb"HTTP/1\.[01] [23]\d\d[ \r]")
_ANSWER = re.compile(rb"HTTP/1\.[01] \d\d\d[ \r]")
_KUBELET = re.compile(rb"^(?:GET|HEAD) [^\r\n]* HTTP/1\.[01]\r\n(?:.*\r\n)?User-Agent: kube-probe/",
                      re.IGNORECASE | re.DOTALL)  # fmt: skip
# A sidecar answers, and writes after that that it is ready: on a crowded machine within a second.
_READY_WITHIN_NS = 1 * NS
_HEAD = 4096  # bytes of a request or answer that are looked at


def opening(
    bundle: Bundle, before_ns: int, container: str = "", port: int | None = None
) -> tuple[Event | None, Coverage]:
    """The 200 that opened the gate for what began by a moment (ns): the first one of the sidecar's
    life then, from its first byte's frame to the frame that ends its head. None when there is none.

    container: the sidecar, by default the first one. port: where the probe goes, its health port by
    default. Raises Unjudgeable when something else than the sidecar answered it.
    """
    name = container or bundle.index.sidecars[0]
    found, watched = successes(bundle, port)
    born = max(
        (
            event.earliest
            for life in lives(bundle)[name]
            if (event := life.created_event) and event.earliest < before_ns
        ),
        default=0,
    )
    own = [one for one in found if one.latest >= born]
    gate = min(own, key=lambda one: one.earliest, default=None)
    if gate is not None:
        _require_own(bundle, gate, name, born)
    return gate, watched


def _require_own(bundle: Bundle, gate: Event, name: str, born: int) -> None:
    """The sidecar answered: its program had been started, and it called itself ready then. Raises
    Unjudgeable: else something else opened the gate."""
    for stamp, slack, what in (
        (Stamp.SIDECAR_EXEC, 0, "started its proxy"),
        (Stamp.SIDECAR_READY, _READY_WITHIN_NS, "was ready"),
    ):
        own = [one for one in stamp_events(bundle, name, stamp) if one.earliest >= born]
        if own and gate.latest + slack < own[0].earliest:
            raise Unjudgeable(
                f"the probe's 200 came {(own[0].earliest - gate.latest) / 1e6:.1f} ms before "
                f"{name} {what}: something else answered",
                evidence=(*gate.evidence, *own[0].evidence),
            )


def successes(bundle: Bundle, port: int | None = None) -> tuple[list[Event], Coverage]:
    """Every 200 to a probe of the kubelet's (port: as for opening), whoever gave it; where the
    sidecar's probe is a command, every end of one with 0, which the runtime tells of."""
    if port is None and bundle.index.gate == "exec":
        return commands(bundle), _BY_RUNTIME
    return _answers(bundle, port, _SUCCESS)


# The runtime's events are watched as a whole, or the premise of every judge fails (gaps.jsonl).
_BY_RUNTIME = Coverage(0, NEVER, (), NEVER, True, 0, 0, 0, ())


def commands(bundle: Bundle) -> list[Event]:
    """Every end with 0 of a command that was run in the sidecar's containers.

    Those of the kubelet's probes, as long as nobody else runs any: the suite runs none there before
    the deletion, but to have the sidecar quit, and a sidecar with a postStart command has no gate.
    """
    its = {life.container_id for name in bundle.index.sidecars for life in lives(bundle)[name]}
    found = []
    for event in bundle.runtime():
        ran = event.container_id in its and event.process_id != event.container_id
        if event.topic != "/tasks/exit" or not ran or event.status != 0:
            continue
        text = "a command in the sidecar ended with 0"
        evidence = Evidence(File.RUNTIME, event.number, ns=event.ns, text=text)
        # Its exit is noticed after it, and published after that.
        earliest = min(event.exited_ns or event.ns, event.ns) - PUBLISH_LAG_NS
        found.append(Event("the startup probe's first success", earliest, event.ns, (evidence,)))
    return found


def answers(bundle: Bundle) -> list[Event]:
    """Every answer to a probe of the kubelet's, whatever it says."""
    return _answers(bundle, None, _ANSWER)[0]


def _answers(
    bundle: Bundle, port: int | None, wanted: re.Pattern[bytes]
) -> tuple[list[Event], Coverage]:
    index = bundle.index
    port = port or index.ports.get("health")
    gateways = index.addresses.get("gateway", frozenset())
    if port is None or not gateways:
        raise Unjudgeable("cell.json does not say where probes come from and go to")
    local = identity(bundle).local
    found: list[Event] = []

    def open_probe(_: Stream) -> _Probe:
        return _Probe(bundle.capture_file, found, wanted)

    streams = Reassembler(open_probe)

    def see(packet: Packet) -> None:
        if packet.kind != "tcp":
            return
        asked = packet.src in gateways and packet.dst in local and packet.dport == port
        answered = packet.dst in gateways and packet.src in local and packet.sport == port
        if asked or answered:
            streams.feed(packet)

    watched = from_inside(bundle, see)
    streams.finish()
    return found, watched


class _Probe:
    """One connection to the health port: its first request and its first answer."""

    def __init__(self, file: str, found: list[Event], wanted: re.Pattern[bytes]) -> None:
        self._file = file
        self._wanted = wanted
        self._found = found
        self._asked = b""
        self._answer = b""
        self._began = 0
        self._done = False

    def chunk(self, chunk: Chunk) -> None:
        """Payload of the connection."""
        if self._done or chunk.kind != "data":
            return
        if chunk.direction == 0:
            self._asked = (self._asked + chunk.data)[:_HEAD]
            return
        self._began = self._began or chunk.ns
        self._answer = (self._answer + chunk.data)[:_HEAD]
        if b"\r\n\r\n" not in self._answer:
            return
        self._done = True
        if self._wanted.match(self._answer) and _KUBELET.match(self._asked):
            status = self._answer.partition(b"\r\n")[0].decode("latin-1")
            text = f"{status} to the kubelet's probe"
            evidence = Evidence(self._file, frame=chunk.frame, ns=chunk.ns, text=text)
            name = "the startup probe's first success"
            self._found.append(Event(name, self._began, chunk.ns, (evidence,)))

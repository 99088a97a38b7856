"""stop.keepalive: connections that were open at the deletion live through the app's drain.

What counts is what the two apps see on their own connections: pooled HTTP/1.1, a streamed answer,
raw TCP, from both sides. What the proxies do among themselves meanwhile is measured on the wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance.evidence.attempts import by_outcome
from conformance.evidence.bundle import Bundle
from conformance.evidence.packets.capture import FIN, RST, Packet
from conformance.evidence.packets.wire_connections import Connection, Endpoint
from conformance.evidence.timeline import stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Stamp, Step
from conformance.judges import persistent
from conformance.judges.ordering import BESIDE, from_sidecars_end, sidecars_drain
from conformance.judges.packets import mesh_connections
from conformance.judges.ruling import broken, holds, lines_of
from conformance.judges.sources import deletion_step
from conformance.model import NS, Finding, Value, Window

# Before its own drain is over the app ends nothing; a second of air for what is under way then.
MARGIN_NS = NS


@dataclass
class _Ends:
    """Who ended which TCP connection of the pod: the first FIN or RST of each."""

    local: frozenset[str]
    first: dict[tuple[Endpoint, Endpoint], tuple[int, str]] = field(default_factory=dict)

    def see(self, packet: Packet) -> None:
        if packet.kind != "tcp" or not packet.flags & (FIN | RST):
            return
        source, target = (packet.src, packet.sport), (packet.dst, packet.dport)
        ours = packet.src in self.local
        what = f"{'RST' if packet.flags & RST else 'FIN'} by {'the pod' if ours else 'the peer'}"
        key = (source, target) if ours else (target, source)
        self.first.setdefault(key, (packet.ns, what))


def drain(bundle: Bundle) -> Finding:
    """To hold: every connection that was in use at the deletion is used until the app's drain ends,
    nothing sent on them is lost, and no answer says Connection: close."""
    window = _window(bundle)
    found = persistent.connections(bundle)
    open_then = persistent.in_use_at(found, window.start, "at the deletion")
    ended: Sequence[persistent.Persistent] = [one for one in open_then if one.ended_in(window)]
    sent = persistent.sent(bundle, window)
    lost = persistent.lost((one for one in sent if one.kind != Kind.TOUCH), window)
    ends = _Ends(bundle.index.subject_pod.ips)
    wire, _ = mesh_connections(bundle, ends.see)
    measured: dict[str, Value | dict[str, Value]] = {
        "drain_seconds_watched": round(window.seconds, 3),
        "connections": len(open_then),
        "connections_ended": len(ended),
        "connections_ended_how": persistent.by_end(ended),
        "first_end_ms_after_deletion": min(
            (round((one.closed.ns - window.start) / 1e6, 1) for one in ended if one.closed),
            default=None,
        ),
        "messages": sum(one.kind != Kind.TOUCH for one in sent),
        "messages_lost": len(lost),
        "new_connections_by_outcome": dict(
            by_outcome(one for one in sent if one.kind == Kind.TOUCH)
        ),
        **_between_the_proxies(bundle, window, wire.with_peer, ends),
    }
    ended, lost = persistent.blamable(ended, lost, sent, measured)
    if ended or lost:
        at = [one.closed.ns for one in ended if one.closed] + [one.end_ns for one in lost]
        to_its_end = from_sidecars_end(bundle, at)
        hazard = persistent.hazard(ended, lost)
        if hazard in ("connection-lost", "lost-request") and not to_its_end:
            hazard = BESIDE
        return broken(
            hazard,
            f"{len(ended)} of {len(open_then)} connections were ended while the app drained, and "
            f"{len(lost)} of {measured['messages']} messages lost; {to_its_end or 'none'} of both "
            "from the sidecar's end on.",
            {**measured, "ended_or_lost_from_the_sidecars_end": to_its_end},
            persistent.evidence(ended, lost),
        )
    _require_mesh(wire.with_peer)
    persistent.require_used(open_then, window)
    return holds(
        f"All {len(open_then)} connections lived through {window.seconds:.1f} s of the app's "
        f"drain, and {measured['messages']} messages on them; of "
        f"{measured['mesh_connections_open']} between the proxies "
        f"{measured['mesh_connections_ended']} were ended.",
        measured,
        lines_of(open_then),
    )


def _window(bundle: Bundle) -> Window:
    """From the deletion until shortly before the app itself ends what it has."""
    deleted = deletion_step(bundle, Step.DELETE_ASKED)
    app = bundle.index.app
    told, last = (stamp_events(bundle, app, one) for one in (Stamp.APP_SIGTERM, Stamp.APP_LAST))
    if not told:
        raise Unjudgeable("the app never said that it got SIGTERM")
    end = told[0].latest + round(bundle.index.app_drain_seconds * NS) - MARGIN_NS
    if not last or last[-1].earliest < end:
        raise Unjudgeable("the app did not drain to its last instruction")
    window = Window("drain", deleted.ns, end)
    if window.seconds <= bundle.index.sidecar_drain_seconds:
        raise Unjudgeable(
            f"the app drained for {window.seconds:.1f} s; a sidecar signalled at once would have "
            f"lived as long (it drains for {bundle.index.sidecar_drain_seconds:.1f} s)"
        )
    return window


def _require_mesh(wire: Sequence[Connection]) -> None:
    clear = [one for one in wire if one.clear]
    if clear:
        raise Unjudgeable(
            f"{len(clear)} connections with the peer are in clear: not the sidecar's",
            evidence=lines_of(clear),
        )
    if not any(one.tls for one in wire):
        raise Unjudgeable("no TLS with the peer was seen")


def _between_the_proxies(
    bundle: Bundle, window: Window, wire: Sequence[Connection], ends: _Ends
) -> dict[str, Value | dict[str, Value]]:
    """What became of the mutual TLS connections that were open at the deletion."""
    hook = sidecars_drain(bundle, window.start)
    its = [
        (one, *ends.first.get((one.local, one.remote), (window.end + 1, "")))
        for one in wire
        if one.tls and one.first_ns < window.start
    ]
    open_then = [(one, ns, what) for one, ns, what in its if ns > window.start]
    ended = [(one, ns, what) for one, ns, what in open_then if ns <= window.end]
    begin = hook.latest if hook else window.start
    after = sorted(round((ns - begin) / 1e6, 1) for _, ns, _ in ended)
    return {
        "mesh_connections_open": len(open_then),
        "mesh_connections_ended": len(ended),
        "mesh_connections_ended_how": dict(sorted(Counter(what for _, _, what in ended).items())),
        "mesh_connections_ended_port": {
            str(port): number
            for port, number in sorted(Counter(_port(one) for one, _, _ in ended).items())
        },
        "hook_ms_after_deletion": round((hook.latest - window.start) / 1e6, 1) if hook else None,
        "mesh_first_end_ms_after_hook_or_deletion": after[0] if after else None,
        "mesh_last_end_ms_after_hook_or_deletion": after[-1] if after else None,
    }


def _port(connection: Connection) -> int:
    """The port that was dialled."""
    return (connection.remote if connection.outbound else connection.local)[1]

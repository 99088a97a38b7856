"""mutual.identity: what is TLS on the wire is mutual TLS between the right two identities.

TLS 1.3 hides the client's certificate. So two other things are asked: is a client without a
certificate turned away, and does the sidecar's own record of each connection that the capture saw,
joined by address and port, name the right identity on both sides?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from conformance.evidence import windows
from conformance.evidence.access_log import Record, Records, records
from conformance.evidence.attempts import DENIED, OK, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, log_file, requests_file
from conformance.evidence.packets.wire_connections import Connection, Connections
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import require_watched
from conformance.evidence.vocabulary import Kind, Role
from conformance.judges.packets import mesh_connections
from conformance.judges.ruling import broken, holds, lines_of, rate_bound
from conformance.model import NEVER, NS, Finding, Measured, Value, Window

# How a server says no to a client that shows no certificate. "refused" and "timeout" are no such
# answer (nobody was there); "wrong" is an HTTP answer: the handshake had been accepted, and what
# follows is a refusal where the proxy's own rules deny the request (DENIED).
_TURNED_AWAY = ("closed", "reset")
# A proxy writes its records down at least this often (FORMAT.md, requests/): what ended later than
# that before a kill may be lost.
FLUSH_NS = 1 * NS


def mutual(bundle: Bundle) -> Finding:
    """Strangers are turned away, and every connection with the peer has the right identities."""
    identities = bundle.index.identities
    if not identities.get("subject") or not identities.get("peer"):
        raise Unjudgeable("cell.json does not say which identities are expected")
    steady = windows.steady(bundle)
    strangers = [
        one
        for one in attempts(bundle, Role.DIALER, "dialer")
        if one.kind == Kind.DIAL_TLS and one.begin_ns in steady and (one.end_ns or 0) in steady
    ]
    wire, watched = mesh_connections(bundle)
    said = records(bundle)
    joined = [(one, said.of(one)) for one in wire.with_peer]
    measured = _measured(steady, strangers, wire, joined, said)

    for found in (
        _let_in(bundle, strangers, measured),
        _served_nobody(said, measured),
        _served_strangers(bundle, said, measured),
        _in_clear(wire, steady, measured),
        _wrong(bundle, joined, measured),
    ):
        if found is not None:
            return found

    require_watched(watched, steady, to_the_end=False, measured=measured)
    turned_away = _require_strangers(strangers, wire, measured)
    _require_joined(bundle, joined, steady, measured)
    known = sum(bool(its) for _, its in joined)
    return holds(
        f"{len(turned_away)} of {len(turned_away)} clients without a certificate were turned away; "
        f"{known} TLS connections with the peer carry {identities['subject']} and "
        f"{identities['peer']} in the sidecar's own records.",
        measured,
        (
            *(one.evidence for one in turned_away[:2]),
            *(piece for one, its in joined if its for piece in (one.evidence, its[0].evidence)),
        ),
    )


def _accepted(one: Attempt) -> bool:
    """Whether a client got an answer that no proxy gives to those that it turns away."""
    return one.outcome == OK or (one.outcome == "wrong" and one.answer != DENIED)


def _let_in(bundle: Bundle, strangers: Sequence[Attempt], measured: Measured) -> Finding | None:
    reached = served(bundle, SUBJECT_ROLE, bundle.index.app, (Kind.DIAL_TLS,))
    let_in = [one for one in strangers if _accepted(one) or one.token in reached]
    if not let_in:
        return None
    return broken(
        "not-mutual",
        f"{len(let_in)} of {len(strangers)} TLS clients without a certificate were let in.",
        measured,
        lines_of(let_in),
    )


def _served_nobody(said: Records, measured: Measured) -> Finding | None:
    if not said.anonymous:
        return None
    return broken(
        "not-mutual",
        f"{said.anonymous_number} requests were served to clients that showed no identity.",
        measured,
        lines_of(said.anonymous),
    )


def _served_strangers(bundle: Bundle, said: Records, measured: Measured) -> Finding | None:
    """Served to an identity that nobody has here, whether its connection was seen or not."""
    known = set(bundle.index.identities.values())
    strange = [one for peer, one in said.first_of.items() if peer not in known]
    if not strange:
        return None
    names = ", ".join(one.peer for one in strange)
    return broken(
        "wrong-identity",
        f"Requests were served to identities that nobody has here: {names}.",
        measured,
        lines_of(strange),
    )


def _in_clear(wire: Connections, steady: Window, measured: Measured) -> Finding | None:
    clear = [one for one in wire.with_peer if one.clear and one.first_ns in steady]
    if not clear:
        return None
    return broken(
        "plaintext",
        f"{len(clear)} connections with the peer that began in the steady state are not TLS "
        f"({clear[0].clear}).",
        measured,
        lines_of(clear),
    )


def _wrong(
    bundle: Bundle, joined: Sequence[tuple[Connection, Sequence[Record]]], measured: Measured
) -> Finding | None:
    own, peer = bundle.index.identities["subject"], bundle.index.identities["peer"]
    wrong = [
        (connection, record)
        for connection, its in joined
        for record in its
        if (record.peer and record.peer != peer) or (record.own and record.own != own)
    ]
    anonymous = [
        (connection, record)
        for connection, its in joined
        for record in its
        if record.served and not (record.peer and record.own)
    ]
    for pairs, hazard in ((wrong, "wrong-identity"), (anonymous, "not-mutual")):
        if pairs:
            _, record = pairs[0]
            return broken(
                hazard,
                f"{len(pairs)} requests on connections with the peer carry other identities than "
                f"{own} and {peer}: first {record.own or 'none'} and {record.peer or 'none'}.",
                measured,
                [piece for pair in pairs for piece in (p.evidence for p in pair)],
            )
    return None


def _require_strangers(
    strangers: Sequence[Attempt], wire: Connections, measured: Measured
) -> list[Attempt]:
    """The strangers that spoke TLS with the sidecar and were turned away."""
    turned_away = [
        one
        for one in strangers
        if (one.outcome in _TURNED_AWAY or one.answer == DENIED)
        and one.local
        and wire.shook_hands(one.local)
    ]
    if not turned_away:
        raise Unjudgeable(
            f"none of {len(strangers)} TLS clients without a certificate got as far as the "
            "sidecar's hello and was turned away in the steady state",
            measured,
            lines_of(strangers),
        )
    return turned_away


def _answered(bundle: Bundle, unknown: list[Connection]) -> list[Connection]:
    """Without those on which, by the other end's record, no request was ever answered.

    A proxy opens a connection ahead of need, and its first request may come seconds later: too late
    to end before the sidecar does.
    """
    sidecar = bundle.index.sidecars[0]
    sources = (requests_file("peer", sidecar), log_file(Role.PEER, sidecar))
    if not unknown or not any(bundle.has(file) for file in sources):
        return unknown
    said = records(bundle, Role.PEER)
    found = []
    for one in unknown:
        other_end = replace(one, outbound=not one.outbound, local=one.remote, remote=one.local)
        its = said.of(other_end)
        if not its or any(record.served for record in its):
            found.append(one)
    return found


def _require_joined(
    bundle: Bundle,
    joined: Sequence[tuple[Connection, Sequence[Record]]],
    steady: Window,
    measured: Measured,
) -> None:
    """Every connection that crosses the steady state has its record, each way at least one."""
    # A request is recorded when it has ended: a connection may lack its record if its only request
    # can have been under way when its proxy ended.
    late = _sidecar_gone_ns(bundle) - _longest_request_ns(bundle) - FLUSH_NS
    unknown = [
        one
        for one, its in joined
        if not its and one.tls and one.crosses(steady) and one.first_ns < late
    ]
    unknown = _answered(bundle, unknown)
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} TLS connections with the peer in the steady state have no record of "
            "the sidecar",
            measured,
            lines_of(unknown),
        )
    for outbound, word in ((True, "to"), (False, "from")):
        if not any(
            any(record.served and record.peer and record.own for record in its)
            for one, its in joined
            if one.outbound == outbound and one.tls
        ):
            raise Unjudgeable(
                f"no TLS connection {word} the peer could be joined to a record of the sidecar",
                measured,
            )


def _sidecar_gone_ns(bundle: Bundle) -> int:
    """When the first of the sidecars had ended (ns)."""
    found = lives(bundle)
    ends = [life.exited_latest for name in bundle.index.sidecars for life in found[name]]
    return min((end for end in ends if end is not None), default=NEVER)


def _longest_request_ns(bundle: Bundle) -> int:
    """How long any request between the two took, lost ones included (ns)."""
    return max(
        (
            one.end_ns - one.begin_ns
            for role, container in ((SUBJECT_ROLE, bundle.index.app), ("peer", "app"))
            for one in attempts(bundle, role, container)
            if one.end_ns is not None
        ),
        default=0,
    )


def _measured(
    steady: Window,
    strangers: Sequence[Attempt],
    wire: Connections,
    joined: Sequence[tuple[Connection, Sequence[Record]]],
    said: Records,
) -> Measured:
    versions: dict[str, Value] = {}
    for _, its in joined:
        for record in its:
            versions[record.tls or "none"] = int(versions.get(record.tls or "none") or 0) + 1
    return {
        "steady_seconds": round(steady.seconds, 3),
        "strangers": len(strangers),
        "strangers_by_outcome": dict(by_outcome(strangers)),
        "tls_connections_with_peer": sum(one.tls for one in wire.with_peer),
        "of_these_to_peer": sum(one.tls and one.outbound for one in wire.with_peer),
        "of_these_in_steady_state": sum(one.tls and one.crosses(steady) for one in wire.with_peer),
        "joined": sum(bool(its) for _, its in joined),
        "without_record": sum(not its and one.tls for one, its in joined),
        "in_clear": sum(bool(one.clear) for one in wire.with_peer),
        "records": said.number,
        "requests_by_tls_version": versions,
        "rate_bound_95": rate_bound(len(joined)),
    }

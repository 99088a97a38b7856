"""leak.ipv6: on a dual-stack cluster a mesh carries IPv6 as it carries IPv4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.index import endpoint
from conformance.evidence.packets.capture import ACK, SYN, Packet
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside
from conformance.evidence.vocabulary import Container, Kind, Role, Step
from conformance.judges.density import require_density
from conformance.judges.lateness import blamable, by_both
from conformance.judges.plaintext import judge_window
from conformance.judges.ruling import lines_of
from conformance.judges.sights import family
from conformance.model import Finding, Measured, Value, Window

MIN_REQUESTS = 20  # by each family; the scenario waits for more (observe/ipv6.py)
_FAMILIES = ("ipv4", "ipv6")


def ipv6(bundle: Bundle) -> Finding:
    """To hold: the app's requests by either family are answered by a peer that takes mutual TLS
    only, and nothing of the pod's is in clear.
    To be broken: in clear by IPv6 alone (plaintext-ipv6), in clear by IPv4 too (plaintext), or not
    in clear, and lost."""
    _require_both_families(bundle)
    window = _window(bundle)
    sent = [
        one
        for one in attempts(bundle, SUBJECT_ROLE, bundle.index.app)
        if one.kind == Kind.STEADY and one.begin_ns in window
    ]
    tried = {
        name: [one for one in sent if family(endpoint(one.target)) == name] for name in _FAMILIES
    }
    few = {name: len(its) for name, its in tried.items() if len(its) < MIN_REQUESTS}
    if few:
        counts = ", ".join(f"{number} by {name}" for name, number in few.items())
        raise Unjudgeable(f"the app sent too few requests: {counts}, not {MIN_REQUESTS}")
    clear = judge_window(bundle, window, window, to_the_end=False)
    measured: Measured = {**clear.measured, **_outcomes(tried)}
    if clear.observed == "broken":
        return _in_clear(clear, measured, tried)
    _require_tls(bundle, window, clear.measured, tried)
    lost = [one for one in sent if one.outcome != OK]
    lost = list(blamable(lost, by_both(bundle), measured))
    if lost:
        return replace(
            clear,
            observed="broken",
            hazard="lost-request",
            reason=f"Nothing was in clear, and {len(lost)} of {len(sent)} requests were lost: "
            f"{_told(tried)}.",
            measured=measured,
            evidence=lines_of(lost),
        )
    for name, its in tried.items():
        require_density(its, window, f"the app, by {name},", measured)
    answered = served(bundle, Role.PEER, Container.APP, (Kind.STEADY,))
    unknown = [one for one in sent if one.token not in answered]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests were answered, and the peer never served them",
            measured,
            lines_of(unknown),
        )
    firsts = [its[0].evidence for its in tried.values()]
    return replace(
        clear,
        reason=f"The mesh carries IPv6 as IPv4: {_told(tried)}. {clear.reason}",
        measured=measured,
        evidence=[*clear.evidence, *firsts],
    )


def _require_both_families(bundle: Bundle) -> None:
    """The pod has an address of each family: else IPv6 was never tried."""
    ips = bundle.index.subject_pod.ips
    if {":" in one for one in ips} != {True, False}:
        raise Unjudgeable(
            f"the pod has no address of each family, only {', '.join(sorted(ips)) or 'none'}"
        )


def _window(bundle: Bundle) -> Window:
    """The pod's steady life, from readiness until enough had been seen of it."""
    ready, enough = bundle.step(Step.SUBJECT_READY), bundle.step(Step.ENOUGH)
    if ready is None or enough is None:
        raise Unjudgeable("the pod was never ready, or did not send enough")
    return Window("steady", ready.ns, enough.ns)


def _in_clear(
    clear: Finding, measured: Measured, tried: Mapping[str, Sequence[Attempt]]
) -> Finding:
    leaks = clear.measured["leaks_by_family"]
    assert isinstance(leaks, Mapping)
    elsewhere = clear.measured["node_only_leaks"] or clear.measured["witness_only_leaks"]
    by_six_alone = bool(leaks.get("ipv6")) and not leaks.get("ipv4") and not elsewhere
    by_six_alone &= bool(clear.measured["leaked_requests"])  # and not of something else
    told = ", ".join(f"{number} by {name}" for name, number in sorted(leaks.items())) or "none"
    return replace(
        clear,
        hazard="plaintext-ipv6" if by_six_alone else clear.hazard,
        reason=f"Leaks by family: {told}. {_told(tried).capitalize()}. {clear.reason}",
        measured=measured,
    )


def _require_tls(
    bundle: Bundle, window: Window, measured: Measured, tried: Mapping[str, Sequence[Attempt]]
) -> None:
    """What was answered by a family crossed eth0 by that family, to the peer: all that is there is
    TLS, for nothing was in clear, and as much of it as the requests' tokens alone are long."""
    sent = _sent_to_peer(bundle, window)
    for name, its in tried.items():
        least = sum(len(one.token) for one in its if one.outcome == OK)
        if sent[name] < least:
            raise Unjudgeable(
                f"requests by {name} were answered, and {sent[name] or 'no'} bytes of TLS by "
                f"{name} went from the pod to its peer, not {least}: they went another way than "
                "the one that was watched",
                measured,
            )


def _sent_to_peer(bundle: Bundle, window: Window) -> Counter[str]:
    """The bytes that the pod sent to its peer in connections that it opened, by family."""
    own = bundle.index.subject_pod.ips
    theirs = {
        address
        for name, its in bundle.index.addresses.items()
        if name.startswith(Role.PEER)
        for address in its
    }
    opened_by_peer: set[tuple[str, int]] = set()
    sent: Counter[str] = Counter()

    def see(packet: Packet) -> None:
        if packet.kind != "tcp":
            return
        if packet.src in theirs and packet.flags & (SYN | ACK) == SYN:
            opened_by_peer.add((packet.src, packet.sport))
        away = (packet.dst, packet.dport)
        if packet.src in own and packet.dst in theirs and away not in opened_by_peer:
            sent[family(away)] += len(packet.payload) * (packet.ns in window)

    from_inside(bundle, see)
    return sent


def _outcomes(tried: Mapping[str, Sequence[Attempt]]) -> Measured:
    found: dict[str, dict[str, Value]] = {
        f"{name}_by_outcome": dict(by_outcome(its)) for name, its in tried.items()
    }
    return found


def _told(tried: Mapping[str, Sequence[Attempt]]) -> str:
    """What became of the requests, by family."""
    return "; ".join(
        f"{len(its)} requests by {name}: "
        + ", ".join(f"{number} {how}" for how, number in by_outcome(its).items())
        for name, its in tried.items()
    )

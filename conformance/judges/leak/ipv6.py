"""leak.ipv6: on a dual-stack cluster a mesh carries IPv6 as it carries IPv4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Kind, Role, Step
from conformance.judges.density import require_density
from conformance.judges.lateness import blamable, by_both
from conformance.judges.plaintext import judge_window
from conformance.judges.ruling import lines_of
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
    tried = {name: [one for one in sent if _family(one) == name] for name in _FAMILIES}
    few = {name: len(its) for name, its in tried.items() if len(its) < MIN_REQUESTS}
    if few:
        counts = ", ".join(f"{number} by {name}" for name, number in few.items())
        raise Unjudgeable(f"the app sent too few requests: {counts}, not {MIN_REQUESTS}")
    clear = judge_window(bundle, window, window, to_the_end=False)
    measured: Measured = {**clear.measured, **_outcomes(tried)}
    if clear.observed == "broken":
        return _in_clear(clear, measured, tried)
    _require_tls(clear.measured, tried)
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


def _family(one: Attempt) -> str:
    return "ipv6" if one.target.startswith("[") else "ipv4"


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


def _require_tls(measured: Measured, tried: Mapping[str, Sequence[Attempt]]) -> None:
    """What was answered by a family crossed eth0 by that family."""
    seen = measured["tls_bytes_by_family"]
    assert isinstance(seen, Mapping)
    for name, its in tried.items():
        if any(one.outcome == OK for one in its) and not seen.get(name):
            raise Unjudgeable(
                f"requests by {name} were answered, and no TLS by {name} was seen on eth0: they "
                "went another way than the one that was watched",
                measured,
            )


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

"""plane.rotation: certificates are replaced while connections are in use, and nobody notices.

That they were replaced is read from the other side: each proxy records the serial number of the
certificate that a connection's client showed it; or the observer asked for it, as any client may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from conformance.evidence.access_log import Record, records
from conformance.evidence.attempts import by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, Step
from conformance.judges import persistent
from conformance.judges.density import require_density
from conformance.judges.ruling import broken, holds, rate_bound, require_number
from conformance.model import NS, Evidence, Finding, Value, Window

MIN_REQUESTS = 20


def unnoticed(bundle: Bundle) -> Finding:
    """To hold: the pod under test shows a second certificate, connections from before are in use
    after that, and no request fails from the first use to the deletion."""
    window = _window(bundle)
    shown = {role: _shown(bundle, role) for role in persistent.ROLES}
    replaced = {
        role: [one for one in its[1:] if (one.begin_ns or 0) in window]
        for role, its in shown.items()
    }
    for role in persistent.ROLES:
        _require_one_proxy(bundle, role, window)
    found = persistent.connections(bundle)
    sent = persistent.sent(bundle, window)
    lost = persistent.lost(sent, window)
    ended: Sequence[persistent.Persistent] = [
        one for one in found if one.opened.ns < window.start and one.ended_in(window)
    ]
    measured: dict[str, Value | dict[str, Value]] = {
        "watched_seconds": round(window.seconds, 3),
        **{f"{role}_certificates": len(its) for role, its in shown.items()},
        **{f"{role}_replaced_in_window": len(its) for role, its in replaced.items()},
        "requests": len(sent),
        "requests_by_outcome": dict(by_outcome(sent)),
        "lost": len(lost),
        "connections_ended": len(ended),
        "connections_ended_how": persistent.by_end(ended),
        "rate_bound_95": rate_bound(len(sent)),
    }
    if not replaced[SUBJECT_ROLE]:
        raise Unjudgeable(
            f"no certificate of the pod was replaced while it was watched: its peer was shown "
            f"{len(shown[SUBJECT_ROLE])}",
            measured,
        )
    ended, lost = persistent.blamable(ended, lost, sent, measured)
    if ended or lost:
        return broken(
            persistent.hazard(ended, lost),
            f"{len(lost)} of {len(sent)} requests were lost and {len(ended)} connections ended "
            "while certificates were replaced.",
            measured,
            persistent.evidence(ended, lost),
        )
    second = replaced[SUBJECT_ROLE][0]
    across = persistent.in_use_at(found, second.begin_ns or 0, "when the certificate was replaced")
    persistent.require_used(across, Window("after", second.begin_ns or 0, window.end))
    require_number(sent, MIN_REQUESTS, "requests", measured)
    require_density(sent, window, "pod and peer", measured)
    return holds(
        f"The pod showed {len(shown[SUBJECT_ROLE])} certificates in turn and its peer "
        f"{len(shown['peer'])}; all {len(sent)} requests in {window.seconds:.1f} s were answered, "
        f"on {len(across)} connections that were older and on new ones.",
        measured,
        [shown[SUBJECT_ROLE][0].evidence, second.evidence],
    )


def _window(bundle: Bundle) -> Window:
    """From when every connection was in use, to the deletion."""
    begin, end = bundle.step(Step.KEPT), bundle.step(Step.DELETE_ASKED)
    if begin is None or end is None:
        raise Unjudgeable("the connections were never in use before the deletion")
    return Window("steady", begin.ns, end.ns)


def _require_one_proxy(bundle: Bundle, role: str, window: Window) -> None:
    """One proxy replaced its certificate: it was not made anew, and what it shows to new
    connections does not come and go. Raises Unjudgeable."""
    its = lives(bundle, bundle.pod(role)) if role in bundle.index.pods else {}
    for name in bundle.index.sidecars:
        for life in its.get(name, ()):
            if life.created and life.created.ns in window:
                raise Unjudgeable(
                    f"{name} of {role} was made anew while it was watched: a new certificate is "
                    "no rotation then",
                    evidence=(Evidence(File.RUNTIME, life.created.number, ns=life.created.ns),),
                )
    if bundle.has(File.CERTIFICATES):
        return
    new = _new_connections(bundle, role)
    for (_, before), (_, after) in pairwise(new.items()):
        if before[-1].begin_ns and before[-1].begin_ns > (after[0].begin_ns or 0) + NS:
            raise Unjudgeable(
                f"{role} showed the certificate {before[0].peer_serial} to a new connection after "
                f"it had shown {after[0].peer_serial}: it was not replaced",
                evidence=(after[0].evidence, before[-1].evidence),
            )


def _new_connections(bundle: Bundle, role: str) -> dict[str, list[Record]]:
    """The first record of each connection, by the certificate that it was shown; certificates in
    the order in which they came."""
    known: set[str] = set()
    found: dict[str, list[Record]] = {}
    for one in sorted(_records(bundle, role), key=lambda each: each.begin_ns or 0):
        if one.remote not in known:
            known.add(one.remote)
            found.setdefault(one.peer_serial, []).append(one)
    return found


@dataclass(frozen=True)
class _Look:
    """The first look at a certificate."""

    begin_ns: int
    evidence: Evidence


def _shown(bundle: Bundle, role: str) -> Sequence[Record | _Look]:
    """The first record of each certificate that the other pod's proxy, or the observer, was shown,
    in order."""
    if bundle.has(File.CERTIFICATES):
        return _asked(bundle, role)
    first: dict[str, Record] = {}
    for one in _records(bundle, role):
        before = first.get(one.peer_serial)
        if before is None or (one.begin_ns or 0) < (before.begin_ns or 0):
            first[one.peer_serial] = one
    return sorted(first.values(), key=lambda one: one.begin_ns or 0)


def _records(bundle: Bundle, role: str) -> Sequence[Record]:
    """What the other pod's proxy recorded of this one's certificates."""
    other = "peer" if role == SUBJECT_ROLE else SUBJECT_ROLE
    identity = bundle.index.identities[role]
    return [
        one
        for one in records(bundle, other).shown
        if one.peer == identity and one.begin_ns is not None
    ]


def _asked(bundle: Bundle, role: str) -> Sequence[_Look]:
    """The observer's looks."""
    first: dict[str, _Look] = {}
    for number, seen in bundle.objects(File.CERTIFICATES):
        if seen["role"] == role:
            what = f"{role} shows the certificate {seen['serial']}"
            evidence = Evidence(File.CERTIFICATES, line=number, ns=seen["ns"], text=what)
            first.setdefault(seen["serial"], _Look(seen["ns"], evidence))
    return list(first.values())

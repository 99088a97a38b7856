"""start.no-plaintext and stop.no-plaintext: nothing in clear crosses the pod's eth0.

A leak that was seen is a leak, whatever else is in doubt. That none was seen means something only
if the capture watched without a gap, if the judge finds the deliberate leak by the same way, and
if something was tried at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from conformance.evidence import windows
from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.index import endpoint
from conformance.evidence.packets.coverage import Coverage
from conformance.evidence.packets.probes import opening
from conformance.evidence.packets.tls import RecordCheck
from conformance.evidence.packets.tokens import find, parse
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import require_watched
from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.judges.density import require_density, trying
from conformance.judges.exceptions import Explained
from conformance.judges.ordering import sidecars_end
from conformance.judges.packets import (
    require_no_direct_service,
    require_no_doubts,
    survey_node,
    survey_so_far,
)
from conformance.judges.ruling import SHOWN, broken, floor, holds, rate_bound
from conformance.judges.sights import Sight, Survey, unseen_in
from conformance.model import NEVER, NS, Evidence, Finding, Measured, Value, Window

BESIDE = "plaintext-while-the-sidecar-lived"
"""The hazard: no control arm of a sidecar's absence expects it."""


def startup(bundle: Bundle) -> Finding:
    """No plaintext leaves or enters the pod before app and sidecar are ready."""
    window = windows.startup(bundle)
    # Nothing of the pod runs before the window: what comes earlier is looked at with it.
    looked = replace(window, start=0)
    finding = judge_window(bundle, window, looked, to_the_end=False)
    if finding.observed == "broken":
        with suppress(Unjudgeable):
            ready, _ = opening(bundle, window.end)
            if ready is not None:
                return _beside(bundle, finding, replace(looked, end=ready.latest))
    return finding


def shutdown(bundle: Bundle) -> Finding:
    """No plaintext from the deletion on until the network namespace is gone."""
    try:
        window = windows.shutdown(bundle)
    except Unjudgeable as why:
        deleted = bundle.step(Step.DELETE_ASKED) or bundle.step(Step.DELETE_ACCEPTED)
        if deleted is None:
            raise
        # The end is not known: what was seen may still be a leak, but no absence counts.
        rest = Window("shutdown", deleted.ns, NEVER)
        found = look(bundle, rest, rest)
        if found.leaks:
            finding = in_clear(found, rest)
            return _beside(bundle, finding, replace(rest, start=sidecars_end(bundle)))
        raise why
    # What comes after the last beacon is looked at too.
    looked = replace(window, end=NEVER)
    finding = judge_window(bundle, window, looked, to_the_end=True)
    if finding.observed == "holds":
        _require_drain(bundle, window, finding.measured)
        return finding
    return _beside(bundle, finding, replace(looked, start=sidecars_end(bundle)))


def _beside(bundle: Bundle, finding: Finding, absent: Window) -> Finding:
    """The same, but for its hazard where nothing was in clear while there was no sidecar."""
    return finding if look(bundle, absent, absent).leaks else replace(finding, hazard=BESIDE)


def _require_drain(bundle: Bundle, window: Window, measured: Measured) -> None:
    """That nothing leaked without the sidecar means something if the app still tried then."""
    tried = attempts(bundle, SUBJECT_ROLE, bundle.index.app)
    last = max(one.begin_ns for one in tried if one.begin_ns in window)
    least = bundle.index.sidecar_drain_seconds
    if (last - window.start) / NS <= least:
        raise Unjudgeable(
            f"the app tried for {(last - window.start) / NS:.1f} s after the deletion; a sidecar "
            f"signalled at once would have lived as long (it drains for {least:.1f} s)",
            measured,
        )


@dataclass(frozen=True)
class Seen:
    """What was seen by everyone who looked. lacks: who could not look, and why."""

    inside: Survey
    coverage: Coverage | None
    tried: Sequence[Attempt]
    node: Survey | None
    node_note: str
    pod_leaks: Sequence[Evidence]
    node_only: Sequence[Evidence]
    witness_only: Sequence[Evidence]
    peer_only: Sequence[Evidence]
    lacks: Sequence[Unjudgeable]

    @property
    def leaks(self) -> list[Evidence]:
        return [*self.pod_leaks, *self.node_only, *self.witness_only, *self.peer_only]


def judge_window(
    bundle: Bundle,
    window: Window,
    looked: Window,
    *,
    to_the_end: bool,
    sender: str = "",
    also: Sequence[Explained] = (),
) -> Finding:
    """No plaintext in a window, while one of the pod's containers was trying (default: the app).

    looked: what is searched for leaks; it holds the window. also: what may be in clear beside
    EXCEPTIONS. Raises Unjudgeable.
    """
    seen = look(bundle, window, looked, sender, also)
    if seen.leaks:
        return in_clear(seen, window)
    measured = _measured(seen, window)
    for lack in seen.lacks:
        raise lack
    assert seen.coverage is not None
    require_watched(seen.coverage, window, to_the_end=to_the_end, measured=measured)
    if not seen.inside.controls.number:
        raise Unjudgeable(
            "judge blind: the deliberate plaintext canary was not found in the capture outside of "
            f"the {window.name} window",
            measured,
        )
    require_no_doubts(seen.inside, bundle.capture_file, window.name, measured)
    if not seen.tried or not seen.inside.packets:
        raise Unjudgeable(
            f"nothing was tried in the {window.name} window ({len(seen.tried)} requests, "
            f"{seen.inside.packets} packets)",
            measured,
        )
    answered = sum(one.outcome == OK and (one.end_ns or 0) <= window.end for one in seen.tried)
    if answered and not seen.inside.tls_bytes:
        raise Unjudgeable(
            f"{answered} requests were answered in the {window.name} window and no TLS was seen on "
            "eth0: they went another way than the one that was watched",
            measured,
        )
    who = sender or bundle.index.app
    alive = trying(bundle, window, SUBJECT_ROLE, who)
    require_density(seen.tried, alive, f"the {who}", measured)
    control = seen.inside.controls.told[0]
    return holds(
        f"No plaintext in {window.seconds:.2f} s of {window.name}: {len(seen.tried)} requests "
        f"tried, {seen.inside.tls_bytes} bytes of TLS in {seen.inside.tls_streams} connections "
        f"watched; {floor(len(seen.tried))} of requests leak.",
        measured,
        (control.evidence(bundle.capture_file),),
    )


def in_clear(seen: Seen, window: Window) -> Finding:
    survey = seen.inside
    parts = [
        f"{survey.tokens_leaked} requests and {survey.leaked_bytes} bytes in clear on eth0"
        if seen.pod_leaks
        else "nothing in clear in the pod's own capture"
    ]
    if seen.node_only:
        parts.append(f"{len(seen.node_only)} leaks that only the node saw")
    if seen.witness_only:
        parts.append(f"{len(seen.witness_only)} leaks that only the witness saw")
    if seen.peer_only:
        parts.append(f"{len(seen.peer_only)} leaks that only the peer saw")
    return broken(
        "plaintext",
        f"Plaintext in the {window.name} window: {', '.join(parts)}; first: {seen.leaks[0].text}.",
        _measured(seen, window),
        seen.leaks,
    )


def look(
    bundle: Bundle,
    window: Window,
    looked: Window,
    sender: str = "",
    also: Sequence[Explained] = (),
) -> Seen:
    lacks: list[Unjudgeable] = []
    tried: list[Attempt] = []
    witnessed: list[Evidence] = []
    peer_only: list[Evidence] = []
    inside, watched, blind = survey_so_far(bundle, looked, also)
    if blind:
        lacks.append(blind)
    try:
        tried += [
            one
            for one in attempts(bundle, SUBJECT_ROLE, sender or bundle.index.app)
            if one.begin_ns in looked and one.begin_ns <= window.end
        ]
    except Unjudgeable as why:
        lacks.append(why)
    try:
        witnessed += _look_from_witness(bundle, looked, inside, lacks)
    except Unjudgeable as why:
        lacks.append(why)
    try:
        peer_only = _look_from_peer(bundle, looked, inside)
        ours = bundle.index.subject_pod.ips
        require_no_direct_service(bundle, looked, ours, inside.tokens)
    except Unjudgeable as why:
        lacks.append(why)
    node, note = _look_from_node(bundle, looked, also)
    by_node = unseen_in(node, inside) if node else []
    inside_leaks = _sure(bundle, inside.leaks.told, lacks)
    pod_leaks = [one.evidence(bundle.capture_file) for one in inside_leaks]
    node_only = [one.evidence(bundle.node_file) for one in _sure(bundle, by_node, lacks)]
    return Seen(
        inside, watched, tried, node, note, pod_leaks, node_only, witnessed, peer_only, lacks
    )


def _sure(bundle: Bundle, leaks: Sequence[Sight], lacks: list[Unjudgeable]) -> Sequence[Sight]:
    """Those that are leaks whoever sent them. Where nobody told the node's own addresses (no
    capture began), the kubelet's probes look like any plaintext: only tokens tell then.

    lacks: takes what is left in doubt.
    """
    if bundle.index.addresses.get("gateway"):
        return leaks
    sure = [one for one in leaks if (told := parse(one.token)) and told.kind != "control"]
    if len(sure) < len(leaks):
        lacks.append(Unjudgeable("cell.json does not say where probes come from and go to"))
    return sure


def _look_from_node(
    bundle: Bundle, looked: Window, also: Sequence[Explained]
) -> tuple[Survey | None, str]:
    """The node's view: (what it saw, what is to be said of it). It may be missing."""
    if not bundle.has(bundle.node_file):
        return None, "missing"
    survey, why = survey_node(bundle, looked, also)
    if why is not None:
        return survey, f"not whole: {why}"
    return survey, "agrees" if survey.controls.number else "blind: it shows no control canary"


def _look_from_peer(bundle: Bundle, looked: Window, inside: Survey) -> list[Evidence]:
    """What is in clear of the pod in its peer's own capture, and not in the pod's."""
    if Role.PEER not in bundle.index.pods:
        return []
    view = bundle.seen_from(Role.PEER)
    if not bundle.has(view.capture_file) or bundle.index.subject == view.index.subject:
        return []
    found, _, _ = survey_so_far(view, looked)
    ours = bundle.index.subject_pod.ips
    return [
        one.evidence(view.capture_file)
        for one in unseen_in(found, inside)
        if one.owner == Role.SUBJECT or one.source[0] in ours or one.target[0] in ours
    ]


def _look_from_witness(
    bundle: Bundle, looked: Window, inside: Survey, lacks: list[Unjudgeable]
) -> list[Evidence]:
    """Leaks that reached the listener outside the mesh, and are not in the pod's own capture.

    lacks: takes what cannot be read.
    """
    file = stamps_file(Role.WITNESS, "witness")
    ours = bundle.index.subject_pod.ips
    found: list[Evidence] = []
    for line in bundle.stamps(Role.WITNESS, "witness"):
        if line.event != Stamp.WITNESS_CONNECTION or not line.get("first_bytes"):
            continue
        try:
            first = bytes.fromhex(line["first_bytes"])
        except ValueError as error:
            where = (Evidence(file, line.number),)
            lacks.append(Unjudgeable(f"{file}:{line.number} cannot be read: {error}", None, where))
            continue
        tokens = [one for one in find(first) if one.kind != "control"]
        if line.ns not in looked or any(one.text in inside.tokens for one in tokens):
            continue
        clear = RecordCheck(opener=True).feed(first) is not None
        from_subject = endpoint(line["remote"])[0] in ours
        mesh_port = line["port"] == bundle.index.ports.get("witness_mesh")
        if (from_subject and (tokens or (mesh_port and clear))) or any(
            one.sender == SUBJECT_ROLE for one in tokens
        ):
            text = f"{tokens[0].text if tokens else 'no token'}: {first[:40]!r} at the witness"
            found.append(Evidence(file, line=line.number, ns=line.ns, text=text))
    return found


def _measured(seen: Seen, window: Window) -> Measured:
    survey, watched = seen.inside, seen.coverage
    tried = len(seen.tried)
    outcomes: dict[str, Value] = dict(by_outcome(seen.tried))
    explained: dict[str, Value] = dict(sorted(survey.explained.items()))
    owners: dict[str, Value] = dict(Counter(one.sender for one in map(parse, survey.tokens) if one))
    return {
        "window_seconds": round(window.seconds, 3) if window.end < NEVER else None,
        "requests_tried": tried,
        "requests_by_outcome": outcomes,
        "rate_bound_95": rate_bound(tried),
        "leaked_requests": survey.tokens_leaked,
        "leaked_requests_by": owners,
        "leaked_connections": survey.leaked_streams,
        "leaked_bytes": survey.leaked_bytes,
        "leaks": len(seen.leaks),
        "leaks_by_family": dict(survey.leaks_by),
        "leaks_not_listed": max(0, survey.leaks.number + len(seen.node_only) - SHOWN),
        "leaks_outside_window": survey.outside.number,
        "packets": survey.packets,
        "payload_bytes": survey.payload_bytes,
        "tls_connections": survey.tls_streams,
        "tls_bytes": survey.tls_bytes,
        "tls_bytes_by_family": dict(survey.tls_bytes_by),
        "explained_payloads": explained,
        "doubtful_payloads": survey.doubts.number,
        "controls_found": survey.controls.number,
        "beacons": watched.beacons if watched else None,
        "beacons_missing": watched.missing if watched else None,
        "packets_dropped": watched.dropped if watched else None,
        "node_view": seen.node_note,
        "node_leaks": seen.node.leaks.number if seen.node else None,
        "node_only_leaks": len(seen.node_only),
        "witness_only_leaks": len(seen.witness_only),
        "peer_only_leaks": len(seen.peer_only),
    }

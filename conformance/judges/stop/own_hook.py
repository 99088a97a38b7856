"""stop.stale-prestop: a native sidecar's own preStop hook runs beside the app's shutdown.

In the classic pattern such a hook was the way to drain a proxy in time. In the native one the
kubelet does that by order, and a hook that drains or quits the proxy at the deletion may take it
from an app that is still at work. What it does to connections is measured on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence import windows
from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.packets.wire_connections import Connection
from conformance.evidence.timeline import Event, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Stamp, Step
from conformance.judges.density import require_density
from conformance.judges.lateness import blamable, hazard_of
from conformance.judges.ordering import BESIDE, from_sidecars_end, sidecars_drain
from conformance.judges.packets import mesh_connections
from conformance.judges.ruling import broken, holds, lines_of, require_number
from conformance.judges.sources import deletion_step
from conformance.model import NS, Finding, Value, Window

_TO_SUBJECT = ("quick", "inflight", Kind.STREAM)
_FROM_SUBJECT = ("steady", Kind.DRAIN)
# The app's server stops to accept when its drain is over: a request that begins so shortly before
# may come too late, whatever the proxy does.
MARGIN_NS = NS // 2
MIN_REQUESTS = 20


def stale_prestop(bundle: Bundle) -> Finding:
    """To hold: after the hook's drain, and while the app goes on, every request is answered."""
    hook = sidecars_drain(bundle, deletion_step(bundle, Step.DELETE_ASKED).ns)
    if hook is None:
        raise Unjudgeable("the sidecar tells of no drain by its hook")
    sigterm = _app_told(bundle)
    drain = round(bundle.index.app_drain_seconds * NS)
    after = Window("after the hook", hook.latest, sigterm.latest + drain - MARGIN_NS)
    if after.seconds < 1:
        raise Unjudgeable("the app went on for less than a second after the sidecar's hook")
    steady = windows.steady(bundle)
    sent = _sent(bundle, steady)
    tried = [one for one in sent if one.begin_ns in after]
    lost: Sequence[Attempt] = [one for one in tried if one.outcome != OK]
    wire, _ = mesh_connections(bundle)
    measured = _measured(hook, sigterm, (steady, after), sent, wire.with_peer)
    lost = blamable(lost, sent, measured)
    if lost:
        return broken(
            _hazard(bundle, lost),
            f"{len(lost)} of {len(tried)} requests were lost after the sidecar's own hook had "
            "drained it, and before the app was done.",
            measured,
            [*hook.evidence, *lines_of(lost)],
        )
    require_number(tried, MIN_REQUESTS, "requests after the hook", measured)
    require_density(sent, after, "pod and peer", measured)
    return holds(
        f"All {len(tried)} requests in the {after.seconds:.1f} s between the sidecar's hook and "
        f"the app's end were answered, with {measured['connections_per_request_after']} new mesh "
        f"connections for each ({measured['connections_per_request_before']} before the hook); of "
        f"{measured['open_connections']} that were open {measured['open_connections_ended']} were "
        "ended.",
        measured,
        hook.evidence,
    )


def _hazard(bundle: Bundle, lost: Sequence[Attempt]) -> str:
    to_its_end = from_sidecars_end(bundle, (one.end_ns for one in lost))
    return hazard_of(lost, "lost-request" if to_its_end else BESIDE)


def _app_told(bundle: Bundle) -> Event:
    told = stamp_events(bundle, bundle.index.app, Stamp.APP_SIGTERM)
    if not told:
        raise Unjudgeable("the app never said that it got SIGTERM")
    return told[0]


def _sent(bundle: Bundle, steady: Window) -> Sequence[Attempt]:
    """Requests between the two. A side that was not answered before the hook either tells nothing
    of the hook, and is left out: there are modes in which the mesh does not carry it."""
    found: list[Attempt] = []
    for role, kinds in ((SUBJECT_ROLE, _FROM_SUBJECT), ("peer", _TO_SUBJECT)):
        its = [one for one in attempts(bundle, role, bundle.index.app) if one.kind in kinds]
        if any(one.outcome == OK and one.begin_ns in steady for one in its):
            found += its
    return found


def _measured(
    hook: Event,
    sigterm: Event,
    spans: tuple[Window, Window],
    sent: Sequence[Attempt],
    wire: Sequence[Connection],
) -> dict[str, Value | dict[str, Value]]:
    steady, after = spans
    tls = [one for one in wire if one.tls]
    open_then = [one for one in tls if one.first_ns < hook.latest < one.last_ns]
    outcomes: dict[str, Value] = dict(by_outcome(one for one in sent if one.begin_ns in after))
    found: dict[str, Value | dict[str, Value]] = {
        "hook_after_app_sigterm_ms": round((hook.latest - sigterm.latest) / 1e6, 1),
        "seconds_after_hook": round(after.seconds, 3),
        "requests_by_outcome": outcomes,
        "open_connections": len(open_then),
        "open_connections_ended": sum(one.last_ns < after.end for one in open_then),
    }
    for name, span in (("before", steady), ("after", after)):
        requests = sum(one.begin_ns in span for one in sent)
        opened = sum(one.first_ns in span for one in tls)
        found[f"requests_{name}"] = requests
        found[f"connections_{name}"] = opened
        found[f"connections_per_request_{name}"] = round(opened / requests, 2) if requests else None
    return found

"""start.cost: what a pattern costs, from the pod's scheduling to an app that is ready."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Stamp
from conformance.evidence.windows import container_statuses
from conformance.judges.ruling import measures
from conformance.judges.sources import in_watch, versions
from conformance.judges.start.order import app_begins
from conformance.model import NS, Finding, Value


def start(bundle: Bundle) -> Finding:
    """Measured only: how long the app took to be ready, and what of it was its sidecar's doing."""
    scheduled, ready = _scheduled(bundle), _app_ready(bundle)
    app = app_begins(bundle)
    sidecar = _sidecar_ready(bundle)
    took = (ready.ns - scheduled.ns) / NS
    measured: dict[str, Value] = {
        "scheduled_to_app_ready_seconds": round(took, 3),
        "scheduled_to_app_begin_seconds": round((app.latest - scheduled.ns) / NS, 3),
        "sidecar_start_seconds": round(sidecar, 3) if sidecar is not None else None,
    }
    return measures(
        f"From the pod's scheduling to its app's readiness: {took:.2f} s.",
        measured,
        (
            in_watch(scheduled, "scheduled"),
            in_watch(ready, "the app is ready"),
            *app.evidence,
        ),
    )


def _scheduled(bundle: Bundle) -> Line:
    """The first version of the pod that has a node: received at most some ms after it got it."""
    found = next((one for one in versions(bundle) if one["object"]["spec"].get("nodeName")), None)
    if found is None:
        raise Unjudgeable("the pod was never seen with a node")
    return found


def _app_ready(bundle: Bundle) -> Line:
    for line in versions(bundle):
        for one in container_statuses(line["object"].get("status", {})):
            if one["name"] == bundle.index.app and one.get("ready"):
                return line
    raise Unjudgeable("the app was never seen ready")


def _sidecar_ready(bundle: Bundle) -> float | None:
    """From the sidecar's creation to its own readiness (s); None when it does not say."""
    name = bundle.index.sidecars[0]
    created = next((one.created for one in lives(bundle)[name] if one.created), None)
    ready = stamp_events(bundle, name, Stamp.SIDECAR_READY)
    return (ready[0].latest - created.ns) / NS if created and ready else None

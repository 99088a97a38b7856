"""crash.terminating: a sidecar that dies while its pod is terminating is not restarted."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import Event, happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Stamp
from conformance.judges.deletion import deletion_of
from conformance.judges.ordering import ended
from conformance.judges.ruling import broken, holds
from conformance.model import Finding, Measured

# The app must go on for so many times as long as the twin's sidecar took to come back.
TIMES = 3


def not_restarted(bundle: Bundle) -> Finding:
    """To hold: the sidecar died while the app still drained, the app went on for several times as
    long as the twin's sidecar took to come back, and it did not come back.

    To be broken: it has a second first instruction.
    """
    deletion = deletion_of(bundle, SUBJECT_ROLE)
    sidecar, app = bundle.index.sidecars[0], bundle.index.app
    crash, started = _crash(bundle, SUBJECT_ROLE, sidecar)
    twin_crash, twin_started = _crash(bundle, Role.TWIN, sidecar)
    if crash.latest < deletion.asked.ns:
        raise Unjudgeable("the sidecar died before its pod was deleted", evidence=crash.evidence)
    over = ended(bundle, deletion.last(app))
    if happens_before(crash, over).answer != "yes":
        raise Unjudgeable("the app had ended when the sidecar died", evidence=crash.evidence)
    back_after = twin_started.earliest - twin_crash.latest if twin_started else None
    measured: Measured = {
        "crash_after_deletion_seconds": deletion.since(crash.latest),
        "twin_back_after_seconds": round(back_after / 1e9, 3) if back_after else None,
        "app_went_on_seconds": round((over.earliest - crash.latest) / 1e9, 3),
        "container_ids": len(bundle.pod().containers[sidecar].ids),
    }
    if started or len(bundle.pod().containers[sidecar].ids) > 1:
        return broken(
            "restarted",
            "The sidecar was started again while its pod was terminating.",
            measured,
            [*crash.evidence, *(started.evidence if started else ())],
        )
    if twin_started is None or back_after is None:
        raise Unjudgeable("the twin's sidecar never came back either", measured)
    if over.earliest - crash.latest < TIMES * back_after:
        raise Unjudgeable(
            f"the app went on for {measured['app_went_on_seconds']} s only, and the twin's sidecar "
            f"needed {measured['twin_back_after_seconds']} s to come back",
            measured,
        )
    return holds(
        f"The sidecar stayed away for the {measured['app_went_on_seconds']} s that the app went "
        f"on; that of a pod that was not deleted came back after "
        f"{measured['twin_back_after_seconds']} s.",
        measured,
        (*crash.evidence, *over.evidence, *twin_crash.evidence, *twin_started.evidence),
    )


def _crash(bundle: Bundle, role: str, sidecar: str) -> tuple[Event, Event | None]:
    """The crash, and the first instruction of the run after it."""
    crashes = stamp_events(bundle, sidecar, Stamp.SIDECAR_CRASH, role=role)
    if not crashes:
        raise Unjudgeable(f"the sidecar of {role} never told that it was to crash")
    crash = crashes[0]
    started = stamp_events(bundle, sidecar, Stamp.SIDECAR_STARTED, role=role)
    return crash, next((one for one in started if one.earliest > crash.latest), None)

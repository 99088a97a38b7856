"""start.init-traffic: the app's own init containers talk through the sidecar."""

from __future__ import annotations

from dataclasses import replace

from conformance.evidence.attempts import OK, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import PUBLISH_LAG_NS, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.lateness import blamable, by_both
from conformance.judges.plaintext import judge_window
from conformance.judges.premise import require_premise
from conformance.model import Finding, Value, Window

_BEHAVIOUR = "start.init-traffic"
CONTAINER = "init"
KIND = "init"
MIN_REQUESTS = 5  # the fixture sends some 15
_TOLD = 50


def traffic(bundle: Bundle) -> Finding:
    """To hold: what the init container sends is answered by the STRICT peer, and nothing of it is
    in clear, from its creation to its exit. To be broken: it is in clear, or lost."""
    require_premise(bundle)
    window = _window(bundle)
    sent = [
        one
        for one in attempts(bundle, SUBJECT_ROLE, CONTAINER)
        if one.kind == KIND and one.begin_ns in window
    ]
    if len(sent) < MIN_REQUESTS:
        raise Unjudgeable(
            f"the init container sent {len(sent)} requests, and {MIN_REQUESTS} are needed"
        )
    clear = judge_window(_BEHAVIOUR, bundle, window, window, to_the_end=False, sender=CONTAINER)
    if clear.observed != "holds":
        return clear
    lost = [one for one in sent if one.outcome != OK]
    lost = list(blamable(lost, by_both(bundle), clear.measured))
    if lost:
        kinds = {one.outcome for one in lost}
        hazard = kinds.pop() if len(kinds) == 1 and kinds <= {"refused", "reset"} else ""
        counts = ", ".join(f"{number} {how}" for how, number in by_outcome(lost).items())
        return replace(
            clear,
            observed="broken",
            hazard=hazard or "lost-request",
            reason=f"{len(lost)} of {len(sent)} requests of the init container were lost "
            f"({counts}); none of them was in clear.",
            evidence=[one.evidence for one in lost[:_TOLD]],
        )
    answered = served(bundle, "peer", "app", (KIND,))
    unknown = [one for one in sent if one.token not in answered]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests of the init container were answered, and the peer never "
            "served them",
            evidence=[one.evidence for one in unknown[:_TOLD]],
        )
    outcomes: dict[str, Value] = dict(by_outcome(sent))
    return replace(
        clear,
        reason=f"All {len(sent)} requests that the init container sent in {window.seconds:.1f} s "
        "were answered by a peer that takes mutual TLS only, and none of them was in clear.",
        measured={**clear.measured, "init_requests": len(sent), "init_by_outcome": outcomes},
        evidence=[*clear.evidence, *(one.evidence for one in sent[:1])],
    )


def _window(bundle: Bundle) -> Window:
    its = [life for life in lives(bundle).get(CONTAINER, ()) if life.created and life.exited_latest]
    if not its:
        raise Unjudgeable(f"no begin and end of the container {CONTAINER} are in runtime.log")
    return Window(
        "init container",
        min(life.created.ns for life in its if life.created) - PUBLISH_LAG_NS,
        max(life.exited_latest or 0 for life in its),
    )

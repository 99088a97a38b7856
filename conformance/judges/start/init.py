"""start.init-traffic: the app's own init containers talk through the sidecar."""

from __future__ import annotations

from dataclasses import replace

from conformance.evidence.attempts import OK, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import PUBLISH_LAG_NS, lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Kind, Role
from conformance.judges.lateness import blamable, by_both
from conformance.judges.plaintext import judge_window
from conformance.judges.ruling import lines_of, require_number
from conformance.model import Finding, Value, Window

MIN_REQUESTS = 5  # the fixture sends some 15


def traffic(bundle: Bundle) -> Finding:
    """To hold: what the init container sends is answered by the STRICT peer, and nothing of it is
    in clear, from its creation to its exit. To be broken: it is in clear, or lost."""
    window = _window(bundle)
    sent = [
        one
        for one in attempts(bundle, SUBJECT_ROLE, Container.INIT)
        if one.kind == Kind.INIT and one.begin_ns in window
    ]
    require_number(sent, MIN_REQUESTS, "requests of the init container")
    clear = judge_window(bundle, window, window, to_the_end=False, sender=Container.INIT)
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
            evidence=lines_of(lost),
        )
    answered = served(bundle, Role.PEER, Container.APP, (Kind.INIT,))
    unknown = [one for one in sent if one.token not in answered]
    if unknown:
        raise Unjudgeable(
            f"{len(unknown)} requests of the init container were answered, and the peer never "
            "served them",
            evidence=lines_of(unknown),
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
    its = [
        life
        for life in lives(bundle).get(Container.INIT, ())
        if life.created and life.exited_latest
    ]
    if not its:
        raise Unjudgeable(f"no begin and end of the container {Container.INIT} are in runtime.log")
    return Window(
        "init container",
        min(life.created.ns for life in its if life.created) - PUBLISH_LAG_NS,
        max(life.exited_latest or 0 for life in its),
    )

"""stop.eviction: who takes a pod off its node, and how hurried, does not change the order."""

from __future__ import annotations

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.departure import Departure, departure
from conformance.judges.ordering import ended, require_meaning, told
from conformance.judges.premise import require_premise
from conformance.model import NS, Evidence, Finding, Value

_BEHAVIOUR = "stop.eviction"
HURRIED, PREEMPTED = "hurried", "preempted"
_IN_WORDS = {SUBJECT_ROLE: "evicted", PREEMPTED: "preempted"}


def keeps_order(bundle: Bundle) -> Finding:
    """To hold: in the evicted and the preempted pod the sidecar was told to end after the app's
    end; in the hurried one not before the shorter grace period was over.

    To be broken: in any of them it was told to end too early.
    """
    require_premise(bundle)
    measured: dict[str, Value] = {}
    evidence: list[Evidence] = []
    unclear: list[str] = []
    for role, words in _IN_WORDS.items():
        going = departure(bundle, role)
        answer, gap, seen = going.order()
        measured[f"{role}_gap_ms"] = round(gap / 1e6, 1)
        evidence += [going.asked_evidence, *seen]
        if answer == "no":
            return _broken(
                f"In the {words} pod the sidecar was told to end, or was gone, {-gap / 1e6:.0f} ms "
                "before the app's end.",
                measured,
                evidence,
                going.disorder(),
            )
        if answer != "yes":
            unclear.append(f"which came first in the {words} pod cannot be told")
        else:
            require_meaning(bundle, going.lives, going.asked, role)
    hurried = departure(bundle, HURRIED)
    app, sidecar = (
        told(bundle, hurried.lives[name], hurried.asked.ns, HURRIED)
        for name in (bundle.index.app, bundle.index.sidecars[0])
    )
    # Measured from the app's own signal: a kubelet may come late to both.
    apart = sidecar.earliest - app.earliest
    measured["hurried_grace_seconds"] = hurried.grace_ns / NS
    measured["hurried_signal_after_seconds"] = round(apart / NS, 3)
    evidence += [hurried.asked_evidence, *app.evidence, *sidecar.evidence]
    over = ended(bundle, hurried.last(bundle.index.app), HURRIED)
    if (
        sidecar.latest - app.earliest < hurried.grace_ns / 2
        and happens_before(over, sidecar).answer != "yes"
    ):
        return _broken(
            f"In the hurried pod the sidecar was told to end {apart / NS:.1f} s after the app, "
            f"which had {measured['hurried_grace_seconds']:.0f} s of grace and was at work.",
            measured,
            evidence,
        )
    if sidecar.earliest - app.latest < hurried.grace_ns / 2:
        unclear.append("how long after the app the hurried pod's sidecar was told cannot be told")
    if unclear:
        raise Unjudgeable("; ".join(unclear), measured=measured, evidence=evidence)
    _require_hurry(hurried)
    return Finding(
        _BEHAVIOUR,
        "holds",
        f"The sidecar was told to end {measured[f'{SUBJECT_ROLE}_gap_ms']} ms after the app's end "
        f"in an evicted pod, {measured[f'{PREEMPTED}_gap_ms']} ms in a preempted one, and when "
        f"{measured['hurried_grace_seconds']:.0f} s of grace were too short, "
        f"{measured['hurried_signal_after_seconds']} s after the app's signal.",
        measured=measured,
        evidence=evidence,
    )


def _require_hurry(hurried: Departure) -> None:
    """The app must have wanted to go on: one that ends by itself would have ended in order."""
    app = hurried.bundle.index.app
    if stamp_events(hurried.bundle, app, "app.last", role=HURRIED):
        raise Unjudgeable("the hurried pod's app had ended by itself: it was in no hurry")
    hurried.exited(app)


def _broken(
    why: str,
    measured: dict[str, Value],
    evidence: list[Evidence],
    hazard: str = "wrong-order",
) -> Finding:
    return Finding(_BEHAVIOUR, "broken", why, hazard=hazard, measured=measured, evidence=evidence)

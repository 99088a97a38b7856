"""What is left when the grace period is used up (stop.short-grace), and how long a deletion takes
(stop.total-time)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import Event, happens_before, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, Role, Stamp
from conformance.judges.deletion import (
    MIN_DRAINED,
    Deletion,
    carries_traffic,
    deletion_of,
    removed,
)
from conformance.judges.lateness import hazard_of
from conformance.judges.ordering import ended, told
from conformance.judges.ruling import broken, holds, lines_of
from conformance.judges.sources import in_watch
from conformance.model import NS, Evidence, Finding, Measured, Value

KILLED = 137  # 128 + SIGKILL
# What the kubelet leaves to a container when nothing is left of the grace period.
LAST_NS = 2 * NS  # pkg/kubelet/kuberuntime/kuberuntime_manager.go, minimumGracePeriodInSeconds
# Signals of one moment: kubelet and containerd send them side by side. In turn they would come
# LAST_NS apart, for the second sidecar wants more than it is given.
TOGETHER_NS = 1_500_000_000
# For a crowded machine, from a SIGKILL that is due to an exit that was noticed; and the kubelet
# counts hooks and waits in whole seconds, rounded down (killContainer), which may add a second.
SLACK_NS = 3 * NS
# The kubelet counts a hook's time in whole seconds, rounded down; seen: 0.04 to 0.24 s early.
EARLY_NS = 1 * NS
# Containers that exit when they are told to need no second; this is for a crowded machine.
PROMPT_NS = 5 * NS
# From the deletion to the kubelet's first act; it is told by a watch, and wakes at once.
BEGUN_WITHIN_NS = 8 * NS
# From the last exit to the object's end: volumes, cgroups and two status updates, in older kubelets
# at the pace of a look each second. A kubelet that has to try a second time needs 10 s and more
# (pkg/kubelet/kubelet.go, backOffPeriod).
REMOVED_WITHIN_NS = 8 * NS
_ERROR = re.compile(r"E\d{4} ")  # how klog begins an error's line
# Up to 1.31 an error's line, when another pod is admitted (pkg/kubelet/cm/cpumanager).
_HOUSEKEEPING = "RemoveStaleState"


def short_grace(bundle: Bundle) -> Finding:
    """To hold: the app was signalled while its hook still ran, all sidecars at the same moment, and
    what was left was killed 2 s later; the same pod with a longer period ends in order and loses
    nothing."""
    short, healed = deletion_of(bundle, SUBJECT_ROLE), deletion_of(bundle, Role.HEALED)
    app = bundle.index.app
    names = [app, *bundle.index.sidecars, Container.SECOND]
    signals = {name: _told(short, name) for name in names}
    slow = (app, Container.SECOND)
    measured: Measured = {
        "grace_seconds": short.grace_ns // NS,
        "signalled_after_seconds": {
            name: round((one.earliest - short.begun()) / NS, 3) for name, one in signals.items()
        },
        "killed_after_signal_seconds": {
            name: round((short.exited(name) - signals[name].earliest) / NS, 3) for name in slow
        },
        "exit_codes": {name: _status(short, name) for name in names},
        **_losses("short", short),
        **_losses("healed", healed),
    }
    evidence = (
        short.asked_evidence,
        *(piece for one in signals.values() for piece in one.evidence),
        *(short.exit_evidence(name) for name in slow),
    )
    wrong = _out_of_step(short, signals, app) or _not_killed(short, signals, slow)
    if wrong:
        hazard, why = wrong
        return broken(hazard, why, measured, evidence)
    first = min(one.earliest for one in signals.values()) - short.begun()
    if first < short.grace_ns - EARLY_NS:
        return broken(
            "early",
            f"The first signal came {first / NS:.1f} s after the kubelet had begun, with a grace "
            f"period of {short.grace_ns // NS} s.",
            measured,
            evidence,
        )
    if stamp_events(bundle, app, Stamp.HOOK_END):
        raise Unjudgeable("the app's hook came to its end: the grace period was not used up")
    _require_healed(healed, measured)
    still = healed.blamable(measured)
    if still:
        return broken(
            hazard_of(still, "lost-request"),
            f"With a longer grace period {len(still)} requests were still lost.",
            measured,
            lines_of(still),
        )
    lost = f", and {measured['short_lost']} requests were lost" if carries_traffic(bundle) else ""
    killed_after = max(short.exited(name) - signals[name].earliest for name in slow) / NS
    return holds(
        f"With {measured['grace_seconds']} s of grace used up, app and sidecars were signalled "
        f"within {_apart(signals) / 1e6:.0f} ms of each other and killed {killed_after:.1f} s later"
        f"{lost}; with {healed.grace_ns // NS} s all ended in order, and nothing was lost.",
        measured,
        evidence,
    )


def _out_of_step(short: Deletion, signals: dict[str, Event], app: str) -> tuple[str, str] | None:
    """Signals that did not come together: the hazard, and why.

    Raises Unjudgeable when they came one by one, and nobody had waited for an exit between them.
    """
    if _apart(signals) <= TOGETHER_NS:
        return None
    first = min(signals, key=lambda name: signals[name].earliest)
    if max(one.earliest for one in signals.values()) < min(map(short.exited, signals)):
        raise Unjudgeable(
            f"the signals came within {_apart(signals) / NS:.1f} s, all before the first exit: "
            "whether in turn, or on a slow machine, cannot be told"
        )
    before = "wrong-order" if first != app else "one-after-another"
    return before, (
        f"{signals[first].name} came {_apart(signals) / NS:.1f} s before the last of the "
        f"{len(signals)} signals."
    )


def _not_killed(
    short: Deletion, signals: dict[str, Event], slow: Sequence[str]
) -> tuple[str, str] | None:
    """Containers that wanted more than 2 s, and were not killed then: the hazard, and why.

    Raises Unjudgeable when one was killed later, and less than a grace period later.
    """
    for name in slow:
        after = short.exited(name) - signals[name].earliest
        if _status(short, name) != KILLED:
            return "not-killed", f"{name} was not killed: it exited with {_status(short, name)}."
        said = f"{name} was killed {after / NS:.1f} s after its signal"
        if after <= LAST_NS / 2 or after >= LAST_NS + short.grace_ns:
            return "late", f"{said}."
        if after > LAST_NS + SLACK_NS:
            raise Unjudgeable(f"too slow to judge: {said}")
    return None


def _status(deletion: Deletion, name: str) -> int | None:
    exited = deletion.last(name).exited
    return exited.status if exited else None


def _told(deletion: Deletion, name: str) -> Event:
    signal = told(deletion.bundle, deletion.lives.get(name) or [], deletion.asked.ns, deletion.role)
    if "signal" not in signal.name:
        raise Unjudgeable(f"{name} of {deletion.role} ended without a signal")
    if signal.latest - signal.earliest > TOGETHER_NS:
        raise Unjudgeable(f"when {name} of {deletion.role} was told to end is not known")
    return signal


def _apart(signals: dict[str, Event]) -> int:
    moments = [one.earliest for one in signals.values()]
    return max(moments) - min(moments)


def _losses(name: str, deletion: Deletion) -> dict[str, Value]:
    return {f"{name}_requests": len(deletion.drained()), f"{name}_lost": len(deletion.lost())}


def _require_healed(healed: Deletion, measured: Measured) -> None:
    """With grace enough: the app by itself, then the second sidecar, then the first."""
    bundle = healed.bundle
    app, sidecar = bundle.index.app, bundle.index.sidecars[0]
    for before, after in ((app, Container.SECOND), (Container.SECOND, sidecar)):
        end = ended(bundle, healed.last(before), healed.role)
        if happens_before(end, _told(healed, after)).answer != "yes":
            raise Unjudgeable(
                f"with a longer grace period {after} was not told to end after {before}'s end",
                measured,
                end.evidence,
            )
    if carries_traffic(bundle) and len(healed.drained()) < MIN_DRAINED:
        raise Unjudgeable("the pod with a longer grace period sent too little to lose", measured)


def total_time(bundle: Bundle) -> Finding:
    """To hold: from the kubelet's first act on, containers that use the grace period up are gone
    2 s after it, containers that exit at once are gone at once, and the pod's object soon after.

    To be broken: a pod was given its grace period twice, or waited for nobody until it was over, or
    the kubelet says what it failed at. All else that is late is a slow machine's, and inconclusive.
    """
    measured: dict[str, Value] = {}
    evidence: list[Evidence] = []
    proven: list[str] = []
    late: list[str] = []
    for role in (SUBJECT_ROLE, Role.HEALED, Role.PROMPT):
        deletion = deletion_of(bundle, role)
        last = max(bundle.pod(role).containers, key=deletion.exited, default="")
        if not last:
            raise Unjudgeable(f"cell.json knows no container of {role}")
        took, gone = deletion.exited(last) - deletion.begun(), removed(bundle, role)
        if deletion.exited(last) < deletion.asked.ns:
            raise Unjudgeable(f"the containers of {role} had ended before it was deleted")
        if role == SUBJECT_ROLE and took < deletion.grace_ns - EARLY_NS:
            raise Unjudgeable(
                f"{last} of {role} ended {took / NS:.1f} s after the kubelet had begun: the grace "
                "period was not used up"
            )
        took_away = gone.ns - deletion.exited(last)
        measured |= {
            f"{role}_begun_seconds": deletion.since(deletion.begun()),
            f"{role}_last_exit_seconds": deletion.since(deletion.exited(last)),
            f"{role}_gone_seconds": deletion.since(gone.ns),
        }
        evidence += [
            deletion.asked_evidence,
            deletion.exit_evidence(last),
            in_watch(gone, f"{role} gone"),
        ]
        grace = f"with a grace period of {deletion.grace_ns // NS} s"
        allowed = PROMPT_NS if role == Role.PROMPT else deletion.grace_ns + LAST_NS + SLACK_NS
        certain = deletion.grace_ns if role == Role.PROMPT else 2 * deletion.grace_ns
        if took > allowed:
            said = f"{last} of {role} ended {took / NS:.1f} s after the kubelet had begun, {grace}"
            (proven if took >= certain else late).append(said)
        if deletion.begun() - deletion.asked.ns > BEGUN_WITHIN_NS:
            late.append(f"the kubelet began with {role} {deletion.since(deletion.begun())} s late")
        if took_away > REMOVED_WITHIN_NS:
            said = f"{role} was removed {took_away / NS:.1f} s after its last exit"
            words = _errors_about(bundle, role, deletion.exited(last))
            evidence += words[:1]
            if words:
                proven.append(f"{said}; the kubelet said: {words[0].text}")
            else:
                late.append(said)
    if proven:
        return broken("late", f"{'; '.join(proven)}.", measured, evidence)
    if late:
        raise Unjudgeable(f"too slow to judge: {'; '.join(late)}", measured, evidence)
    (exit_, gone_), (prompt_exit, prompt_gone) = (
        [measured[f"{role}_{what}_seconds"] for what in ("last_exit", "gone")]
        for role in (SUBJECT_ROLE, Role.PROMPT)
    )
    return holds(
        f"With {deletion_of(bundle, SUBJECT_ROLE).grace_ns // NS} s of grace used up the last "
        f"container ended {exit_} s after the deletion, and the pod was gone after "
        f"{gone_} s; where all exit at once it was {prompt_exit} and {prompt_gone} s.",
        measured,
        evidence,
    )


def _errors_about(bundle: Bundle, role: str, since_ns: int) -> list[Evidence]:
    """The kubelet's errors about a pod from then on, but for what it logs of any pod that ended."""
    uid = bundle.pod(role).uid
    found = []
    for number, text in bundle.lines(File.KUBELET):
        if uid not in text:
            continue
        try:
            line = json.loads(text)
            ns = int(line["__REALTIME_TIMESTAMP"]) * 1000
            message = str(line["MESSAGE"])
        except (ValueError, KeyError, TypeError):
            continue
        if ns >= since_ns and _ERROR.match(message) and _HOUSEKEEPING not in message:
            found.append(Evidence(File.KUBELET, number, ns=ns, text=message[:300]))
    return found

"""start.cni-race and start.cni-validation: a mesh's redirection is a CNI plugin's work, and the
plugin comes late.

The rules belong to a pod's network namespace, and the plugin is asked once, when that is made. So
the pods of before and those of after its arrival are held against each other: they differ in
nothing else. Which chain of plugins made a pod's network is the runtime's own word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from conformance.evidence.attempts import by_outcome
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.commands import column, command
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.packets.tokens import find
from conformance.evidence.timeline import happens_before, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Role, Stamp, Step
from conformance.judges.packets import require_seeing
from conformance.judges.ruling import broken, holds, lines_of
from conformance.judges.sources import at_step, step
from conformance.judges.start.cni_pods import (
    PodLook,
    as_measured,
    began,
    look_at,
    require_made,
    require_redirected,
)
from conformance.judges.start.order import app_begins
from conformance.model import NEVER, NS, Evidence, Finding, Value

NOT_REDIRECTED = 126  # the guard's exit code
MIN_REFUSALS = 2  # one may be chance; from the second on the kubelet backs off
# An app that has not begun so long after its pod was asked for is kept from it: a native one waits
# for its sidecar's start delay of 3 s, and for a probe that is sent once a second.
KEPT_NS = 20 * NS


def race(bundle: Bundle) -> Finding:
    """To hold: the app of a pod that nothing redirects never begins, while nothing keeps that of a
    pod made with the plugin. To be broken: it runs; in clear, or turned away, as was seen."""
    require_made(bundle, SUBJECT_ROLE, plugin=False, guard=False)
    require_made(bundle, Role.LATE, plugin=True, guard=False)
    late = require_redirected(look_at(bundle, Role.LATE, step(bundle, Step.LATE_SEEN).ns))
    if late.leaks:
        raise Unjudgeable(
            "a pod made with the plugin sends in clear, too: the plugin makes no difference",
            evidence=late.leaks,
        )
    chains = [at_step(step(bundle, Step.CHAIN, role)) for role in (SUBJECT_ROLE, Role.LATE)]
    subject = look_at(bundle, SUBJECT_ROLE, step(bundle, Step.SUBJECT_SEEN).ns)
    measured = {**_exposure(bundle, subject), **as_measured(late)}
    if not began(bundle, SUBJECT_ROLE):
        return _held_back(bundle, subject, measured, chains)
    if subject.leaks:
        return broken(
            "plaintext",
            f"{_told(measured)}; a pod made with the plugin is redirected, and of its "
            f"{len(late.sent)} requests none was in clear.",
            measured,
            [*chains, *subject.leaks],
        )
    require_seeing(subject)
    if not subject.sent or subject.answered:
        raise Unjudgeable(
            f"the app ran without the plugin, and {subject.answered} of its {len(subject.sent)} "
            "requests were answered, none in clear: it is not known what became of them",
            measured,
        )
    refused = all(one.outcome == "refused" for one in subject.sent)
    return broken(
        "refused" if refused else "lost-request",
        f"Without the plugin the app ran, and its {len(subject.sent)} requests were "
        f"{'refused' if refused else 'lost'}; none of them was in clear.",
        measured,
        [*chains, *lines_of(subject.sent)],
    )


def validation(bundle: Bundle) -> Finding:
    """To hold: without the plugin the guard ended badly again and again, and the app after it
    never began; a pod with the same guard, made with the plugin, works and sends nothing in clear.
    To be broken: the app began all the same; in clear, where that was seen.

    The plugin's absence is proven by a pod without a guard, which sends in clear.
    """
    require_made(bundle, Role.GUARDED, plugin=False, guard=True)
    begun = began(bundle, Role.GUARDED)
    guarded = look_at(bundle, Role.GUARDED, NEVER, ended=True)
    if guarded.leaks or begun:
        said = f", and {len(guarded.leaks)} pieces of plaintext were seen" if guarded.leaks else ""
        return broken(
            "plaintext" if guarded.leaks else "app-ran",
            f"The guarded app began on a node without the plugin{said}.",
            as_measured(guarded),
            [*guarded.leaks, *begun],
        )
    require_made(bundle, SUBJECT_ROLE, plugin=False, guard=False)
    require_made(bundle, Role.HEALED, plugin=True, guard=True)
    exposed = look_at(bundle, SUBJECT_ROLE, step(bundle, Step.PLUGIN_ASKED).ns)
    if not exposed.leaked:
        raise Unjudgeable(
            "a pod without a guard sent nothing in clear: that nothing redirects is not proven"
        )
    before, after = _refusals(bundle)
    require_seeing(guarded)
    healed = require_redirected(look_at(bundle, Role.HEALED, step(bundle, Step.HEALED_SEEN).ns))
    printed = command(bundle, "get pods")
    waited = step(bundle, Step.DELETE_ASKED, Role.GUARDED).ns - step(bundle, Step.GUARDED_CREATE).ns
    measured: dict[str, Value] = {
        "refused_before_the_plugin": len(before),
        "refused_behind_it": len(after),
        "healed_by_itself": False,
        "guarded_seconds": round(waited / NS, 3),
        "shown": column(printed, Role.GUARDED, "STATUS"),
        "leaked_by_the_unguarded": len(exposed.leaked),
        **as_measured(healed),
    }
    if healed.leaks:
        return broken(
            "plaintext",
            f"The guard let an app through that sends in clear; first: {healed.leaks[0].text}.",
            measured,
            healed.leaks,
        )
    passed = _passed(bundle)
    return holds(
        f"The guard refused {len(before) + len(after)} times in {waited / NS:.1f} s, shown as "
        f"{measured['shown']}, {len(after)} of them with the plugin there, and no app began; made "
        f"anew, the pod was let through, and of {len(healed.sent)} requests none was in clear.",
        measured,
        [*before, *after, printed_in(printed), *passed, *exposed.leaks[:1]],
    )


def _held_back(
    bundle: Bundle, subject: PodLook, measured: Mapping[str, Value], chains: Sequence[Evidence]
) -> Finding:
    """The app of the pod that nothing redirects never began."""
    require_seeing(subject)
    waited = step(bundle, Step.PLUGIN_ASKED).ns - step(bundle, Step.SUBJECT_CREATE).ns
    usual = step(bundle, Step.LATE_READY).ns - step(bundle, Step.LATE_CREATE).ns
    if waited < max(KEPT_NS, 2 * usual) or subject.leaks:
        raise Unjudgeable(
            f"the app had not begun after {waited / NS:.1f} s, and it is not known whether it was "
            "kept from it",
            evidence=subject.leaks,
        )
    return holds(
        f"The app did not begin in {waited / NS:.1f} s without the plugin, and that of a pod made "
        "with it did.",
        {**measured, "kept_seconds": round(waited / NS, 3)},
        chains,
    )


def _exposure(bundle: Bundle, look: PodLook) -> dict[str, Value]:
    """What became of the unguarded pod's requests, before the plugin came and with it there."""
    asked, there = step(bundle, Step.PLUGIN_ASKED).ns, step(bundle, Step.LATE_READY).ns
    leaked = look.leaked
    before = [one for one in look.sent if one.begin_ns < asked]
    after = [one for one in look.sent if one.begin_ns > there]
    stayed = [one for one in leaked if one.begin_ns > there]
    moments = [one.begin_ns for one in leaked] or [0]
    return {
        "requests_without_the_plugin": len(before),
        "leaked_without_the_plugin": sum(one.begin_ns < asked for one in leaked),
        "requests_with_the_plugin_there": len(after),
        "leaked_with_the_plugin_there": len(stayed),
        "answered": look.answered,
        "leaked_seconds": round((max(moments) - min(moments)) / NS, 3),
        "leaked_bytes": look.survey.leaked_bytes,
        "heard_outside_the_mesh": _heard(bundle),
        "shown": _shown(bundle),
        "healed_by_itself": not stayed if after else None,
        "app_waited_for_its_sidecar": _in_order(bundle),
        **{f"requests_{how}": number for how, number in by_outcome(look.sent).items()},
    }


def _told(measured: Mapping[str, Value]) -> str:
    """The exposure in words."""
    healed = measured["healed_by_itself"]
    stays = "it healed by itself" if healed else "it does not heal by itself"
    return (
        f"{measured['leaked_without_the_plugin']} of {measured['requests_without_the_plugin']} "
        "requests left in clear before the plugin came, and "
        f"{measured['leaked_with_the_plugin_there']} of "
        f"{measured['requests_with_the_plugin_there']} when it was there, from a pod that is shown "
        f"as {measured['shown']}: {stays}"
    )


def _heard(bundle: Bundle) -> int:
    """Connections in which a listener outside of the mesh got a request of the unguarded pod."""
    if not bundle.has(stamps_file(Role.WITNESS, "witness")):
        return 0
    return sum(
        any(one.sender == SUBJECT_ROLE and one.kind != "control" for one in find(first))
        for line in bundle.stamps(Role.WITNESS, "witness")
        if line.event == Stamp.WITNESS_CONNECTION
        and (first := bytes.fromhex(line.get("first_bytes") or ""))
    )


def _shown(bundle: Bundle) -> str | None:
    """What kubectl get pods said of the unguarded pod: READY and STATUS."""
    with suppress(Unjudgeable):  # it only says more about a leak
        printed, name = command(bundle, "get pods"), bundle.pod().name
        return f"{column(printed, name, 'READY')} {column(printed, name, 'STATUS')}"
    return None


def _in_order(bundle: Bundle) -> bool | None:
    """Whether the app began after a ready sidecar, and was exposed all the same."""
    ready = stamp_events(bundle, bundle.index.sidecars[0], Stamp.SIDECAR_READY)
    with suppress(Unjudgeable):  # it only says more about a leak
        return bool(ready) and happens_before(ready[0], app_begins(bundle)).answer == "yes"
    return None


def _refusals(bundle: Bundle) -> tuple[list[Evidence], list[Evidence]]:
    """The guard's bad ends: before the plugin was asked for, and when it was there.

    Each must be on record twice: the guard's own word, and its exit code. Raises Unjudgeable.
    """
    asked, there = step(bundle, Step.PLUGIN_ASKED).ns, step(bundle, Step.PLUGIN_ARRIVED).ns
    runs = lives(bundle, bundle.pod(Role.GUARDED))[Container.VALIDATION]
    ended = [life for life in runs if life.exited]
    other = [life for life in ended if life.exited and life.exited.status != NOT_REDIRECTED]
    if other:
        raise Unjudgeable(
            f"the guard did not always end with {NOT_REDIRECTED}",
            evidence=[life.exit_evidence() for life in other],
        )
    words = stamp_events(bundle, Container.VALIDATION, Stamp.VALIDATION_FAILED, role=Role.GUARDED)
    begun = stamp_events(bundle, Container.VALIDATION, Stamp.VALIDATION_STARTED, role=Role.GUARDED)
    before = [life for life in ended if (life.exited_latest or 0) < asked]
    after = [
        life
        for life in ended
        if any(there < one.latest < (life.exited_latest or 0) for one in begun)
    ]
    if len(before) < MIN_REFUSALS or not after or len(words) < len(before) + len(after):
        raise Unjudgeable(
            f"the guard ended badly {len(before)} times without the plugin and {len(after)} times "
            f"with it there, and says so {len(words)} times"
        )
    return [one.exit_evidence() for one in before], [one.exit_evidence() for one in after]


def _passed(bundle: Bundle) -> list[Evidence]:
    """The guard of the pod made anew let it through, and only then the app began."""
    words = stamp_events(bundle, Container.VALIDATION, Stamp.VALIDATION_PASSED, role=Role.HEALED)
    if not words:
        raise Unjudgeable("the guard of the pod made anew does not say that it let it through")
    order = happens_before(words[0], app_begins(bundle, Role.HEALED))
    if order.answer != "yes":
        raise Unjudgeable("whether guard or app came first cannot be told", evidence=order.evidence)
    return list(order.evidence)

"""start.cni-race and start.cni-validation: a mesh's redirection is a CNI plugin's work, and the
plugin comes late.

The rules belong to a pod's network namespace, and the plugin is asked once, when that is made. So
the pods of before and those of behind its arrival are held against each other: they differ in
nothing else. Which chain of plugins made a pod's network is the runtime's own word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.coverage import Blind, Coverage
from conformance.evidence.records import Line
from conformance.evidence.requests import OK, Attempt, attempts, by_outcome
from conformance.evidence.timeline import Event, happens_before, lives, stamp_events
from conformance.evidence.tokens import find
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.commands import column, command
from conformance.judges.commands import evidence as printed_in
from conformance.judges.leaks import Survey, Surveyor
from conformance.judges.premise import require_admitted, require_premise
from conformance.judges.rollout import seen_from
from conformance.judges.start import app_begins
from conformance.judges.view import from_inside, identity
from conformance.model import NS, Evidence, Finding, Value, Window

_RACE, _VALIDATION = "start.cni-race", "start.cni-validation"
PLUGIN = "sidecar-redirect"
VALIDATION = "validation"  # the guard's init container
GUARDED, LATE, HEALED = "guarded", "late", "healed"
NOT_REDIRECTED = 126  # the guard's exit code
MIN_ANSWERED = 10  # requests of a pod that is redirected
MIN_REFUSALS = 2  # one may be chance; from the second on the kubelet backs off
# An app that has not begun so long after its pod was asked for is kept from it: a native one waits
# for its sidecar's start delay of 3 s, and for a probe that is sent once a second.
KEPT_NS = 20 * NS
_FOREVER = 1 << 62
_TOLD = 100


@dataclass(frozen=True)
class _Look:
    """One pod's packets, from its first one to the end of ``life``, and what its app tried."""

    role: str
    file: str
    survey: Survey
    watched: Coverage
    life: Window
    sent: Sequence[Attempt]

    @property
    def answered(self) -> int:
        return sum(one.outcome == OK for one in self.sent)

    @property
    def leaked(self) -> Sequence[Attempt]:
        """The requests of the app whose tokens are in clear on the pod's eth0."""
        return [one for one in self.sent if one.token in self.survey.tokens]

    @property
    def leaks(self) -> list[Evidence]:
        return [sight.evidence(self.file) for sight in self.survey.leaks.told[:_TOLD]]


def race(bundle: Bundle) -> Finding:
    """To hold: the app of a pod that nothing redirects never begins, while nothing keeps that of a
    pod made with the plugin. To be broken: it runs; in clear, or turned away, as was seen."""
    require_premise(bundle)
    _require_made(bundle, SUBJECT_ROLE, plugin=False, guard=False)
    _require_made(bundle, LATE, plugin=True, guard=False)
    late = _require_redirected(_look(bundle, LATE, _step(bundle, "late.seen").ns))
    if late.leaks:
        raise Unjudgeable(
            "a pod made with the plugin sends in clear, too: the plugin makes no difference",
            evidence=late.leaks,
        )
    chains = [_evidence(_step(bundle, "chain", role)) for role in (SUBJECT_ROLE, LATE)]
    subject = _look(bundle, SUBJECT_ROLE, _step(bundle, "subject.seen").ns)
    measured = {**_exposure(bundle, subject), **_as_measured(late)}
    if not _began(bundle, SUBJECT_ROLE):
        return _kept(bundle, subject, measured, chains)
    if subject.leaks:
        return Finding(
            _RACE,
            "broken",
            f"{_told(measured)}; a pod made with the plugin is redirected, and of its "
            f"{len(late.sent)} requests none was in clear.",
            hazard="plaintext",
            measured=measured,
            evidence=[*chains, *subject.leaks],
        )
    _require_seeing(subject, to_the_end=False)
    if not subject.sent or subject.answered:
        raise Unjudgeable(
            f"the app ran without the plugin, and {subject.answered} of its {len(subject.sent)} "
            "requests were answered, none in clear: it is not known what became of them",
            measured=measured,
        )
    refused = all(one.outcome == "refused" for one in subject.sent)
    return Finding(
        _RACE,
        "broken",
        f"Without the plugin the app ran, and its {len(subject.sent)} requests were "
        f"{'refused' if refused else 'lost'}; none of them was in clear.",
        hazard="refused" if refused else "lost-request",
        measured=measured,
        evidence=[*chains, *(one.evidence for one in subject.sent[:_TOLD])],
    )


def validation(bundle: Bundle) -> Finding:
    """To hold: without the plugin the guard ended badly again and again, and the app behind it
    never began; a pod with the same guard, made with the plugin, works and sends nothing in clear.
    To be broken: the app began all the same; in clear, where that was seen.

    The plugin's absence is proven by a pod without a guard, which sends in clear.
    """
    require_premise(bundle)
    _require_made(bundle, GUARDED, plugin=False, guard=True)
    begun = _began(bundle, GUARDED)
    guarded = _look(bundle, GUARDED, _FOREVER)
    if guarded.leaks or begun:
        said = f", and {len(guarded.leaks)} pieces of plaintext were seen" if guarded.leaks else ""
        return Finding(
            _VALIDATION,
            "broken",
            f"The guarded app began on a node without the plugin{said}.",
            hazard="plaintext" if guarded.leaks else "app-ran",
            measured=_as_measured(guarded),
            evidence=[*guarded.leaks, *begun],
        )
    _require_made(bundle, SUBJECT_ROLE, plugin=False, guard=False)
    _require_made(bundle, HEALED, plugin=True, guard=True)
    exposed = _look(bundle, SUBJECT_ROLE, _step(bundle, "plugin.asked").ns)
    if not exposed.leaked:
        raise Unjudgeable(
            "a pod without a guard sent nothing in clear: that nothing redirects is not proven"
        )
    before, after = _refusals(bundle)
    _require_seeing(guarded, to_the_end=True)
    healed = _require_redirected(_look(bundle, HEALED, _step(bundle, "healed.seen").ns))
    printed = command(bundle, "get pods")
    waited = _step(bundle, "delete.asked", GUARDED).ns - _step(bundle, "guarded.create").ns
    measured: dict[str, Value] = {
        "refused_before_the_plugin": len(before),
        "refused_behind_it": len(after),
        "healed_by_itself": False,
        "guarded_seconds": round(waited / NS, 3),
        "shown": column(printed, GUARDED, "STATUS"),
        "leaked_by_the_unguarded": len(exposed.leaked),
        **_as_measured(healed),
    }
    if healed.leaks:
        return Finding(
            _VALIDATION,
            "broken",
            f"The guard let an app through that sends in clear; first: {healed.leaks[0].text}.",
            hazard="plaintext",
            measured=measured,
            evidence=healed.leaks,
        )
    passed = _passed(bundle)
    return Finding(
        _VALIDATION,
        "holds",
        f"The guard refused {len(before) + len(after)} times in {waited / NS:.1f} s, shown as "
        f"{measured['shown']}, {len(after)} of them with the plugin there, and no app began; made "
        f"anew, the pod was let through, and of {len(healed.sent)} requests none was in clear.",
        measured=measured,
        evidence=[*before, *after, printed_in(printed), *passed, *exposed.leaks[:1]],
    )


def _kept(
    bundle: Bundle, subject: _Look, measured: Mapping[str, Value], chains: Sequence[Evidence]
) -> Finding:
    """The app of the pod that nothing redirects never began."""
    _require_seeing(subject, to_the_end=False)
    waited = _step(bundle, "plugin.asked").ns - _step(bundle, "subject.create").ns
    usual = _step(bundle, "late.ready").ns - _step(bundle, "late.create").ns
    if waited < max(KEPT_NS, 2 * usual) or subject.leaks:
        raise Unjudgeable(
            f"the app had not begun after {waited / NS:.1f} s, and it is not known whether it was "
            "kept from it",
            evidence=subject.leaks,
        )
    return Finding(
        _RACE,
        "holds",
        f"The app did not begin in {waited / NS:.1f} s without the plugin, and that of a pod made "
        "with it did.",
        measured={**measured, "kept_seconds": round(waited / NS, 3)},
        evidence=chains,
    )


def _require_made(bundle: Bundle, role: str, *, plugin: bool, guard: bool) -> None:
    """A pod's network was made with the plugin, or without it; its sidecar is what it should be,
    and it has no init container but its guard, which stands first.

    Both the runtime and the plugin itself are asked. Raises Unjudgeable.
    """
    line = _step(bundle, "chain", role)
    if (PLUGIN in line["plugins"]) != plugin:
        raise Unjudgeable(
            f"the network of the pod {role} was made by {', '.join(line['plugins'])}",
            evidence=(_evidence(line),),
        )
    if bool(stamp_events(bundle, "rules", "sidecar.rules", role=role)) != plugin:
        raise Unjudgeable(
            f"the chain of the pod {role} has {'the' if plugin else 'no'} plugin, and rules were "
            f"{'not' if plugin else 'all the same'} set in it"
        )
    if bundle.has(f"capture/{role}.1/net.json"):
        raise Unjudgeable(f"the network of the pod {role} was made twice")
    sidecars = bundle.index.sidecars
    spec = require_admitted(bundle, dict.fromkeys(sidecars, bundle.index.cell.pattern), role)
    inits = [one["name"] for one in spec.get("initContainers") or ()]
    own = [name for name in inits if name not in sidecars]
    if own != ([VALIDATION] if guard else []) or (guard and inits[0] != VALIDATION):
        raise Unjudgeable(f"the init containers of the pod {role} are {', '.join(inits) or 'none'}")


def _look(bundle: Bundle, role: str, until: int) -> _Look:
    """Survey a pod's packets until a moment (ns)."""
    view = bundle if role == SUBJECT_ROLE else seen_from(bundle, role)
    own = identity(view)
    surveyor = Surveyor(view.index, Window(f"{role} pod", 0, until), own.local, own.mac)
    watched = from_inside(view, surveyor.see)
    life = Window(f"{role} pod", min(watched.start, until), until)
    app = bundle.index.app
    sent = (
        [one for one in attempts(bundle, role, app) if one.begin_ns <= until]
        if bundle.has(stamps_file(role, app))
        else []
    )
    return _Look(role, view.capture_file, surveyor.finish(), watched, life, sent)


def _require_seeing(look: _Look, *, to_the_end: bool) -> None:
    """The pod's capture can carry "none in clear". Raises Unjudgeable.

    to_the_end: the pod was deleted, and is looked at to its own end.
    """
    life = Window(look.life.name, look.life.start, look.watched.end) if to_the_end else look.life
    problems = look.watched.problems(life, to_the_end=to_the_end)
    if problems:
        words = [one.why if isinstance(one, Blind) else one for one in problems]
        raise Unjudgeable(
            f"capture of the pod {look.role} blind: {'; '.join(words[:5])}",
            retry=any(isinstance(one, Blind) for one in problems),
        )
    if look.survey.doubts.number:
        first = look.survey.doubts.told[0]
        raise Unjudgeable(
            f"{look.survey.doubts.number} pieces of payload of the pod {look.role} cannot be "
            f"judged: first {first.what}, frame {first.frame}"
        )


def _require_redirected(look: _Look) -> _Look:
    """The pod is at work and talks to the mesh, and what it leaks would be seen: else nothing is
    proven by it. Raises Unjudgeable, but not for what leaks."""
    if look.leaks:
        return look
    _require_seeing(look, to_the_end=False)
    if not look.survey.controls.number:
        raise Unjudgeable(f"judge blind: the deliberate canary of {look.role} was not found")
    if look.answered < MIN_ANSWERED or not look.survey.tls_bytes:
        raise Unjudgeable(
            f"{look.answered} requests of the pod {look.role} were answered, in "
            f"{look.survey.tls_bytes} bytes of TLS: it was not seen at work"
        )
    return look


def _exposure(bundle: Bundle, look: _Look) -> dict[str, Value]:
    """What became of the unguarded pod's requests, before the plugin came and with it there."""
    asked, there = _step(bundle, "plugin.asked").ns, _step(bundle, "late.ready").ns
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
        "healed_by_itself": not stayed if after else None,
        "app_waited_for_its_sidecar": _in_order(bundle),
        **{f"requests_{how}": number for how, number in by_outcome(look.sent).items()},
    }


def _told(measured: Mapping[str, Value]) -> str:
    """The exposure in words."""
    healed = measured["healed_by_itself"]
    stays = "it healed by itself" if healed else "the pod does not heal by itself"
    return (
        f"{measured['leaked_without_the_plugin']} of {measured['requests_without_the_plugin']} "
        "requests left in clear before the plugin came, and "
        f"{measured['leaked_with_the_plugin_there']} of "
        f"{measured['requests_with_the_plugin_there']} when it was there: {stays}"
    )


def _heard(bundle: Bundle) -> int:
    """Connections in which a listener outside of the mesh got a request of the unguarded pod."""
    if not bundle.has(stamps_file("witness", "witness")):
        return 0
    return sum(
        any(one.sender == SUBJECT_ROLE and one.kind != "control" for one in find(first))
        for line in bundle.stamps("witness", "witness")
        if line.event == "witness.connection"
        and (first := bytes.fromhex(line.get("first_bytes") or ""))
    )


def _in_order(bundle: Bundle) -> bool | None:
    """Whether the app began behind a ready sidecar, and was exposed all the same."""
    ready = stamp_events(bundle, bundle.index.sidecars[0], "sidecar.ready")
    with suppress(Unjudgeable):  # it only says more about a leak
        return bool(ready) and happens_before(ready[0], app_begins(bundle)).answer == "yes"
    return None


def _as_measured(look: _Look) -> dict[str, Value]:
    return {
        f"{look.role}_requests": len(look.sent),
        f"{look.role}_answered": look.answered,
        f"{look.role}_leaks": look.survey.leaks.number,
        f"{look.role}_tls_bytes": look.survey.tls_bytes,
        f"{look.role}_rate_bound_95": round(3 / len(look.sent), 6) if look.sent else None,
    }


def _began(bundle: Bundle, role: str) -> list[Evidence]:
    """What says that a pod's app began: its own stamp, or the runtime."""
    app = bundle.index.app
    events: list[Event] = stamp_events(bundle, app, "app.started", role=role)
    events += [
        event for life in lives(bundle, bundle.pod(role))[app] if (event := life.created_event)
    ]
    return [piece for event in events for piece in event.evidence]


def _refusals(bundle: Bundle) -> tuple[list[Evidence], list[Evidence]]:
    """The guard's bad ends: before the plugin was asked for, and when it was there.

    Each must be on record twice: the guard's own word, and its exit code. Raises Unjudgeable.
    """
    asked, there = _step(bundle, "plugin.asked").ns, _step(bundle, "plugin.arrived").ns
    runs = lives(bundle, bundle.pod(GUARDED))[VALIDATION]
    ended = [life for life in runs if life.exited]
    other = [life for life in ended if life.exited and life.exited.status != NOT_REDIRECTED]
    if other:
        raise Unjudgeable(
            f"the guard did not always end with {NOT_REDIRECTED}",
            evidence=[life.exit_evidence() for life in other],
        )
    words = stamp_events(bundle, VALIDATION, "validation.failed", role=GUARDED)
    before = [life for life in ended if (life.exited_latest or 0) < asked]
    after = [life for life in ended if life.created and life.created.ns > there]
    if len(before) < MIN_REFUSALS or not after or len(words) < len(before) + len(after):
        raise Unjudgeable(
            f"the guard ended badly {len(before)} times without the plugin and {len(after)} times "
            f"with it there, and says so {len(words)} times"
        )
    return [one.exit_evidence() for one in before], [one.exit_evidence() for one in after]


def _passed(bundle: Bundle) -> list[Evidence]:
    """The guard of the pod made anew let it through, and only then the app began."""
    words = stamp_events(bundle, VALIDATION, "validation.passed", role=HEALED)
    if not words:
        raise Unjudgeable("the guard of the pod made anew does not say that it let it through")
    order = happens_before(words[0], app_begins(bundle, HEALED))
    if order.answer != "yes":
        raise Unjudgeable("whether guard or app came first cannot be told", evidence=order.evidence)
    return list(order.evidence)


def _step(bundle: Bundle, name: str, pod: str = "") -> Line:
    step = bundle.step(name, pod)
    if step is None:
        raise Unjudgeable(f"steps.jsonl has no {name}{f' of {pod}' if pod else ''}")
    return step


def _evidence(line: Line) -> Evidence:
    return Evidence("steps.jsonl", line=line.number, ns=line.ns, text=line.event)

"""The pods of a CNI plugin that comes late: how each was made, and what its packets show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.evidence.attempts import OK, Attempt, attempts
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.coverage import Blind, Coverage
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside, identity
from conformance.judges.move.rollout import seen_from
from conformance.judges.premise import require_admitted
from conformance.judges.survey import Survey, Surveyor
from conformance.model import Evidence, Value, Window

PLUGIN = "sidecar-redirect"  # fixtures/envoy
VALIDATION = "validation"  # the guard's init container
MIN_ANSWERED = 10  # requests of a pod that is redirected
_TOLD = 100


@dataclass(frozen=True)
class Look:
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


def require_made(bundle: Bundle, role: str, *, plugin: bool, guard: bool) -> None:
    """A pod's network was made with the plugin, or without it; its sidecar is what it should be,
    and it has no init container but its guard, which stands first.

    Both the runtime and the plugin itself are asked. Raises Unjudgeable.
    """
    line = step(bundle, "chain", role)
    if (PLUGIN in line["plugins"]) != plugin:
        raise Unjudgeable(
            f"the network of the pod {role} was made by {', '.join(line['plugins'])}",
            evidence=(step_evidence(line),),
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


def look_at(bundle: Bundle, role: str, until: int) -> Look:
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
    return Look(role, view.capture_file, surveyor.finish(), watched, life, sent)


def require_seeing(look: Look, *, to_the_end: bool) -> None:
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


def require_redirected(look: Look) -> Look:
    """The pod is at work and talks to the mesh, and what it leaks would be seen: else nothing is
    proven by it. Raises Unjudgeable, but not for what leaks."""
    if look.leaks:
        return look
    require_seeing(look, to_the_end=False)
    if not look.survey.controls.number:
        raise Unjudgeable(f"judge blind: the deliberate canary of {look.role} was not found")
    if look.answered < MIN_ANSWERED or not look.survey.tls_bytes:
        raise Unjudgeable(
            f"{look.answered} requests of the pod {look.role} were answered, in "
            f"{look.survey.tls_bytes} bytes of TLS: it was not seen at work"
        )
    return look


def as_measured(look: Look) -> dict[str, Value]:
    """What a look counted, under the pod's role."""
    return {
        f"{look.role}_requests": len(look.sent),
        f"{look.role}_answered": look.answered,
        f"{look.role}_leaks": look.survey.leaks.number,
        f"{look.role}_tls_bytes": look.survey.tls_bytes,
        f"{look.role}_rate_bound_95": round(3 / len(look.sent), 6) if look.sent else None,
    }


def began(bundle: Bundle, role: str) -> list[Evidence]:
    """What says that a pod's app began: its own stamp, or the runtime."""
    app = bundle.index.app
    events: list[Event] = stamp_events(bundle, app, "app.started", role=role)
    events += [
        event for life in lives(bundle, bundle.pod(role))[app] if (event := life.created_event)
    ]
    return [piece for event in events for piece in event.evidence]


def step(bundle: Bundle, name: str, pod: str = "") -> Line:
    """The first step of that name, of a pod where the step says which. Raises Unjudgeable."""
    found = bundle.step(name, pod)
    if found is None:
        raise Unjudgeable(f"steps.jsonl has no {name}{f' of {pod}' if pod else ''}")
    return found


def step_evidence(line: Line) -> Evidence:
    """Where a step stands."""
    return Evidence("steps.jsonl", line=line.number, ns=line.ns, text=line.event)

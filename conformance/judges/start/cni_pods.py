"""The pods of a CNI plugin that comes late: how each was made, and what its packets show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from conformance.evidence.attempts import OK, Attempt
from conformance.evidence.bundle import Bundle, stamps_file
from conformance.evidence.timeline import Event, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Role, Stamp, Step
from conformance.judges import packets
from conformance.judges.lateness import sent_by
from conformance.judges.packets import Look, require_seeing, witnessed
from conformance.judges.premise import require_admitted
from conformance.judges.ruling import rate_bound
from conformance.judges.sources import at_step, step
from conformance.model import Evidence, Value, Window

PLUGIN = "sidecar-redirect"  # fixtures/envoy
MIN_ANSWERED = 10  # requests of a pod that is redirected


@dataclass(frozen=True)
class PodLook(Look):
    """One pod's packets, and what its app tried. heard: what of it a listener outside the mesh got
    in clear, and its own capture does not show."""

    sent: Sequence[Attempt]
    heard: Sequence[Evidence]

    @property
    def leaks(self) -> list[Evidence]:
        """Where something was in clear, by whichever view."""
        return [*super().leaks, *self.heard]

    @property
    def answered(self) -> int:
        return sum(one.outcome == OK for one in self.sent)

    @property
    def leaked(self) -> Sequence[Attempt]:
        """The requests of the app whose tokens are in clear on the pod's eth0."""
        return [one for one in self.sent if one.token in self.survey.tokens]


def look_at(bundle: Bundle, role: str, until: int, *, ended: bool = False) -> PodLook:
    """A pod's packets until a moment (ns), and what its app had tried by then."""
    look = packets.look_at(bundle, role, until, ended=ended)
    sent = [one for one in sent_by(bundle, role) if one.begin_ns <= until]
    heard = witnessed(bundle, Window(role, 0, until), look.survey.tokens, (role,))
    return PodLook(**vars(look), sent=sent, heard=heard)


def require_made(bundle: Bundle, role: str, *, plugin: bool, guard: bool) -> None:
    """A pod's network was made with the plugin, or without it; its sidecar is what it should be,
    and it has no init container but its guard, which stands first.

    Both the runtime and the plugin itself are asked. Raises Unjudgeable.
    """
    line = step(bundle, Step.CHAIN, role)
    others = [one for one in bundle.steps() if one.event == Step.CHAIN and one.get("pod") == role]
    if any(one["plugins"] != line["plugins"] for one in others):
        raise Unjudgeable(
            f"the network of the pod {role} is told of twice, and otherwise",
            evidence=[at_step(one) for one in others],
        )
    if (PLUGIN in line["plugins"]) != plugin:
        raise Unjudgeable(
            f"the network of the pod {role} was made by {', '.join(line['plugins'])}",
            evidence=(at_step(line),),
        )
    if bool(stamp_events(bundle, "rules", Stamp.SIDECAR_RULES, role=role)) != plugin:
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
    if own != ([Container.VALIDATION] if guard else []) or (
        guard and inits[0] != Container.VALIDATION
    ):
        raise Unjudgeable(f"the init containers of the pod {role} are {', '.join(inits) or 'none'}")


def require_redirected(look: PodLook) -> PodLook:
    """The pod is at work and talks to the mesh, and what it leaks would be seen: else nothing is
    proven by it. Raises Unjudgeable, but not for what leaks."""
    if look.leaks:
        return look
    require_seeing(look)
    if not look.saw_control:
        raise Unjudgeable(f"judge blind: the deliberate canary of {look.role} was not found")
    if look.answered < MIN_ANSWERED or not look.survey.tls_bytes:
        raise Unjudgeable(
            f"{look.answered} requests of the pod {look.role} were answered, in "
            f"{look.survey.tls_bytes} bytes of TLS: it was not seen at work"
        )
    return look


def as_measured(look: PodLook) -> dict[str, Value]:
    """What a look counted, under the pod's role."""
    return {
        f"{look.role}_requests": len(look.sent),
        f"{look.role}_answered": look.answered,
        f"{look.role}_leaks": look.survey.leaks.number,
        f"{look.role}_tls_bytes": look.survey.tls_bytes,
        f"{look.role}_rate_bound_95": rate_bound(len(look.sent)),
    }


def began(bundle: Bundle, role: str) -> list[Evidence]:
    """What says that a pod's app began: its own stamp, or the runtime."""
    app = bundle.index.app
    events: list[Event] = stamp_events(bundle, app, Stamp.APP_STARTED, role=role)
    events += [
        event for life in lives(bundle, bundle.pod(role))[app] if (event := life.created_event)
    ]
    return [*(piece for event in events for piece in event.evidence), *_heard_of(bundle, role)]


def _heard_of(bundle: Bundle, role: str) -> list[Evidence]:
    """Where the peer's app served something of a pod's app: so that has begun, whoever says no."""
    file = stamps_file(Role.PEER, Container.APP)
    found = (
        Evidence(file, line.number, ns=line.ns, text=f"served {line['token']}")
        for line in (bundle.stamps(Role.PEER, Container.APP) if bundle.has(file) else ())
        if line.event == Stamp.SERVED and f".{role}." in line["token"]
    )
    return list(islice(found, 1))

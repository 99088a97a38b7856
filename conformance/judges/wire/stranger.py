"""wire.stranger: whom no policy lets in is answered at no moment of a pod's life, nor of the
agent's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.evidence import windows
from conformance.evidence.attempts import OK, Attempt, attempts
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Role, Stamp, Step
from conformance.judges.density import require_density
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import broken, floor, holds, lines_of, premised, require_number
from conformance.judges.sources import at_step, step
from conformance.judges.wire.sent import sent_between
from conformance.model import NS, Evidence, Finding, Measured, Window

# What a dial met (fixtures/app/client.py): an answer, right or not; or an end that only somebody at
# the other side makes, who may be the pod. What a policy drops meets nobody.
_ANSWERS, _MET = (OK, "wrong"), ("refused", "reset", "closed")
DIALER = "dialer"  # the container of the pod of that name
# A dial that began while the policy was still lifted may be answered after it is back.
PATIENCE_NS = 1 * NS


@premised(require_no_sidecar)
def never_answered(bundle: Bundle) -> Finding:
    """To hold: in startup, steady life, while the agent was away and in shutdown the stranger
    dialled, was answered in none of them, and was answered as soon as the policy was lifted; and
    the peer was answered in each after the startup, which can be over in a moment.

    To be broken: the pod served a stranger's request, or the stranger had an answer.
    """
    periods = _windows(bundle)
    found = dials_in(bundle, periods)
    measured: Measured = {
        "answered": len(found.answered),
        "served": len(found.served),
        "dials": {name: len(its) for name, its in found.inside.items()},
        "friends_answered": {one.name: _friends(bundle, one) for one in periods},
    }
    if found.let_in:
        return let_in(found, measured)
    require_dials(found, measured)
    dials = list(attempts(bundle, Role.DIALER, DIALER))
    for one in periods:
        require_density(dials, one, "the stranger", measured)
    for one in periods[1:]:  # a start can be over before anybody was answered
        require_number(_friends(bundle, one), 1, f"answers to friends in {one.name}", measured)
    number = sum(map(len, found.inside.values()))
    return holds(
        f"None of {number} dials of a stranger was answered ("
        + ", ".join(f"{len(its)} in {name}" for name, its in found.inside.items())
        + f"), and {len(found.control)} were while no policy was there; {floor(number)} are.",
        measured,
        [at_step(step(bundle, Step.POLICY_LIFTED)), found.control[0].evidence],
    )


@dataclass(frozen=True)
class Dials:
    """A stranger's dials. inside: by the window in which they began. answered, served: those that
    were, though no policy let them in. control: those that were answered while it was lifted."""

    inside: Mapping[str, Sequence[Attempt]]
    answered: Sequence[Attempt]
    served: Sequence[Line]
    control: Sequence[Attempt]

    @property
    def let_in(self) -> bool:
        """Whether the stranger was let in."""
        return bool(self.answered or self.served)


def dials_in(bundle: Bundle, periods: Sequence[Window]) -> Dials:
    """What became of the stranger's dials in these windows. Raises Unjudgeable where the policy was
    never lifted and put back."""
    dials = list(attempts(bundle, Role.DIALER, DIALER))
    lifted = Window(
        "lifted",
        step(bundle, Step.POLICY_LIFTED).ns,
        step(bundle, Step.POLICY_BACK).ns + PATIENCE_NS,
    )
    inside = {one.name: [d for d in dials if d.begin_ns in one] for one in periods}
    # Who knocked before the policy was lifted may be answered after that: a SYN is sent again.
    answered = [
        one
        for its in inside.values()
        for one in its
        if one.outcome in _ANSWERS and (one.end_ns is None or one.end_ns not in lifted)
    ]
    served = [
        line
        for line in bundle.stamps(SUBJECT_ROLE, Container.APP)
        if line.event == Stamp.SERVED
        and f".{Role.DIALER}." in line["token"]
        and any(line.ns in one for one in periods)
    ]
    control = [one for one in dials if one.begin_ns in lifted and one.outcome == OK]
    return Dials(inside, answered, served, control)


def require_dials(found: Dials, measured: Measured) -> None:
    """The stranger can ask at all, and did in every window. Raises Unjudgeable."""
    require_number(found.control, 1, "dials were answered while the policy was lifted", measured)
    met = [d for its in found.inside.values() for d in its if d.outcome in _MET]
    if met:
        raise Unjudgeable(
            f"{len(met)} dials were turned away by somebody, the first as {met[0].outcome}: where "
            "a policy drops them, nobody does",
            measured,
            lines_of(met),
        )
    for name, its in found.inside.items():
        require_number(its, 3, f"dials in {name}", measured)


def _windows(bundle: Bundle) -> list[Window]:
    """Startup, steady life until the policy is lifted, the agent's absence, and shutdown."""
    ready, lifted = step(bundle, Step.SUBJECT_READY), step(bundle, Step.POLICY_LIFTED)
    killed, settled = step(bundle, Step.AGENT_KILLED), step(bundle, Step.AGENT_SETTLED)
    return [
        windows.startup(bundle),
        Window("steady", ready.ns, lifted.ns),
        Window("agent-killed", killed.ns, settled.ns),
        windows.shutdown(bundle),
    ]


def _friends(bundle: Bundle, window: Window) -> int:
    return sent_between(bundle, Role.PEER, Container.APP, SUBJECT_ROLE, window).answered


def let_in(found: Dials, measured: Measured) -> Finding:
    """Broken, for the stranger was answered or served."""
    answered, served = found.answered, found.served
    first = min([*(one.begin_ns for one in answered), *(one.ns for one in served)])
    evidence = [one.evidence for one in answered]
    file = f"stamps/{SUBJECT_ROLE}.{Container.APP}.jsonl"
    evidence += [Evidence(file, line.number, ns=line.ns, text=line["token"]) for line in served]
    return broken(
        "let-in",
        f"A stranger was answered {len(answered)} times, and served {len(served)} times, although "
        f"no policy lets it in: first at {first / NS:.3f}.",
        measured,
        evidence,
    )

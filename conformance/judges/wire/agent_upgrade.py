"""wire.agent-upgrade: every node's agent is replaced by the next release's, under load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from conformance.evidence.attempts import OK, Attempt, by_outcome
from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Step
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import premised, require_number
from conformance.judges.sources import step
from conformance.judges.wire import stranger
from conformance.judges.wire.between import Least, nothing_in_clear
from conformance.judges.wire.replaced import Replaced, require_replaced
from conformance.judges.wire.sent import talked
from conformance.model import NS, Finding, Measured, Window

LEAST = Least(begun=30, answered=20)
LEAST_AWAY = 5  # requests from node to node that began while a node had no agent


@premised(require_no_sidecar)
def sealed(bundle: Bundle) -> Finding:
    """To hold: on every node the agent was replaced by that of a newer release, requests went from
    node to node before that, meanwhile and after it, nothing of them could be read, and none of a
    stranger's dials was answered. How many requests were lost is measured.

    To be broken: something could be read between the nodes, or the stranger was answered.
    """
    asked, ready = step(bundle, Step.UPGRADE_ASKED), step(bundle, Step.UPGRADED)
    window = Window("agent-upgrade", asked.ns, step(bundle, Step.UPGRADE_SETTLED).ns)
    agents = require_replaced(bundle, window, ready.ns)
    dials = stranger.dials_in(bundle, [window])
    sent = talked(bundle, window).attempts
    figures = _figures(sent, window, agents, dials)
    if dials.let_in:
        return stranger.let_in(dials, figures)
    try:
        found = nothing_in_clear(bundle, window, LEAST)
    except Unjudgeable as why:
        why.measured = {**why.measured, **figures}
        raise
    measured: Measured = {**found.measured, **figures}
    versions = f"{agents[0].former.version} to {agents[0].present.version}"
    where = tuple(one for its in agents for one in its.evidence)
    if found.observed != "holds":
        reason = f"{found.reason[:-1]}. The agents went from {versions} meanwhile."
        evidence = (*found.evidence[:1], *where, *found.evidence[1:])
        return replace(found, reason=reason, measured=measured, evidence=evidence)
    stranger.require_dials(dials, measured)
    for its in agents:
        begun = [one for one in sent if one.begin_ns in its.away]
        what = f"requests went from node to node while {its.node} had no agent"
        require_number(begun, LEAST_AWAY, what, measured)
    return replace(
        found,
        reason=f"{found.reason[:-1]}. The agents went from {versions}: {figures['lost']} requests "
        f"were lost, for at most {figures['unanswered_seconds']} s none was answered, and none of "
        f"{figures['stranger_dials']} dials of a stranger was.",
        measured=measured,
        evidence=(*found.evidence, *where),
    )


def _figures(
    sent: Sequence[Attempt],
    window: Window,
    agents: Sequence[Replaced],
    dials: stranger.Dials,
) -> Measured:
    outcomes = by_outcome(sent)
    answers = sorted(one.end_ns for one in sent if one.outcome == OK and one.end_ns)
    moments = [window.start, *(one for one in answers if one in window), window.end]
    return {
        "from": agents[0].former.version,
        "to": agents[0].present.version,
        "lost": len(sent) - outcomes.get(OK, 0),
        "outcomes": outcomes,
        "unanswered_seconds": round(max(b - a for a, b in pairwise(moments)) / NS, 2),
        "away_seconds": {its.node: round(its.away.seconds, 2) for its in agents},
        "requests_while_away": {
            its.node: sum(one.begin_ns in its.away for one in sent) for its in agents
        },
        "stranger_dials": sum(map(len, dials.inside.values())),
        "stranger_answered": len(dials.answered),
        "stranger_served": len(dials.served),
    }

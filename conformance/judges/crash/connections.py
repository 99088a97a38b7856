"""crash.connections: what a crash of the sidecar does to connections that were open through it."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence.attempts import OK
from conformance.evidence.bundle import Bundle
from conformance.evidence.crashes import only_crash
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Kind, Step
from conformance.judges import persistent
from conformance.judges.crash.window import require_killed
from conformance.judges.persistent import KINDS, MIN_USES, ROLES, Persistent
from conformance.judges.ruling import broken, holds, lines_of
from conformance.model import NS, Finding, Measured, Window

# Raw TCP goes end to end: what a proxy does for HTTP (answer for the other side, and keep the
# connection) it cannot do there.
# Connections are tried anew five times a second. One that is not there by then does not come.
NEVER_NS = 30 * NS


def dropped(bundle: Bundle) -> Finding:
    """To hold: connections of every kind are in use again after the sidecar's return, and raw ones
    of both pods, which went through it, ended when it did.

    To be broken: a kind is not in use again, or what was sent while no sidecar was there was
    answered.
    """
    one = only_crash(bundle)
    require_killed([one])
    over = bundle.step(Step.END)
    assert over is not None
    connections = persistent.connections(bundle)
    before = persistent.in_use_at(connections, one.asked.ns, "when the sidecar was killed")
    # Not streams: what the peer's own proxy says in the sidecar's place comes in pieces, too.
    past = [
        each
        for each in persistent.sent(bundle, one.gone)
        if each.kind != Kind.LONG and each.outcome == OK and (each.end_ns or 0) in one.gone
    ]
    if past:
        return broken(
            "bypassed",
            f"{len(past)} messages were answered while there was no sidecar.",
            evidence=lines_of(past),
        )
    after = Window("after the return", one.window.end, over.ns)
    again = [
        each for each in connections if each.open_at(over.ns) and each.used_in(after) >= MIN_USES
    ]
    missing = _missing(again)
    ended = [each for each in before if each.ended_in(one.window)]
    lost = persistent.lost(persistent.sent(bundle, one.window), one.window)
    measured: Measured = {
        "connections": len(before),
        "connections_dropped": len(ended),
        "connections_dropped_how": persistent.by_end(ended),
        "failed": len(lost),
        "away_seconds": round(one.away.seconds, 3),
        "in_use_again_after_seconds": _again_after(again, one.died.latest, after),
    }
    if missing and after.end - after.start >= NEVER_NS:
        return broken(
            "not-recovered",
            f"Not in use again {after.seconds:.1f} s after the sidecar's return: "
            f"{', '.join(missing)}.",
            measured,
            one.died.evidence,
        )
    if missing:
        raise Unjudgeable(
            f"not in use again {after.seconds:.1f} s after the sidecar's return: "
            f"{', '.join(missing)}",
            measured,
        )
    for role in ROLES:
        if not any(each.role == role and each.kind == Kind.RAW for each in ended):
            raise Unjudgeable(
                f"the {Kind.RAW} connection of {role} did not end with the sidecar: it may not "
                "have gone through it",
                measured,
            )
    return holds(
        f"{len(ended)} of {len(before)} connections were dropped when the sidecar was killed, and "
        f"{len(lost)} uses and new connections failed; every kind was in use again "
        f"{measured['in_use_again_after_seconds']} s after its end.",
        measured,
        [*one.died.evidence, *(each.evidence for each in ended)],
    )


def _missing(found: Sequence[Persistent]) -> list[str]:
    there = {(each.role, each.kind) for each in found}
    return [f"{kind} of {role}" for role in ROLES for kind in KINDS if (role, kind) not in there]


def _again_after(again: Sequence[Persistent], died: int, after: Window) -> float | None:
    """When the last kind was of use again, in seconds after the sidecar's end."""
    firsts: dict[tuple[str, str], int] = {}
    for one in again:
        first = min(use for use in one.uses if use > died)
        firsts[one.role, one.kind] = min(first, firsts.get((one.role, one.kind), after.end))
    return round((max(firsts.values()) - died) / NS, 3) if firsts else None

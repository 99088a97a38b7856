"""leak.ephemeral: an ephemeral container talks on after the end of the pod's proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conformance.evidence import windows
from conformance.evidence.attempts import OK, Attempt, attempts, by_outcome, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.timeline import Life, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import require_watched
from conformance.evidence.vocabulary import Container, Kind, Role, Stamp
from conformance.judges.density import require_density
from conformance.judges.ordering import ENDS_WITHIN_NS
from conformance.judges.packets import require_no_doubts
from conformance.judges.plaintext import in_clear, judge_window, look
from conformance.judges.ruling import lines_of, require_number
from conformance.judges.sources import versions
from conformance.model import NEVER, NS, Finding, Measured, Value, Window

# It sends ten a second, and stays for seconds after the proxy's end
# (observe/scenarios/leak/ephemeral.py).
MIN_CARRIED = 5
MIN_AFTER = 10


@dataclass(frozen=True)
class _Ends:
    """Who ended when: the latest that it can have been, but for told (ns)."""

    visitor: Life
    proxy: Life
    app: Life
    told: int | None  # the ephemeral container's SIGTERM, by its own stamp
    proxy_told: int | None

    @property
    def alone_ns(self) -> int:
        """From here on nobody else of the pod is there."""
        return max(_ended(self.proxy), _ended(self.app))


def outlives(bundle: Bundle) -> Finding:
    """To hold: what the ephemeral container sends once app and proxy have ended is not in clear.
    To be broken: it is (plaintext), or it was already while the proxy was there (bypassed)."""
    ends = _ends(bundle)
    life = windows.shutdown(bundle)
    visits = [
        one for one in attempts(bundle, SUBJECT_ROLE, Container.VISITOR) if one.kind == Kind.VISIT
    ]
    carried = [one for one in visits if one.end_ns is not None and one.end_ns < life.start]
    before = _before(bundle, carried, life.start)
    if before.observed == "broken":
        return replace(
            before,
            hazard="bypassed",
            reason=f"While the proxy was there, and an ephemeral container too: {before.reason}",
        )
    _require_carried(bundle, carried)
    between = _between(bundle, ends, life)
    if between:
        return between
    alone = Window("alone", ends.alone_ns, life.end)
    after = [one for one in visits if one.begin_ns in alone]
    measured = _measured(ends, carried, after, life)
    require_number(
        after,
        MIN_AFTER,
        "requests of the ephemeral container after the end of app and proxy",
        measured,
    )
    looked = replace(alone, end=NEVER)
    clear = judge_window(bundle, alone, looked, to_the_end=True, sender=Container.VISITOR)
    measured = {**clear.measured, **measured}
    if clear.observed != "broken":
        _require_watched_between(bundle, ends, life, visits, measured)
        until = Window("alone", alone.start, max(alone.start, _ended(ends.visitor)))
        require_density(after, until, f"the ephemeral container ({ends.visitor.name})", measured)
    said = (
        f"An ephemeral container was told to end {_seconds(measured, 'told')} s after the deletion "
        f"(the proxy: {_seconds(measured, 'proxy_told')}), and ended "
        f"{_seconds(measured, 'ended')} s after it, which is "
        f"{measured['outlived_proxy_seconds']} s after the proxy's end; of {len(after)} requests "
        f"that it sent when app and proxy had ended, {_counts(after)}."
    )
    evidence = [ends.visitor.exit_evidence(), ends.proxy.exit_evidence(), *clear.evidence]
    if clear.observed != "broken":
        refused = lines_of(after)
        reason = f"{said} {clear.reason}"
        return replace(clear, reason=reason, measured=measured, evidence=[*evidence, *refused])
    owners = clear.measured["leaked_requests_by"]
    assert isinstance(owners, Mapping)
    return replace(
        clear,
        hazard=clear.hazard if owners.get(Container.VISITOR) else "unowned",
        reason=f"{said} {clear.reason}",
        measured=measured,
        evidence=evidence,
    )


def _ends(bundle: Bundle) -> _Ends:
    """Raises Unjudgeable when one of them did not end, or the container is no ephemeral one."""
    if not any(_ephemeral(line["object"]["spec"]) for line in versions(bundle)):
        raise Unjudgeable(f"no ephemeral container {Container.VISITOR} was ever in the pod")
    sidecar = bundle.index.sidecars[0]
    its = lives(bundle)

    def last(name: str) -> Life:
        found = its[name][-1] if its.get(name) else None
        if found is None or found.exited_latest is None:
            raise Unjudgeable(f"no exit of {name} is in runtime.log")
        return found

    told = stamp_events(bundle, Container.VISITOR, Stamp.APP_SIGTERM)
    proxy_told = stamp_events(bundle, sidecar, Stamp.SIDECAR_SIGTERM)
    return _Ends(
        last(Container.VISITOR),
        last(sidecar),
        last(bundle.index.app),
        told[0].earliest if told else None,
        proxy_told[-1].earliest if proxy_told else None,
    )


def _ephemeral(spec: Mapping[str, Any]) -> bool:
    return any(one["name"] == Container.VISITOR for one in spec.get("ephemeralContainers") or ())


def _before(bundle: Bundle, carried: Sequence[Attempt], deleted_ns: int) -> Finding:
    """Whether it was in clear while the proxy was there."""
    if not carried:
        raise Unjudgeable("the ephemeral container sent nothing before the deletion")
    steady = Window("steady", min(one.begin_ns for one in carried), deleted_ns)
    return judge_window(bundle, steady, steady, to_the_end=False, sender=Container.VISITOR)


def _between(bundle: Bundle, ends: _Ends, life: Window) -> Finding | None:
    """Whether anything was in clear from the deletion on until app and proxy had ended: past the
    proxy while that was there, and after its end beside an app that was still at work."""
    gone = _ended(ends.proxy) - ENDS_WITHIN_NS
    for window, hazard, while_ in (
        (Window("ending", life.start, gone), "bypassed", "While the proxy was there"),
        (Window("half alone", gone, ends.alone_ns), "plaintext", "After the proxy's end"),
    ):
        if window.start >= window.end:
            continue
        found = look(bundle, window, window, Container.VISITOR)
        # What the app leaks meanwhile has a promise of its own.
        of_app = sum(one.owner == Role.SUBJECT for one in found.inside.leaks.told)
        if len(found.leaks) > of_app:
            clear = in_clear(found, window)
            return replace(clear, hazard=hazard, reason=f"{while_}: {clear.reason}")
    return None


def _require_watched_between(
    bundle: Bundle, ends: _Ends, life: Window, visits: Sequence[Attempt], measured: Measured
) -> None:
    """From the deletion on until app and proxy had ended it tried all the time, and was watched:
    else it shows nothing that nothing was in clear there. Raises Unjudgeable."""
    ending = Window("ending", life.start, ends.alone_ns)
    if ending.start >= ending.end:
        return
    seen = look(bundle, ending, ending, Container.VISITOR)
    for lack in seen.lacks:
        raise lack
    assert seen.coverage is not None
    require_watched(seen.coverage, ending, to_the_end=False, measured=measured)
    require_no_doubts(seen.inside, bundle.capture_file, ending.name, measured)
    require_density(visits, ending, f"the ephemeral container ({ends.visitor.name})", measured)


def _require_carried(bundle: Bundle, carried: Iterable[Attempt]) -> None:
    """The mesh carried what it sent, as long as there was a proxy: else its end changed nothing."""
    answered = served(bundle, Role.PEER, Container.APP, (Kind.VISIT,))
    good = [one for one in carried if one.outcome == OK and one.token in answered]
    require_number(
        good,
        MIN_CARRIED,
        "requests of the container were answered before the deletion by a peer that takes "
        "mutual TLS only",
    )


def _measured(
    ends: _Ends,
    carried: Sequence[Attempt],
    after: Sequence[Attempt],
    life: Window,
) -> Measured:
    gone = _ended(ends.visitor)
    values: dict[str, int | None] = {
        "told_after_deletion_seconds": ends.told and ends.told - life.start,
        "proxy_told_after_deletion_seconds": ends.proxy_told and ends.proxy_told - life.start,
        "proxy_ended_after_deletion_seconds": _ended(ends.proxy) - life.start,
        "ended_after_deletion_seconds": gone - life.start,
        "outlived_proxy_seconds": gone - _ended(ends.proxy),
        "outlived_app_seconds": gone - _ended(ends.app),
        "network_namespace_ended_after_seconds": life.end - gone,
    }
    before: dict[str, Value] = dict(by_outcome(carried))
    then: dict[str, Value] = dict(by_outcome(after))
    return {
        **{name: None if ns is None else round(ns / NS, 3) for name, ns in values.items()},
        "waited_for_by_the_proxy": ends.proxy_told is not None and ends.proxy_told >= gone,
        "visits_before_deletion": before,
        "visits_after_proxy_and_app": then,
    }


def _seconds(measured: Measured, what: str) -> str:
    found = measured[f"{what}_after_deletion_seconds"]
    return "?" if found is None else str(found)


def _ended(life: Life) -> int:
    assert life.exited_latest is not None
    return life.exited_latest


def _counts(found: Sequence[Attempt]) -> str:
    return ", ".join(f"{number} ended {how}" for how, number in by_outcome(found).items())

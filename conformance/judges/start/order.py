"""start.order and start.first-request: what the app finds when it begins."""

from __future__ import annotations

from conformance.evidence.attempts import OK, UNENDED, Attempt, attempts, served
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.packets.coverage import Coverage
from conformance.evidence.packets.probes import opening
from conformance.evidence.packets.tokens import parse
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, happens_before, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, Kind, Role, Stamp
from conformance.judges.lateness import TIMED_OUT, blamable, by_both
from conformance.judges.ruling import broken, holds, measures
from conformance.model import NEVER, Evidence, Finding, Measured, Window

# The first request is the app's first act: Python needs some 10 ms from its first instruction to
# it, on a loaded machine some 100. What comes later than this says nothing about the start, which
# a sidecar with a start delay of seconds must not have finished by then.
FIRST_ACT_NS = 1_000_000_000
# The runtime tells of a start when the process has been let go: its program begins right then.
BEGUN_WITHIN_NS = 100_000_000
BEHIND = "lost-behind-a-ready-sidecar"
"""The hazard: what is lost then is not lost to the start, and reproduces nothing of it."""
_HAZARDS = {"refused": "refused", "reset": "reset", "timeout": TIMED_OUT}


def order(bundle: Bundle) -> Finding:
    """The app's first instruction comes after the sidecar's startup probe passed.

    To hold: the 200 that opened the gate is in the capture before the app's task was even created.
    To be broken: the app's own first stamp comes before that, or before Envoy was started at all.
    Measured alone: it was the first 200, and it came while the app began, as the order's own
    sources tell it. No promise is kept or broken by that.
    """
    app = app_begins(bundle)
    probe, watched = opening(bundle, app.earliest)
    if probe is not None:
        held = happens_before(probe, app)
        if held.answer == "yes":
            return holds(
                f"The app was created {held.gap_ns / 1e6:.1f} ms after the startup probe's "
                f"{'success' if bundle.index.gate == 'exec' else '200'}.",
                {"smallest_ordered_gap_ms": held.gap_ns / 1e6, "sources": _SOURCES},
                held.evidence,
            )
    not_before = _not_ready_before(bundle, probe, watched, app)
    if not_before is not None:
        early = happens_before(app, not_before)
        if early.answer == "yes":
            return broken(
                "wrong-order",
                f"The app's first instruction came {early.gap_ns / 1e6:.1f} ms before "
                f"{not_before.name}.",
                {"app_ahead_ms": early.gap_ns / 1e6, "sources": _SOURCES},
                early.evidence,
            )
    if probe is None:
        raise Unjudgeable("no successful startup probe is in the capture", evidence=app.evidence)
    gap = happens_before(probe, app)
    if not_before is probe:
        return measures(
            "The startup probe's success and the app's begin cannot be told apart: they overlap by "
            f"{gap.gap_ns / 1e6:.1f} ms.",
            {"overlap_ms": gap.gap_ns / 1e6, "sources": _SOURCES},
            gap.evidence,
        )
    raise Unjudgeable(
        "the probe's 200 and the app's begin cannot be told apart: what the capture missed before "
        "cannot be excluded",
        evidence=gap.evidence,
    )


_SOURCES = "capture (probe), containerd /tasks/create (app, earliest), app.started (app, latest)"


def app_begins(bundle: Bundle, role: str = SUBJECT_ROLE) -> Event:
    """The app's first instruction, of its first run if it had several."""
    name = bundle.index.app
    created = [
        event for life in lives(bundle, bundle.pod(role))[name] if (event := life.created_event)
    ]
    if not bundle.index.stamped:
        return _by_the_runtime(bundle, role)
    started = stamp_events(bundle, name, Stamp.APP_STARTED, role=role)
    if not created:
        raise Unjudgeable(f"no /tasks/create of {name} is in runtime.log")
    if not started:
        raise Unjudgeable("the app never started", evidence=(Evidence(stamps_file(role, name)),))
    if len(started) > len(created):
        raise Unjudgeable(
            f"the app started {len(started)} times, and runtime.log knows {len(created)} of them"
        )
    first = min(started, key=lambda one: one.latest)
    create = min(created, key=lambda one: one.earliest)
    return Event(
        "the app's first instruction",
        min(create.earliest, first.earliest),
        first.latest,
        create.evidence + first.evidence,
    )


def _by_the_runtime(bundle: Bundle, role: str) -> Event:
    """The first instruction of an app that writes nothing down: between the creation of its first
    task, and a little after its start was told of."""
    name = bundle.index.app
    its = [one for one in lives(bundle, bundle.pod(role))[name] if one.created and one.started]
    if not its:
        raise Unjudgeable(f"no /tasks/create and /tasks/start of {name} are in runtime.log")
    life = min(its, key=lambda one: one.created.ns if one.created else NEVER)
    assert life.created_event is not None and life.started is not None
    told = Evidence(File.RUNTIME, life.started.number, ns=life.started.ns, text=f"{name} started")
    return Event(
        "the app's first instruction",
        life.created_event.earliest,
        life.started.ns + BEGUN_WITHIN_NS,
        (*life.created_event.evidence, told),
    )


def _not_ready_before(
    bundle: Bundle, probe: Event | None, watched: Coverage, app: Event
) -> Event | None:
    """Proof that the probe had not passed before some moment; None when there is none.

    The first 200 in the capture is proof only if the capture watched all the time before it; that
    the sidecar's program had not been started is proof by itself.
    """
    found = [
        Event(f"{container} was started", one.earliest, one.latest, one.evidence)
        for container in bundle.index.sidecars
        for one in stamp_events(bundle, container, Stamp.SIDECAR_EXEC)[:1]
    ]
    if probe is not None:
        before = Window("before the probe", _sidecar_created_ns(bundle), probe.earliest)
        if app.earliest < probe.earliest and not watched.problems(before, to_the_end=False):
            found.append(probe)
    return max(found, key=lambda one: one.earliest, default=None)


def _sidecar_created_ns(bundle: Bundle) -> int:
    """Before this no sidecar can have answered a probe (ns); 0 when it is not known."""
    found = lives(bundle)
    created = [
        event.earliest
        for name in bundle.index.sidecars
        for life in found[name]
        if (event := life.created_event)
    ]
    return min(created, default=0)


def first_request(bundle: Bundle) -> Finding:
    """A request that the app sends as its very first act succeeds."""
    first = _first(bundle)
    late = _late_ns(bundle, first)
    measured: Measured = {
        "outcome": first.outcome,
        "via": first.via,
        "after_first_instruction_ms": late / 1e6,
        "took_ms": (first.end_ns - first.begin_ns) / 1e6 if first.end_ns else None,
        "requests": 1,
    }
    if first.outcome == OK and not first.bypassed:
        answered = served(bundle, Role.PEER, Container.APP, (Kind.FIRST,)).get(first.token)
        if answered is None:
            raise Unjudgeable(
                f"{first.token} was answered, and the peer never served it",
                measured,
                (first.evidence,),
            )
        return holds(
            f"The app's first request, {late / 1e6:.1f} ms after its first instruction, was "
            "answered rightly.",
            measured,
            (first.evidence, _served(answered.begin)),
        )
    if first.outcome == UNENDED and not stamp_events(bundle, bundle.index.app, Stamp.APP_LAST):
        raise Unjudgeable(
            f"{first.token} was begun, and neither its end nor the app's is recorded",
            measured,
            (first.evidence,),
        )
    if first.outcome != OK:
        blamable([first], by_both(bundle), measured)
    hazard = "bypassed" if first.outcome == OK else _HAZARDS.get(first.outcome, "lost-request")
    if hazard not in ("bypassed", TIMED_OUT):
        ready, _ = opening(bundle, first.begin_ns)
        if ready is not None and first.begin_ns > ready.latest:
            hazard = BEHIND
    said = "answered past the sidecar" if first.outcome == OK else first.outcome
    return broken(
        hazard,
        f"The app's first request, {late / 1e6:.1f} ms after its first instruction, was {said}"
        f"{f' ({first.detail})' if first.detail else ''}.",
        measured,
        (first.evidence,),
    )


def _served(line: Line) -> Evidence:
    text = f"the peer served {line['token']}"
    return Evidence(stamps_file(Role.PEER, Container.APP), line.number, ns=line.ns, text=text)


def _first(bundle: Bundle) -> Attempt:
    """The first request of the app's first run."""
    found = [
        one for one in attempts(bundle, SUBJECT_ROLE, bundle.index.app) if one.kind == Kind.FIRST
    ]
    if not found:
        raise Unjudgeable("the app never sent its first request")
    first = min(found, key=lambda one: one.begin_ns)
    token = parse(first.token)
    if token is None or token.seq:
        raise Unjudgeable(
            f"{first.token} is not the app's first act: what came before it is not recorded",
            evidence=(first.evidence,),
        )
    return first


def _late_ns(bundle: Bundle, first: Attempt) -> int:
    """How long after the app's first instruction its first request began (ns)."""
    started = stamp_events(bundle, bundle.index.app, Stamp.APP_STARTED)
    if not started:
        raise Unjudgeable("the app never said that it started")
    late = first.begin_ns - min(one.latest for one in started)
    if not 0 <= late <= FIRST_ACT_NS:
        raise Unjudgeable(
            f"the first request began {late / 1e6:.0f} ms after the app's first instruction: it "
            "was not its first act",
            evidence=(first.evidence,),
        )
    return late

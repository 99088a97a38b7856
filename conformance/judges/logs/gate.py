"""logs.health-gate and logs.health-default: what a log shipper's health endpoint is worth."""

from __future__ import annotations

from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.log_lines import SINK, received, size, written
from conformance.evidence.packets.probes import answers as answers_to
from conformance.evidence.packets.probes import opening
from conformance.evidence.parse import Line
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.evidence.windows import container_statuses
from conformance.judges.ruling import broken, holds, require_number
from conformance.judges.sources import at_step, events, in_watch, times
from conformance.model import NS, Evidence, Finding, Measured

# Probes come every second: so many must have failed on the endpoint as it comes.
MIN_FAILED = 3


def waits(bundle: Bundle) -> Finding:
    """To hold: the app was created only when the sink listened, though its shipper had run for long
    before. To be broken: the app's own first stamp comes before (gate-open)."""
    listening = next(
        (line for line in bundle.stamps(*SINK) if line.event == Stamp.SINK_LISTENING), None
    )
    if listening is None:
        raise Unjudgeable("the sink never listened")
    started = _first_stamp(bundle)
    its = lives(bundle)[bundle.index.app]
    created = its[0].created_event if its else None
    if started is None or created is None:
        raise Unjudgeable("the app never started")
    probe, _ = opening(bundle, created.earliest)
    if probe is None:
        raise Unjudgeable("no successful startup probe is in the capture")
    wrote, got = written(bundle, SUBJECT_ROLE, bundle.index.app), received(bundle, SUBJECT_ROLE)
    ahead, lost = (listening.ns - started.ns) / NS, size(got.missing(0, wrote.count))
    measured: Measured = {
        "app_before_sink_seconds": round(ahead, 3),
        "written_while_the_sink_was_down": wrote.before(listening.ns),
        "written": wrote.count,
        "lost": lost,
    }
    evidence = (
        *probe.evidence,
        Evidence(stamps_file(SUBJECT_ROLE, bundle.index.app), started.number, ns=started.ns),
        Evidence(stamps_file(*SINK), listening.number, ns=listening.ns, text="the sink listens"),
    )
    if started.ns < listening.ns:
        if probe.latest >= created.earliest:
            raise Unjudgeable("the app did not wait for the probe: no gate was tried")
        return broken(
            "gate-open",
            f"The shipper called itself healthy, and the app began {ahead:.1f} s before the sink "
            f"listened; {lost} of {wrote.count} lines were lost in the end.",
            measured,
            evidence,
        )
    if created.earliest <= listening.ns:
        raise Unjudgeable("the app began as the sink did", measured)
    if bundle.step(Step.SUBJECT_BOUND) is None:
        raise Unjudgeable("nobody waited for the app before the sink listened", measured)
    if not any(one.latest < listening.ns for one in answers_to(bundle)):
        raise Unjudgeable("the shipper answered no probe before: it may not have been up yet")
    return holds(
        f"The app began {(created.earliest - listening.ns) / NS:.1f} s after the sink listened.",
        measured,
        evidence,
    )


def answers(bundle: Bundle) -> Finding:
    """To hold: the app beside the shipper with its health endpoint as it comes was started. To be
    broken: it was not, while that shipper ran and the kubelet's probes of it failed, and its twin
    with an endpoint that can be reached did start (never-answered)."""
    twin = _first_stamp(bundle)
    if twin is None:
        raise Unjudgeable("the twin's app did not start either: the endpoint is not to blame")
    runs, bound = bundle.step(f"{Role.DEAF}.sidecar-runs"), bundle.step(f"{Role.DEAF}.bound")
    pod = bundle.index.pods.get(Role.DEAF)
    if runs is None or pod is None:
        raise Unjudgeable("there was no pod with the endpoint as it comes")
    if bound is None:
        if bundle.step(f"{Role.DEAF}.app-runs") is None:
            raise Unjudgeable("nobody waited for the app")
        stamp = _first_stamp(bundle, Role.DEAF)
        if stamp is None:
            raise Unjudgeable("the app was seen to run, and wrote nothing down")
        return holds(
            f"The app began {(stamp.ns - runs.ns) / NS:.1f} s after its shipper was seen to run.",
            evidence=(
                Evidence(stamps_file(Role.DEAF, bundle.index.app), stamp.number, ns=stamp.ns),
            ),
        )
    shipper = bundle.index.sidecars[-1]
    seen = _status(bundle, pod.uid, shipper, bound.ns)
    told = events(bundle, "Unhealthy", "Startup probe", pod.uid)
    failed = [one for one in told if one.ns <= bound.ns]
    if seen is None or bundle.has(stamps_file(Role.DEAF, bundle.index.app)):
        raise Unjudgeable("whether its app started is not clear")
    if "running" not in seen["state"] or seen["restartCount"]:
        raise Unjudgeable("its shipper did not run all the time")
    number = sum(map(times, failed[-1:]))
    require_number(number, MIN_FAILED, "failed probes are recorded")
    said = str(failed[-1]["object"].get("message", "")).strip()
    waited = (bound.ns - runs.ns) / NS
    return broken(
        "never-answered",
        f"The app was not started in {waited:.0f} s beside a running shipper; {number} probes "
        f"failed: {said}.",
        {"failed_probes": number, "waited_seconds": round(waited, 3), "said": said},
        (
            in_watch(failed[-1], said),
            at_step(bound, "the app does not run"),
        ),
    )


def _first_stamp(bundle: Bundle, role: str = SUBJECT_ROLE) -> Line | None:
    if not bundle.has(stamps_file(role, bundle.index.app)):
        return None
    return next(iter(bundle.stamps(role, bundle.index.app)), None)


def _status(bundle: Bundle, uid: str, container: str, ns: int) -> dict[str, Any] | None:
    """A container's status as last received before a moment."""
    found = None
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["uid"] == uid and line.ns <= ns:
            for one in container_statuses(line["object"].get("status", {})):
                if one["name"] == container:
                    found = dict(one)
    return found

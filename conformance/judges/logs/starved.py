"""logs.starved: what becomes of the last lines when the app uses up the grace period."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.log_lines import Received, Run, Written, received, size, written
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Role, Step
from conformance.judges.logs.lines import look, ran_until_told, shipper_of, signal_to_shipper
from conformance.judges.premise import pattern_of
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import versions
from conformance.model import NS, Finding, Measured

_KILLED = 137
# What the kubelet gives at least (minimumGracePeriodInSeconds): killed long before, and it was
# somebody else.
LEAST_SECONDS = 2
# The period runs from the deletion on, and the signal comes some time after that.
EARLY_SECONDS = 1
_GRACE = "terminationGracePeriodSeconds", 30  # and what the API server sets where none is asked for


def delivers(bundle: Bundle) -> Finding:
    """To hold: every line is at the sink. To be broken: the shipper was killed over its last lines,
    and the patient pod, which had the time, lost none (starved); or lines at the end were lost for
    another reason (lost-last); or other lines (lost-lines).

    The app was killed too: what it wrote and had not yet recorded, a batch at most, is not asked
    for.
    """
    gone = bundle.step(Step.PATIENT_GONE)
    if gone is None:
        raise Unjudgeable("the scenario did not come to the end of the patient pod")
    wrote, got = look(bundle, end=gone.ns)
    apps = lives(bundle)[bundle.index.app]
    app = apps[-1] if apps else None
    shipper, told = shipper_of(bundle)[-1], signal_to_shipper(bundle)
    if app is None or app.exited is None or shipper.exited is None:
        raise Unjudgeable("the end of the app or of the shipper is not recorded")
    if told is None or told.ns is None:
        raise Unjudgeable("no signal to the shipper is recorded")
    if app.exited.status != _KILLED or wrote.sigterm is None or wrote.ended is not None:
        raise Unjudgeable("the app did not use up the grace period: it was not killed")
    lived = ((app.exited_latest or app.exited.ns) - wrote.sigterm.ns) / NS
    period = next(versions(bundle))["object"]["spec"].get(*_GRACE)
    if lived < period - EARLY_SECONDS:
        raise Unjudgeable(
            f"the app was killed {lived:.1f} s after its signal, and its grace period is "
            f"{period} s: it was somebody else who killed it",
            evidence=(app.exit_evidence(),),
        )
    lost = got.missing(got.held[0][0], wrote.count)
    patient, its = _patient(bundle)
    patient_lost = its.missing(its.held[0][0] if its.held else 0, patient.count)
    had = ((shipper.exited_latest or shipper.exited.ns) - told.ns) / NS
    measured: Measured = {
        "written": wrote.count,
        "lost": size(lost),
        "patient_written": patient.count,
        "patient_lost": size(patient_lost),
        "shipper_had_seconds": round(had, 3),
        "shipper_exit_code": shipper.exited.status,
        "app_lived_on_seconds": round(lived, 3),
        "came_twice": got.lines - got.count,
    }
    if not lost:
        return holds(
            f"All {wrote.count} lines arrived; the shipper had {had:.1f} s.",
            measured,
            (shipper.exit_evidence(), wrote.evidence(wrote.count - 1)),
        )
    last = _tail(lost, wrote) and ran_until_told(bundle)
    killed = shipper.exited.status == _KILLED and had > LEAST_SECONDS / 2
    starved = last and not patient_lost and killed
    return broken(
        "starved" if starved else "lost-last" if last else "lost-lines",
        f"{size(lost)} of {wrote.count} lines were lost: the shipper had {had:.1f} s, and ended "
        f"with {shipper.exited.status}. With time enough {size(patient_lost)} of {patient.count} "
        "were.",
        measured,
        (shipper.exit_evidence(), told, wrote.evidence(lost[0][0])),
    )


def _tail(lost: list[Run], wrote: Written) -> bool:
    return lost[-1][1] == wrote.count - 1


def _patient(bundle: Bundle) -> tuple[Written, Received]:
    """The records of the pod whose app ended in time. Raises Unjudgeable."""
    pod = bundle.index.pods.get(Role.PATIENT)
    spec = next(
        (
            line["object"]["spec"]
            for line in bundle.watch()
            if line.get("kind") == "Pod" and pod and line["object"]["metadata"]["uid"] == pod.uid
        ),
        None,
    )
    shipper = bundle.index.sidecars[-1]
    if spec is None or pattern_of(spec, shipper) != bundle.index.cell.pattern:
        raise Unjudgeable(f"there was no patient pod with a {bundle.index.cell.pattern} {shipper}")
    wrote = written(bundle, Role.PATIENT, bundle.index.app)
    if wrote.ended is None:
        raise Unjudgeable("the patient pod's app did not come to its end")
    return wrote, received(bundle, Role.PATIENT)

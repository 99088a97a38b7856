"""Sidecars that do not come up as they should: crashing, unprobed, seldom probed, deleted early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.commands import column, command
from conformance.evidence.commands import evidence as printed_in
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, happens_before, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, File, Role, Stamp, Step
from conformance.evidence.windows import container_statuses
from conformance.judges.premise import require_admitted
from conformance.judges.ruling import broken, holds
from conformance.judges.sources import at_step, diary_end, in_watch, step, versions
from conformance.judges.start.order import app_begins
from conformance.model import NS, Evidence, Finding, Value

CRASHING = {SUBJECT_ROLE: "Never", "crash-onfailure": "OnFailure", "crash-always": "Always"}
CRASHES = 2  # one may be chance; from the second on the kubelet backs off
# An app is stuck, and not late, when it has not begun so long after its sidecar was ready: the
# probe is sent once a second, and a container is made in one or two.
STUCK_NS = 15 * NS
# "Soon after": a container's creation on a crowded machine. Where no period is set the kubelet
# probes when it first hears of the pod, and then every 10 s (pkg/kubelet/prober/worker.go): what is
# ready within 5 s of its sandbox waits for 5 s more, and what is ready later may be lucky.
SOON_NS = 3 * NS
DEFAULT_PERIOD = 10  # seconds (pkg/apis/core/v1/defaults.go, SetDefaults_Probe)
READY_WITHIN_NS = 5 * NS


@dataclass(frozen=True)
class _Course:
    """What became of one pod with a crashing sidecar. outcome: waited, app-ran, stuck."""

    policy: str
    outcome: str
    said: str
    values: Mapping[str, Value]
    evidence: Sequence[Evidence]

    @property
    def hazard(self) -> str:
        """What it is called. Under Never alone is it known why an app may be stuck."""
        known = self.outcome != "stuck" or self.policy == "Never"
        return self.outcome if known else f"{self.outcome}-under-{self.policy}"


def crashing(bundle: Bundle) -> Finding:
    """To hold, under each restartPolicy: the sidecar crashed and was started again, its status told
    of it, and the app began only after it had what it lacked and was ready.

    To be broken: an app began before that, or never came to it although the sidecar was ready.
    """
    healed = bundle.step(Step.HEALED)
    if healed is None:
        raise Unjudgeable("the sidecars were never given what they lacked")
    courses = [_course(bundle, role, policy, healed) for role, policy in CRASHING.items()]
    measured = {one.policy: one.values for one in courses}
    evidence = [piece for one in courses for piece in one.evidence]
    bad = [one for one in courses if one.outcome != "waited"]
    if not bad:
        return holds(
            "; ".join(f"{one.policy}: {one.said}" for one in courses) + ".", measured, evidence
        )
    return broken(
        " and ".join(sorted({one.hazard for one in bad})),
        "; ".join(f"{one.policy}: {one.said}" for one in bad) + ".",
        measured,
        [piece for one in bad for piece in one.evidence],
    )


def _course(bundle: Bundle, role: str, policy: str, healed: Line) -> _Course:
    pattern = bundle.index.cell.pattern
    spec = require_admitted(bundle, {Container.SIDECAR: pattern, Container.OTHER: pattern}, role)
    if spec.get("restartPolicy") != policy:
        raise Unjudgeable(f"the pod {role} has not the restartPolicy {policy}")
    crashes = _crashes(bundle, role, healed.ns)
    reason = next(_told(bundle, role, healed.ns), None)
    if not crashes or reason is None:
        raise Unjudgeable(f"{policy}: no crash of the sidecar is on record, or none in its status")
    printed = command(bundle, "get pods")
    ready = stamp_events(bundle, Container.SIDECAR, Stamp.SIDECAR_READY, role=role)
    began = _begin(bundle, role)
    values: dict[str, Value] = {
        "crashes": len(crashes),
        "told": reason[1],
        "shown": column(printed, bundle.pod(role).name, "STATUS"),
        "app_after_readiness_ms": (
            round((began.latest - ready[0].latest) / 1e6, 1) if began and ready else None
        ),
    }
    evidence = [*crashes, reason[0], printed_in(printed)]
    if began and (not ready or happens_before(began, ready[0]).answer == "yes"):
        said = "the app began while the sidecar crashed"
        return _Course(policy, "app-ran", said, values, [*evidence, *began.evidence])
    if not ready:
        raise Unjudgeable(f"{policy}: the sidecar never became ready after its crashes")
    if ready[0].latest < healed.ns or len(crashes) < CRASHES:
        raise Unjudgeable(f"{policy}: the sidecar did not crash {CRASHES} times, and then recover")
    if began is None:
        waited = _watched_until(bundle) - ready[0].latest
        if waited < STUCK_NS:
            raise Unjudgeable(f"{policy}: the app was waited for only {waited / NS:.1f} s")
        said = f"no app in the {waited / NS:.0f} s after the sidecar was ready again"
        return _Course(policy, "stuck", said, values, [*evidence, *ready[0].evidence])
    if happens_before(ready[0], began).answer != "yes":
        raise Unjudgeable(f"{policy}: whether app or sidecar came first cannot be told")
    said = f"after {len(crashes)} crashes ({reason[1]}) the app began, after a ready sidecar"
    return _Course(policy, "waited", said, values, [*evidence, *began.evidence])


def _crashes(bundle: Bundle, role: str, until: int) -> list[Evidence]:
    """The crashes that the sidecar's own stamps tell of: its last instruction, with a code."""
    file = stamps_file(role, Container.SIDECAR)
    return [
        Evidence(file, line=line.number, ns=line.ns, text=f"ends with {line['code']}")
        for line in (bundle.stamps(role, Container.SIDECAR) if bundle.has(file) else ())
        if line.event == Stamp.SIDECAR_LAST and line["code"] and line.ns < until
    ]


def _begin(bundle: Bundle, role: str) -> Event | None:
    """The app's begin; None when neither it nor the runtime knows of one."""
    app = bundle.index.app
    if stamp_events(bundle, app, Stamp.APP_STARTED, role=role) or any(
        one.created for one in lives(bundle, bundle.pod(role))[app]
    ):
        return app_begins(bundle, role)
    return None


def _told(bundle: Bundle, role: str, until: int) -> Iterator[tuple[Evidence, str]]:
    """Where the pod's status tells of the crash: its reason, and the exit code."""
    for line in versions(bundle, role):
        if line.ns > until:
            return
        for one in container_statuses(line["object"].get("status", {})):
            if one["name"] != Container.SIDECAR:
                continue
            for state in ("state", "lastState"):
                ended: Mapping[str, Any] = one.get(state, {}).get("terminated") or {}
                if ended.get("exitCode"):
                    text = f"{ended.get('reason')}, exit code {ended['exitCode']}"
                    yield in_watch(line, text), text


def _watched_until(bundle: Bundle) -> int:
    return diary_end(bundle)


def unprobed(bundle: Bundle) -> Finding:
    """start.no-probe. To hold: the app waited for a sidecar that has no startup probe. To be
    broken: it began before that sidecar was ready."""
    spec = _premise(bundle, Role.BARE)
    if "startupProbe" in _container(spec):
        raise Unjudgeable("the sidecar has a startup probe")
    ready, app = _ready(bundle, Role.BARE), app_begins(bundle, Role.BARE)
    held = happens_before(ready, app)
    measured: dict[str, Value] = {"app_ahead_ms": round((ready.latest - app.latest) / 1e6, 1)}
    if held.answer == "yes":
        said = f"The app began {held.gap_ns / 1e6:.1f} ms after a sidecar without a startup probe."
        return holds(said, measured, held.evidence)
    if held.answer == "no":
        return broken(
            "wrong-order",
            f"The app began {-held.gap_ns / 1e6:.1f} ms before a sidecar without a startup probe "
            "was ready.",
            measured,
            held.evidence,
        )
    raise Unjudgeable("whether app or sidecar came first cannot be told", evidence=held.evidence)


def unhurried(bundle: Bundle) -> Finding:
    """start.probe-period. To hold: the app began soon after its sidecar was ready, although the
    startup probe names no period. To be broken: it was held up for seconds more."""
    spec = _premise(bundle, Role.UNHURRIED)
    period = _container(spec).get("startupProbe", {}).get("periodSeconds")
    ready, app = _ready(bundle, Role.UNHURRIED), app_begins(bundle, Role.UNHURRIED)
    least, most = app.earliest - ready.latest, app.latest - ready.earliest
    made = [one.created for one in lives(bundle, bundle.pod(Role.UNHURRIED)).get("", ())]
    measured: dict[str, Value] = {
        "period_seconds": period,
        "app_after_readiness_seconds": round(most / NS, 3),
    }
    evidence = (*ready.evidence, *app.evidence)
    if least <= 0:
        raise Unjudgeable("the app did not wait for its sidecar", evidence=evidence)
    said = f"The app began {most / NS:.1f} s after its sidecar was ready (period: {period} s)."
    if period != DEFAULT_PERIOD:
        raise Unjudgeable(f"the startup probe names a period: {period} s", evidence=evidence)
    if least > SOON_NS:
        found = _found_started(bundle, Role.UNHURRIED)
        if found is not None and found - ready.latest <= SOON_NS:
            raise Unjudgeable(
                "the probe had passed soon: it was not what the app waited for", evidence=evidence
            )
        return broken("late", said, measured, evidence)
    if most > SOON_NS:
        raise Unjudgeable("whether the app came soon cannot be told", evidence=evidence)
    if not made or made[0] is None:
        raise Unjudgeable("when the pod's sandbox was made is not in runtime.log")
    if ready.latest - made[0].ns > READY_WITHIN_NS:
        raise Unjudgeable("the sidecar took so long that a seldom probe may have come in time")
    return holds(said, measured, evidence)


def _found_started(bundle: Bundle, role: str) -> int | None:
    """When the pod's status was first received that says that the sidecar's probe passed (ns)."""
    for line in versions(bundle, role):
        for one in container_statuses(line["object"].get("status", {})):
            if one["name"] == Container.SIDECAR and one.get("started"):
                return line.ns
    return None


def deleted_early(bundle: Bundle) -> Finding:
    """start.delete-during-init. To hold: the sidecar that was starting felt the signal and ended by
    it, and the pod was gone, long before the grace period was over. To be broken: it was not told,
    or the pod stayed on."""
    spec = _premise(bundle, Role.EARLY)
    require_admitted(bundle, {Container.SIDECAR: "native", Container.OTHER: "native"}, Role.EARLY)
    asked, gone = step(bundle, Step.DELETE_ASKED), step(bundle, Step.SUBJECT_GONE)
    found = lives(bundle, bundle.pod(Role.EARLY))
    its = found[Container.SIDECAR]
    if not its or its[0].created is None or its[0].created.ns > asked.ns:
        raise Unjudgeable("the sidecar had not been started when the pod was deleted")
    if (
        stamp_events(bundle, Container.SIDECAR, Stamp.SIDECAR_READY, role=Role.EARLY)
        or found[Container.OTHER]
    ):
        raise Unjudgeable("the sidecar was no longer starting when the pod was deleted")
    exited = its[-1].exited
    if exited is None:
        raise Unjudgeable("the end of the deleted pod is not on record")
    felt = stamp_events(bundle, Container.SIDECAR, Stamp.SIDECAR_SIGTERM, role=Role.EARLY)
    took = gone.ns - asked.ns
    grace = int(spec.get("terminationGracePeriodSeconds", 30))
    measured: dict[str, Value] = {
        "gone_after_seconds": round(took / NS, 3),
        "signal_after_seconds": round((felt[0].latest - asked.ns) / NS, 3) if felt else None,
        "exit_code": exited.status,
        "grace_seconds": grace,
    }
    evidence = [Evidence(File.RUNTIME, exited.number, text=f"exited with {exited.status}")]
    evidence += felt[0].evidence if felt else ()
    evidence += [at_step(one) for one in (asked, gone)]
    if felt and not exited.status and took <= grace * NS / 2:
        said = (
            f"The starting sidecar had its signal after {measured['signal_after_seconds']} s, and "
            f"the pod was gone after {took / NS:.1f} s of a grace period of {grace} s."
        )
        return holds(said, measured, evidence)
    if not felt and not exited.status and took <= grace * NS / 2:
        raise Unjudgeable(
            "the sidecar ended with 0 soon after the deletion, and tells of no signal: what it "
            "ended by is not known",
            measured,
            evidence,
        )
    said = "was signalled" if felt else "was never signalled"
    return broken(
        "late" if felt else "signal-lost",
        f"The starting sidecar {said}, and the pod was gone only after {took / NS:.1f} s of a "
        f"grace period of {grace} s.",
        measured,
        evidence,
    )


def _premise(bundle: Bundle, role: str) -> Mapping[str, Any]:
    """The spec of one of the cell's pods, whose sidecar is of the cell's pattern."""
    return require_admitted(bundle, {Container.SIDECAR: bundle.index.cell.pattern}, role)


def _container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        one
        for group in ("initContainers", "containers")
        for one in spec.get(group) or ()
        if one["name"] == Container.SIDECAR
    )
    return found


def _ready(bundle: Bundle, role: str) -> Event:
    found = stamp_events(bundle, Container.SIDECAR, Stamp.SIDECAR_READY, role=role)
    if not found:
        raise Unjudgeable(
            "the sidecar never became ready",
            evidence=(Evidence(stamps_file(role, Container.SIDECAR)),),
        )
    return found[0]

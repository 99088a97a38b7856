"""Did the other side live? What a dead peer does not answer is nobody else's loss."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle, stamps_file
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import Container, Role, Stamp
from conformance.model import NEVER, NS, Evidence, Finding

# Hazards that say that something sent was not answered rightly.
LOSSES = (
    "refused", "reset", "lost-request", "timed-out", "not-recovered", "connection-lost",
    "lost-by-classic", "lost-by-native", "lost-while-the-sidecar-lived",
    "lost-behind-a-ready-sidecar",
)  # fmt: skip
# The peer's app asks for something every 200 ms, and writes it down: a silence that is much longer
# than any pause of a crowded machine says that it stood still.
SILENCE_NS = 10 * NS


def require_peer_lived(bundle: Bundle, finding: Finding) -> None:
    """Raises Unjudgeable when losses are told of that the peer's own end, or its silence, explains.

    Asked of every finding: a control arm must not be credited with another's fault.
    """
    if finding.observed != "broken" or finding.hazard not in LOSSES:
        return
    moments = [one.ns for one in finding.evidence if one.ns and one.file.startswith("stamps/")]
    if not moments or not bundle.has(stamps_file(Role.PEER, Container.APP)):
        return
    first, last = min(moments), max(moments)
    file, before, after = stamps_file(Role.PEER, Container.APP), 0, NEVER
    for line in bundle.stamps(Role.PEER, Container.APP):
        if line.event in (Stamp.APP_SIGTERM, Stamp.APP_LAST) and line.ns <= last:
            raise Unjudgeable(
                f"the peer itself ended ({line.event}) before the last loss: nobody was there to "
                "answer",
                finding.measured,
                (Evidence(file, line.number, ns=line.ns, text=line.event),),
            )
        if line.ns <= first:
            before = max(before, line.ns)
        if line.ns >= last:
            after = min(after, line.ns)
    if Role.PEER not in bundle.index.pods:
        return
    for name, its in lives(bundle, bundle.pod(Role.PEER)).items():
        for life in its if name in (Container.APP, *bundle.index.sidecars) else ():
            if life.exited and (life.exited_latest or life.exited.ns) <= last:
                raise Unjudgeable(
                    f"{name} of the peer had ended when requests were lost: it is not known whose "
                    "loss they are",
                    finding.measured,
                    (life.exit_evidence(Role.PEER),),
                )
    if after - last > SILENCE_NS or (before and first - before > SILENCE_NS):
        raise Unjudgeable(
            "the peer gave no sign of life around the losses: it is not known whether it could "
            "answer",
            finding.measured,
            (Evidence(file),),
        )

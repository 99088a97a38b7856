"""Worlds with one defect each: the right verdict, and beside each that must not pass one that must.

A case is (behaviour, world, what is changed, the verdicts that are right).
"""

from __future__ import annotations

from pathlib import Path

from tests.forge.bundle import DIALER, PEER, POD, ns, token
from tests.forge.defects import (
    APP,
    BROKEN,
    HOLDS,
    NOT,
    OPEN,
    PEER_APP,
    Case,
    again,
    answered,
    both,
    each,
    heard,
    job_seen,
    judged_rightly,
    late_by_receipt,
    later,
    nothing,
    other_job,
    peer,
    recorded,
    says,
    second_life,
    sooner,
    stamped,
    visits_in_clear,
    without,
)
from tests.worlds import cni, crash, jobs, leaks, lifecycle, logs, mesh, move, skew

OK_TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\nTOKEN"
OK_GZIP = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08abc"
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
EVIL = "spiffe://elsewhere/x"
BYPASS, MUTUAL, STOP = "inbound.bypass", "mutual.identity", "stop.no-plaintext"
EGRESS, FIRST, COMPLETES = "stop.app-egress", "start.first-request", "job.completes"
EPHEMERAL = "leak.ephemeral"

CASES: list[Case] = [
    # --- proof of a breach stands alone
    ("no dial is answered", BYPASS, lifecycle.lifecycle, "native", nothing, HOLDS),
    ("an answer on the wire to no dial on record", BYPASS, lifecycle.lifecycle, "native",
     answered(12.0, OK_TOKEN), BROKEN),
    ("an answer without a token", BYPASS, lifecycle.lifecycle, "native",
     answered(12.0, OK_GZIP), BROKEN),
    ("a refusal in HTTP is no answer of the app's", BYPASS, lifecycle.lifecycle, "native",
     answered(12.0, DENIED), HOLDS),
    ("the app served a dial that nobody recorded", BYPASS, lifecycle.lifecycle, "native",
     stamped(12.0, token("dial", 888_888, "dialer"), f"{DIALER}:6"), BROKEN),
    ("the app served its peer", BYPASS, lifecycle.lifecycle, "native",
     stamped(12.0, token("quick", 888_888, "peer"), f"{PEER}:6"), HOLDS),
    ("a crash's dial answered on the wire alone", "crash.bypass", crash.crash, "native",
     answered(11.0, OK_TOKEN), BROKEN),
    ("an answer long before the crash", "crash.bypass", crash.crash, "native",
     answered(7.5, OK_TOKEN), HOLDS),
    ("served to an unknown identity, from elsewhere", MUTUAL, lifecycle.lifecycle, "native",
     recorded(peer_uri=EVIL, downstream_remote="10.244.0.77:5555"), BROKEN),
    ("an unknown identity was turned away", MUTUAL, lifecycle.lifecycle, "native",
     recorded(peer_uri=EVIL, downstream_remote="10.244.0.77:5555", response_code=403), HOLDS),
    ("served to the peer, from elsewhere", MUTUAL, lifecycle.lifecycle, "native",
     recorded(downstream_remote="10.244.0.77:5555"), HOLDS),
    # --- witnesses
    ("the peer's app was asked past both proxies", STOP, lifecycle.lifecycle, "native",
     stamped(12.0, token("drain", 31), f"{POD}:41000", PEER_APP), OPEN),
    ("the peer's app was asked by its own proxy", STOP, lifecycle.lifecycle, "native",
     stamped(12.0, token("drain", 31), "127.0.0.1:41000", PEER_APP), HOLDS),
    # --- gaps between windows
    ("nothing of the visitor's is in clear", EPHEMERAL, leaks.ephemeral, "native", nothing, HOLDS),
    ("in clear before the proxy's end", EPHEMERAL, leaks.ephemeral, "native",
     visits_in_clear(12.0), BROKEN),
    ("classic: in clear after the proxy's end, beside the app", EPHEMERAL, leaks.ephemeral,
     "classic", visits_in_clear(13.5), BROKEN),
    ("classic: nothing is in clear", EPHEMERAL, leaks.ephemeral, "classic", nothing, HOLDS),
    # --- density
    ("the drain without a pause", EGRESS, lifecycle.lifecycle, "native", nothing, HOLDS),
    ("the drain with a pause of a second", EGRESS, lifecycle.lifecycle, "native",
     without(APP, "drain", 12.0, 13.0), HOLDS),
    ("the drain with a pause of three seconds", EGRESS, lifecycle.lifecycle, "native",
     without(APP, "drain", 11.0, 14.0), OPEN),
    ("nothing was tried for most of the drain", STOP, lifecycle.lifecycle, "native",
     both(without(APP, "drain", 10.5, 14.6), without(APP, "mesh-witness", 10.5, 14.6)), OPEN),
    ("little was tried for a second", STOP, lifecycle.lifecycle, "native",
     without(APP, "drain", 12.0, 13.0), HOLDS),
    # --- somebody else's fault
    ("classic: the first request is refused, and the peer lives", FIRST, lifecycle.lifecycle,
     "classic", nothing, BROKEN),
    ("classic: the peer had ended before", FIRST, lifecycle.lifecycle, "classic",
     peer(lambda lines: [{**lines[0], "ns": ns(0.5), "event": "app.last"}, *lines]), OPEN),
    ("classic: the drain is refused, and the peer lives", EGRESS, lifecycle.lifecycle, "classic",
     nothing, BROKEN),
    ("classic: the peer was told to end before", EGRESS, lifecycle.lifecycle, "classic",
     peer(lambda lines: [*lines, {**lines[-1], "ns": ns(12.0), "event": "app.sigterm"}]), OPEN),
    ("the first request is number 0", FIRST, lifecycle.lifecycle, "native", nothing, HOLDS),
    # --- the gate
    ("the sidecar itself answers the probe", "start.order", lifecycle.lifecycle, "native",
     nothing, HOLDS),
    ("another server answers before the proxy was started", "start.order", lifecycle.lifecycle,
     "native", both(later("subject.envoy", "sidecar.exec", 2.0),
                    later("subject.envoy", "sidecar.ready", 2.0)), NOT),
    ("the sidecar had a second life, which answered nothing before the app", "start.order",
     lifecycle.lifecycle, "native", second_life(5.28), NOT),
    ("the sidecar has a second life after the app's begin", "start.order", lifecycle.lifecycle,
     "native", second_life(8.0), HOLDS),
    # --- Jobs
    ("a Job that completes", COMPLETES, lifecycle.job, "native", nothing, HOLDS),
    ("complete and failed", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job", status__conditions=[
         {"type": "Failed", "status": "True"}, {"type": "Complete", "status": "True"}]), OPEN),
    ("complete, and then not", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job", status={"active": 1}), OPEN),
    ("complete twice over", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job"), HOLDS),
    ("another Job of the name", COMPLETES, lifecycle.job, "native",
     lambda world: again(world, "Job", metadata__uid="uid-other"), OPEN),
    ("a Job of another name", COMPLETES, lifecycle.job, "native",
     other_job("backup", "uid-backup", 7.55), HOLDS),
    ("classic: a Job of another name completes", COMPLETES, lifecycle.job, "classic",
     other_job("backup", "uid-backup", 8.5), BROKEN),
    ("complete before the main's exit", COMPLETES, lifecycle.job, "native", job_seen(7.0), OPEN),
    ("complete in time, and told late", COMPLETES, lifecycle.job, "native",
     late_by_receipt("2026-11-18T11:06:51Z"), HOLDS),
    ("complete late", COMPLETES, lifecycle.job, "native", job_seen(24.0), BROKEN),
    ("the limits of a Job were changed", "job.failure", jobs.jobs, "native",
     lambda world: again(world, "Job", spec__backoffLimit=77), OPEN),
    ("Jobs that fail", "job.failure", jobs.jobs, "native", nothing, HOLDS),
    ("one quota", "job.spillover", jobs.quota, "native", nothing, HOLDS),
    ("the quota was changed", "job.spillover", jobs.quota, "native",
     lambda world: again(world, "ResourceQuota", status__hard={"pods": "9"}), OPEN),
    ("another quota", "job.spillover", jobs.quota, "native",
     lambda world: again(world, "ResourceQuota", metadata__name="other"), OPEN),
    ("the CronJob's policy was changed", "job.cronjob", jobs.cronjob, "native",
     lambda world: again(world, "CronJob", spec__concurrencyPolicy="Allow"), OPEN),
    ("one policy", "job.cronjob", jobs.cronjob, "native", nothing, HOLDS),
    # --- logs
    ("every line arrives", "logs.last", logs.logs, "native", nothing, HOLDS),
    ("lines at the sink before they were written", "logs.last", logs.logs, "native",
     sooner("sink.sink", "sink.received", 3.0), OPEN),
    ("lines at the sink as they were written", "logs.last", logs.logs, "native",
     sooner("sink.sink", "sink.received", 0.05), HOLDS),
    ("the writer says that it wrote more", "logs.first", logs.logs, "native",
     says("subject.app", "app.last", lines=9999), OPEN),
    # --- moves
    ("a move without a loss", "move.rollout", move.rollout, "native", nothing, HOLDS),
    ("the witness alone heard the pod that goes", "move.rollout", move.rollout, "native",
     heard(7.2, token("mesh-witness", 99, "former")), BROKEN),
    ("the witness heard the control", "move.rollout", move.rollout, "native",
     heard(7.2, token("control", 99, "former")), HOLDS),
    ("each workload is admitted four times", "move.pattern-flip", mesh.flip, "native",
     nothing, HOLDS),
    ("the old node runs nothing", "move.kubelet-skew", skew.skew, "native", nothing, HOLDS),
    ("the old node runs something, by its own stamp", "move.kubelet-skew", skew.skew, "native",
     lambda world: world.stamp(8.2, "subject.envoy", "sidecar.started"), NOT),
    # --- a plugin that comes late
    ("the app never began", "start.cni-race", cni.kept, "native", nothing, HOLDS),
    ("the app never began, and the peer served it", "start.cni-race", cni.kept, "native",
     stamped(8.0, token("steady", 3, "subject"), "127.0.0.1:5", PEER_APP), NOT),
    # --- an outage
    ("the running lose nothing", "plane.outage", mesh.outage, "native", nothing, HOLDS),
    # --- specs
    ("a later version of the pod has another pattern", "stop.order", lifecycle.lifecycle, "native",
     lambda world: again(world, "Pod", spec=lifecycle.spec("classic")), OPEN),
]  # fmt: skip


@each(CASES)
def test_one_defect(tmp_path: Path, case: Case) -> None:
    judged_rightly(case, tmp_path)

"""What a judge says where a single thing is lacking, or came late: that it cannot tell, and why.

The changes are named as tests/forge/changes.py has them ("; " between two). Each is of the world
in which the promise is kept, or of the classic one where its hazard is shown.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forge.changes import change
from tests.judges.test_judge import world_of

CANNOT_TELL = [
    ("start.order", "native", "no note added", "the capture agent never came"),
    ("inbound.bypass", "native", "25 s later news of Pod subject", "deleted before it was seen"),
    ("mutual.identity", "native", "25 s later step delete.asked", "the last beacon came before"),
    ("mutual.identity", "native", "25 s later frames", "the first beacon came after the window"),
    ("stop.keepalive", "native", "no frames", "no TLS with the peer was seen"),
    ("job.completes", "native", "no news of Job subject", "the Job subject is not in watch.jsonl"),
    ("job.completes", "native", "no id subject-x7k2p.envoy", "the sidecar never started"),
    ("job.completes", "classic", "25 s later news of Job subject", "does not show the Job active"),
    ("job.cronjob", "native", "no /tasks/create subject-1-a.sidecar", "no sidecar ran beside"),
    ("job.cronjob", "native", "no signal subject-1-a.sidecar", "ended by itself: it may be why"),
    ("job.cronjob", "classic", "no /tasks/create subject-1-a.sidecar", "no sidecar ran in pod"),
    ("job.cronjob", "classic", "no phase of Pod subject-1-a", "subject-1-a was None at the bound"),
    ("job.failure", "native", "no containerStatuses of Pod fails-1", "tells no exit code of its"),
    ("job.failure", "native", "only the first news of Pod fails-1", "tells no exit code of its"),
    ("job.sidecar-restarts", "native", "no conditions of Job crashed-on-failure", "did not end"),
    ("job.spillover", "native", "no step job.create", "Job third was never submitted"),
    ("job.deadline", "native", "no active of Job unbounded", "the other Job was not active when"),
    ("job.deadline", "native", "no initContainerStatuses of Pod unbounded-1", "seen to wait for"),
    ("job.deadline", "native", "25 s later news of Job bounded", "had ended before the mesh was"),
    ("move.webhook", "native", "no step as-sent", "steps.jsonl does not say that the pod was sent"),
    ("move.image", "native", "25 s later news of Pod subject", "the pod subject was not there yet"),
    ("crash.window", "native", "no /tasks/create subject.app", "no /tasks/create of app is in"),
    ("node.kubelet-restart", "native", "no stamp subject.envoy sidecar.started", "never told that"),
    ("node.kubelet-restart", "native", "no stamp drained.app app.sigterm", "had not been told to"),
    ("node.kubelet-restart", "native", "no stamp drained.app app.last", "its last instruction"),
    ("node.kubelet-restart", "native", "no signal drained.envoy", "in the drained pod cannot be"),
    ("plane.outage", "native", "no stamp subject.app request.begin", "sent no first request"),
    ("account.node", "native", "no step node.offers", "the node did not offer one unit more"),
    ("plane.rotation", "native", "no step kept", "never in use before the deletion"),
    ("logs.starved", "native", "no step patient.gone", "come to the end of the patient pod"),
    ("logs.starved", "native", "no stamp patient.app app.last", "app did not come to its end"),
    ("start.unready-sidecar", "native", "25 s earlier command kubectl get pod subject",
     "before any probe had been refused"),
    ("logs.last", "native", "no stamp subject.app app.sigterm", "never said that it got SIGTERM"),
    ("logs.last", "native", "no /tasks/exit subject.envoy", "no exit of the shipper is in"),
    ("logs.health-default", "native", "no step deaf.sidecar-runs", "no pod with the endpoint as"),
    ("logs.health-default", "native", "no step deaf.app-runs", "nobody waited for the app"),
    ("logs.behind-mesh", "native", "no /tasks/exit subject.shipper", "no exit of the shipper or"),
    ("logs.behind-mesh", "native", "no stamp subject.app app.last", "did not come to its end"),
    ("ports.named", "native", "no news of Service named", "Service named is not in watch.jsonl"),
    ("stop.order", "native", "no id subject.app", "the app has no container id"),
    ("stop.order", "native", "no id subject.envoy", "the sidecar has no container id"),
    ("stop.order", "native", "no signal subject.app; no stamp subject.app app.sigterm",
     "no signal to the app is recorded"),
    ("stop.prestop-workaround", "native", "no id subject.app", "app of subject has no container"),
    ("stop.prestop-workaround", "native", "no signal subject.envoy", "which came first cannot be"),
    ("stop.short-grace", "native", ("no signal subject.second; no stamp subject.second "
     "sidecar.sigterm"), "second of subject ended without a signal"),
    ("stop.total-time", "native", ("no signal prompt.app; no signal prompt.second; "
     "no signal prompt.envoy; no stamp prompt.app app.sigterm; no stamp prompt.second "
     "sidecar.sigterm; no stamp prompt.envoy sidecar.sigterm"),
     "neither a hook nor a signal of prompt is recorded"),
    ("stop.ready-during-drain", "native", "6.0 s earlier removal of Pod subject",
     "the pod was removed before app had ended"),
    ("stop.eviction", "native", "no id subject.app", "no container of subject can be held against"),
    ("stop.stale-prestop-quit", "native", ("no stamp quit.envoy sidecar.sigterm; "
     "no stamp quit.envoy sidecar.last"), "whether app or sidecar ended first cannot be told"),
    ("stop.ready-during-drain", "native", ("1.5 s later stamp subject.app hook.begin; "
     "1.5 s later stamp subject.app hook.end"), "was called unready before it had withdrawn it"),
    ("job.deadline", "native", "no startTime of Job bounded", "Job bounded does not tell when it"),
    ("job.deadline", "native", "no startTime of Job unbounded", "unbounded does not tell when it"),
    ("job.cronjob", "native", "no /tasks/exit subject-1-a.app", "ended with [[]], and not once"),
    ("job.cronjob", "classic", "25 s later news of Pod subject-1-a",
     "no pod of Job subject-1 is in the watch by the bound"),
    ("job.workarounds", "classic", ("no news of Job quit; no news of Job marker; no news of Job "
     "kill"), "no Job with a workaround was seen"),
    ("job.workarounds", "classic", "no id quitpod.sidecar", "Job quit had no single pod whose"),
    ("job.sidecar-restarts", "native", "no id crashed-never-1.sidecar", "and none to judge"),
    ("account.node", "native", "only the first step node.offer-asked", "was asked to offer"),
    ("see.ready", "native", "no conditions of Pod subject", "has no condition Ready"),
    ("see.ready", "native", "no condition Ready of Pod subject", "has no condition Ready"),
    ("logs.last", "native", "no id subject.envoy", "the shipper never started"),
    ("logs.starved", "native", "no /tasks/exit subject.envoy", "the end of the app or of the"),
    ("logs.starved", "native", "no id subject.app", "the end of the app or of the shipper is"),
    ("logs.starved", "native", "no signal subject.envoy", "no signal to the shipper is recorded"),
    ("logs.health-default", "native", "no stamps deaf.app", "was seen to run, and wrote nothing"),
    ("plane.outage", "native", "no /tasks/create subject.app", "of the new pod's app is in"),
    ("start.delete-during-init", "native", "no /tasks/exit early.sidecar",
     "the end of the deleted pod is not on record"),
    ("start.delete-during-init", "native", "no stamp early.sidecar sidecar.sigterm",
     "what it ended by is not known"),
    ("start.cni-validation", "native", "25 s later stamp healed.validation validation.passed",
     "whether guard or app came first cannot be told"),
    ("start.unready-sidecar", "native", "0.92 s later stamp subject.sidecar sidecar.ready",
     "whether the app or its sidecar's readiness came first"),
    ("mixed.order", "native", "2.08 s earlier stamp mixed.second sidecar.ready",
     "whether the classic sidecar has a place in the order cannot be told"),
    ("wire.no-agent", "sidecarless", "no /tasks/create subject.app", "no creation of a container"),
]  # fmt: skip


@pytest.mark.parametrize(("behaviour", "pattern", "words", "said"), CANNOT_TELL)
def test_what_is_lacking_is_named(
    tmp_path: Path, behaviour: str, pattern: str, words: str, said: str
) -> None:
    world = world_of(behaviour, pattern)
    for one in words.split("; "):
        change(world, one)
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason, found.reason


@pytest.mark.parametrize(("behaviour", "pattern", "words", "observed", "hazard"), [
    # a Job that was not held may have a sidecar whose end nobody recorded
    ("job.completes", "native", "no /tasks/exit subject-x7k2p.envoy", "holds", ""),
    ("crash.window", "native", "no conditions of Pod subject", "holds", ""),
    ("job.workarounds", "native", "no step sidecar.quit-asked", "holds", ""),
    ("stop.in-flight", "classic", "no stamp subject.app app.last", "broken", "lost-request"),
])  # fmt: skip
def test_what_does_not_bear_on_it_changes_nothing(
    tmp_path: Path, behaviour: str, pattern: str, words: str, observed: str, hazard: str
) -> None:
    world = world_of(behaviour, pattern)
    change(world, words)
    found = world.judged(behaviour, tmp_path)
    assert (found.observed, found.hazard) == (observed, hazard), found.reason


@pytest.mark.parametrize("words", ["no step of nobody's", "3 s sooner frames", "no phase of Pod x"])
def test_a_change_of_what_is_not_there_is_refused(words: str) -> None:
    with pytest.raises(LookupError):
        change(world_of("stop.order"), words)

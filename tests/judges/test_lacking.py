"""What a judge says where a single thing is lacking, or came late: that it cannot tell, and why.

The changes are named as tests/forge/changes.py has them. Each is of the world in which the promise
is kept, or of the classic one where its hazard is shown.
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
]  # fmt: skip


@pytest.mark.parametrize(("behaviour", "pattern", "words", "said"), CANNOT_TELL)
def test_what_is_lacking_is_named(
    tmp_path: Path, behaviour: str, pattern: str, words: str, said: str
) -> None:
    world = world_of(behaviour, pattern)
    change(world, words)
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

"""What happens to a node while cells are observed: it stands still, parts of it are restarted.

No such fault may be taken for a breach: verdicts come out as they would, or say why they cannot.
"""

from __future__ import annotations

import time
from pathlib import Path

from conformance.engine.client import docker
from conformance.evidence.vocabulary import Step
from tests.faults.playing import say, start

PAUSED_SECONDS = 20


def test_a_node_that_stands_still_for_20_seconds(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.await_step(Step.SUBJECT_READY)
    say(f"the node is paused for {PAUSED_SECONDS} s")
    docker(run.engine, "pause", run.node)
    time.sleep(PAUSED_SECONDS)  # the fault itself, and no wait
    docker(run.engine, "unpause", run.node)
    run.must_have_ended(0, 5)
    run.must_be_honest()
    run.must_leave_nothing()


def test_api_server_and_containerd_are_restarted(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.await_step(Step.SUBJECT_READY)
    say("the API server is killed; the kubelet starts it anew")
    run.in_node("sh", "-c", "kill -KILL $(pgrep -x kube-apiserver)")
    run.await_step(Step.DELETE_ASKED)
    say("containerd is restarted")
    run.in_node("systemctl", "restart", "containerd")
    run.must_have_ended(0, 5)
    run.must_be_honest()
    run.must_leave_nothing()

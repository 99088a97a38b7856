"""The crash scenario: the sidecar of a busy pod is killed, and comes back while the app goes on.

First its main process is killed, and with it everything in the container at once, so that nothing
is cleaned up after it. Then, where traffic is carried by a program of its own, that one alone:
its sidecar sees it end, and ends in its own way. What stands between the app and the network
meanwhile differs (fixtures/envoy, mode sidecar-rules).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.pods import condition, running_id
from conformance.observe.scenarios.lifecycle import (
    STEADY,
    SUBJECT,
    await_steady,
    leak_on_purpose,
)
from conformance.observe.stage import Stage
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.driver import Manifest

# What must have been seen of the life after a crash: that requests are answered again. Some 5 s,
# as the judge lets the first 1.5 s pass, and one that hangs takes 2 s to be told.
AGAIN = {
    ("subject.app", "steady", "ok"): 50,
    ("peer.app", "quick", "ok"): 25,
    ("dialer.dialer", "dial-probe", "ok"): 1,
}
# The kubelet waits 10 s before the second restart of a container, 20 s before the third
# (pkg/kubelet/kubelet.go, initialBackOff); a sidecar takes some seconds to be ready.
PATIENCE = 90.0  # seconds


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    meshed = REGISTRY[stage.cell.sidecar].can("mesh")
    stage.surround(*(("witness", "peer", "dialer") if meshed else ()))
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject")
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        if meshed:
            await_steady(stage, STEADY, since=Step.SUBJECT_READY)
        for name, program in (("crash", ""), ("proxy crash", stage.facts.proxy)):
            if name == "crash" or program:
                kill(stage, name, program)
                if meshed:
                    await_steady(stage, AGAIN, since=Step.SIDECAR_BACK)
    if meshed:
        leak_on_purpose(stage)
    return SUBJECT


def alone(stage: Stage, alter: Callable[[Manifest], None]) -> None:
    """The pod under test without a mesh around it, its sidecar altered, ready. Raises Stuck.

    Its app tries to reach a peer that is not there, which is sign enough of its life.
    """
    stage.surround()
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject", alter=lambda pod: alter(stage.sidecar_in(pod)))
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)


def kill(stage: Stage, name: str, program: str = "") -> int:
    """Kill the sidecar (or its child of that name), and see it come back; see crash."""

    def kill_it(container: str) -> None:
        stage.signal(SUBJECT, container, "KILL", program)

    return crash(stage, name, kill_it, how="kill", program=program)


def crash(stage: Stage, name: str, make: Callable[[str], object], **more: Any) -> int:
    """Make the sidecar end, and see its next container ready, and the pod with it; when it was so
    (ns). Raises Stuck.

    make: is given the name of the container that is to end. more: what the step is to say.
    """
    (container,) = stage.sidecars(SUBJECT)
    old = running_id(stage.watch.newest("Pod", SUBJECT) or {}, container)

    def said() -> int:
        lines = stage.stamps(f"{SUBJECT}.{container}")
        return sum(one["event"] == Stamp.SIDECAR_READY for one in lines)

    before = said()  # 0 where the sidecar never says so

    def back() -> bool:
        # The status alone does not do: from 1.35 on a kubelet calls the next container ready before
        # its startup probe has passed (kubernetes#141155).
        pod = stage.watch.newest("Pod", SUBJECT) or {}
        ready = condition(pod, "Ready") and running_id(pod, container) != old
        return ready and (said() > before or not before)

    stage.step(Step.CRASH_ASKED, crash=name, container=container, id=old, **more)
    make(container)
    stage.wait(
        f"the sidecar's return after the {name}",
        back,
        seconds=PATIENCE,
        seen=lambda: stage.describe(SUBJECT),
    )
    since = stage.step(Step.SIDECAR_BACK, crash=name)
    stage.wait(
        "a sign of life of the app",
        lambda: any(one["ns"] > since for one in stage.stamps("subject.app")[-1:]),
        seconds=10,
        seen=lambda: "nothing newer than the sidecar's return",
    )
    return since

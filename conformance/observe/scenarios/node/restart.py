"""What the scenarios kubelet and runtime do: one service of the node is restarted.

    subject  lives through it; then its main is crashed, and at last it is deleted
    drained  is being deleted, its app in mid-drain

The whole node feels it, so these scenarios have it for themselves (Scenario.alone).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from kubernetes import client as k8s

from conformance.engine import client
from conformance.errors import EnvironmentProblem
from conformance.evidence.vocabulary import File, Role, Stamp, Step
from conformance.observe.node.extract import NODE_FOLDER
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture.driver import ask_command

# Seconds that the apps go on: long enough that the service is back before, on a crowded machine.
DRAIN = {SUBJECT: 2, Role.DRAINED: 12}
GRACE = 20  # seconds, of the pod that is in mid-drain
_BACK = 60  # seconds' patience with a service
_PROBE_PORT = 8081


def observe(stage: Stage, unit: str, answers: Callable[[int], bool]) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck.

    unit: systemd's. answers: whether the service works again, and is watched again, after it was
    restarted at that time (ns).
    """
    stage.without_capture()

    def drains(role: str) -> Callable[[Manifest], None]:
        def alter(document: Manifest) -> None:
            manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", str(DRAIN[role]))
            if role == Role.DRAINED:
                document["spec"]["terminationGracePeriodSeconds"] = GRACE

        return alter

    for role in DRAIN:
        departing.create(stage, role, drains(role))
    departing.await_ready(stage, *DRAIN)
    departing.delete(stage, Role.DRAINED)
    departing.await_stamp(stage, f"{Role.DRAINED}.{APP_CONTAINER}", Stamp.APP_SIGTERM)

    began = stage.step(Step.RESTART_BEGIN, unit=unit)
    in_node(stage, "systemctl", "restart", unit)
    stage.step(Step.RESTART_END, unit=unit)
    stage.wait(
        f"{unit} at work again",
        lambda: answers(began),
        seconds=_BACK,
        seen=lambda: "it does not answer, or its collector has not come back",
    )
    stage.step(Step.RESTART_ANSWERS, unit=unit)

    _crash_main(stage)
    with stage.going_on():
        departing.await_stamp(stage, f"{SUBJECT}.{APP_CONTAINER}", Stamp.APP_STARTED, times=2)
        stage.await_ready(SUBJECT)
    departing.await_gone(stage, Role.DRAINED)
    departing.delete(stage, SUBJECT)
    departing.await_gone(stage, SUBJECT)
    return SUBJECT


def in_node(stage: Stage, *command: str) -> str:
    """Run a command in the node; its output. Raises EnvironmentProblem."""
    return client.in_node(stage.context.engine, stage.handle.node, *command)


def kubelet_answers(stage: Stage) -> bool:
    """Whether the kubelet calls itself healthy."""
    try:
        return in_node(stage, "curl", "-sf", "http://127.0.0.1:10248/healthz").strip() == "ok"
    except EnvironmentProblem:
        return False


def watched_again(stage: Stage, since_ns: int) -> bool:
    """Whether the runtime's event stream broke after that time, and was taken up again."""
    gaps = stage.handle.evidence / NODE_FOLDER / File.GAPS
    if not gaps.exists():
        return False
    *whole, _ = gaps.read_text().split("\n")
    return any(json.loads(line)["until_ns"] >= since_ns for line in whole)


def _crash_main(stage: Stage) -> None:
    stage.step(Step.MAIN_CRASH_ASKED, pod=SUBJECT)

    def crashed() -> bool:
        try:
            stage.execute(SUBJECT, APP_CONTAINER, ask_command(_PROBE_PORT, "/crash"))
        except k8s.ApiException:  # the kubelet's own server is not there yet
            return False
        return any(
            one["event"] == Stamp.APP_CRASH for one in stage.stamps(f"{SUBJECT}.{APP_CONTAINER}")
        )

    stage.wait(
        "the crash of the main", crashed, seconds=_BACK, seen=lambda: stage.describe(SUBJECT)
    )

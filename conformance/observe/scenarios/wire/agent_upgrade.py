"""The agent-upgrade scenario: every node's agent is replaced by that of a newer release, while pods
of two nodes talk.

The pods are those of the between scenario, without the near one: the dialer is a stranger whom the
policy keeps out, and is answered while that is lifted.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from conformance.errors import EnvironmentProblem
from conformance.evidence.vocabulary import File, Step, When
from conformance.observe.scenarios.lifecycle import SUBJECT, await_steady, delete
from conformance.observe.scenarios.wire.between import POLICY, leak_between_nodes, lift_policy
from conformance.observe.stage import Stage, Stuck
from conformance.sidecars.agents import UpgradesAgents

STEADY = {
    ("subject.app", "steady", "ok"): 15,
    ("peer.app", "quick", "ok"): 8,
    ("dialer.dialer", "dial", ""): 15,
}


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.create(POLICY)
    stage.surround("peer", "dialer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create(SUBJECT, role=SUBJECT)
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        await_steady(stage, STEADY, since=Step.SUBJECT_READY)
        leak_between_nodes(stage)
        lift_policy(stage)
        _upgrade(stage)
    delete(stage)
    return SUBJECT


def _upgrade(stage: Stage) -> None:
    driver = stage.driver
    assert isinstance(driver, UpgradesAgents)
    try:
        _note_agents(stage, driver, When.BEFORE)
        stage.step(Step.UPGRADE_ASKED)
        driver.upgrade_agents(stage.handle, stage.cell)
        stage.step(Step.UPGRADED)
        await_steady(stage, STEADY, since=Step.UPGRADED)
        stage.step(Step.UPGRADE_SETTLED)
        _note_agents(stage, driver, When.AFTER)
    except EnvironmentProblem as problem:
        raise Stuck(str(problem)) from problem


def _note_agents(stage: Stage, driver: UpgradesAgents, when: When) -> None:
    """Which agents there are, by all who know of them; what the runtime says of them goes into the
    bundle too."""
    path = stage.bundle / File.UPGRADE
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as sink:
        for agent in driver.describe_agents(stage.handle, stage.client):
            seen = {"ns": stage.place.now_ns(), "when": when, **asdict(agent)}
            sink.write(json.dumps(seen) + "\n")
            stage.outside |= {agent.container, *agent.running} - {""}

"""The agentless scenario: a pod is made on a node whose agent is not there yet."""

from __future__ import annotations

from conformance.evidence.vocabulary import Step
from conformance.observe.pods import running_id
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars.agents import HasAgents

# A pod starts within 1 to 2 s on a node that is well: ten times that is enough to see it wait.
BOUND_SECONDS = 20.0


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    driver, node = stage.driver, stage.far
    assert isinstance(driver, HasAgents)
    stage.without_capture()
    stage.create("services")
    stage.afterwards.callback(driver.give_agent, stage.client, node)
    driver.take_agent(stage.client, node)
    stage.step(Step.AGENT_TAKEN, node=node)
    stage.step(Step.SUBJECT_CREATE)
    stage.create(SUBJECT, role=SUBJECT, alter=stage.go_far)
    with stage.going_on(Step.BOUND):
        stage.wait(
            "a pod on a node without an agent",
            lambda: running_id(stage.watch.newest("Pod", SUBJECT) or {}, APP_CONTAINER),
            seconds=BOUND_SECONDS,
            seen=lambda: stage.describe(SUBJECT),
        )
    stage.step(Step.AGENT_ASKED, node=node)
    driver.give_agent(stage.client, node)
    stage.step(Step.AGENT_BACK, node=node)
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)
    return SUBJECT

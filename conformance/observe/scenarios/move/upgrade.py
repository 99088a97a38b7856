"""The upgrade scenario: a second control plane is there, and a Deployment is moved to it.

The pod that goes was made by the present control plane, the one that comes by the next; both have
the cell's pattern. The peer stays where it is: the two must understand each other.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Step
from conformance.observe.pods import role_of
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.move.rollout import move
from conformance.observe.stage import Stage, Stuck
from conformance.sidecars.driver import Manifest, Upgrades


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the new pod. Raises Stuck."""
    driver, tag = stage.driver, stage.namespace
    if not isinstance(driver, Upgrades):
        raise Stuck(f"{stage.cell.sidecar} has no control plane that could be upgraded")
    driver.before_upgrade(stage.handle, stage.client, tag)
    (document,) = stage.documents("subject")
    template = driver.inject_by(tag, document["spec"]["template"], stage.cell, SUBJECT)
    document = {**document, "spec": {**document["spec"], "template": template}}

    def upgraded() -> Manifest:
        driver.upgrade(stage.handle, tag)
        stage.step(Step.UPGRADED)
        return document

    subject = move(stage, document, upgraded)
    made_by = {
        role: driver.control_plane_of(pod)
        for pod in stage.watch.all("Pod")
        if (role := role_of(pod)) in (Role.FORMER, SUBJECT)
    }
    stage.step(Step.CONTROL_PLANES, **made_by)
    return subject

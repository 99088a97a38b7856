"""The logs-gate scenario: what does a log shipper's health endpoint keep the app from?

The sink does not listen while the pod starts. A second pod, ``deaf``, differs in nothing but its
shipper's health endpoint, which is as it comes: the kubelet's probe does not reach it.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, delete
from conformance.observe.scenarios.logs.logs import (
    await_steady,
    container_status,
    have_sink,
    renamed,
    settle,
    tell_sink,
    with_variables,
)
from conformance.observe.stage import APP_CONTAINER, Stage, Stuck
from conformance.sidecars.driver import Manifest
from conformance.sidecars.shippers.shipper import Shipper, unheard

# Seconds for which a running shipper must have kept its app from starting, to count as a gate that
# is shut: some ten probes of a second each; one that opens does so at the first or second.
BOUND_SECONDS = 10.0


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    shipper = stage.driver
    assert isinstance(shipper, Shipper)

    def deaf(document: Manifest) -> None:
        document["spec"] = unheard(shipper, document)["spec"]
        renamed(document, Role.DEAF)

    have_sink(stage, with_variables({"SC_SINK": "closed"}))
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role=SUBJECT)
    stage.create("subject", role=Role.DEAF, alter=deaf)
    for role in (SUBJECT, Role.DEAF):
        _await_running(stage, role, shipper.name)
        stage.step(f"{role}.sidecar-runs")
    _note_start(stage, SUBJECT)
    _note_start(stage, Role.DEAF)
    tell_sink(stage, "open")
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)
    with stage.going_on():
        await_steady(stage, SUBJECT)
    delete(stage)
    settle(stage)
    return SUBJECT


def _await_running(stage: Stage, role: str, container: str) -> None:
    stage.wait(
        f"{container} of {role} running",
        lambda: "running" in container_status(stage, role, container).get("state", {}),
        seconds=60,
        seen=lambda: stage.describe(role),
    )


def _note_start(stage: Stage, role: str) -> None:
    """Write down whether the app comes to run within the bound."""
    try:
        stage.wait(
            f"the app of {role}",
            lambda: stage.stamps(f"{role}.{APP_CONTAINER}"),
            seconds=BOUND_SECONDS,
            seen=lambda: stage.describe(role),
        )
        stage.step(f"{role}.app-runs")
    except Stuck:
        stage.step(f"{role}.bound", seen=stage.describe(role))

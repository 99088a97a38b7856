"""The logs-behind-mesh scenario: a log shipper whose sink is a member of a mesh.

Two native sidecars in one pod, the reference mesh's proxy first and the shipper second: ended in
reverse, the shipper first. The shipper sends what it has every 30 s only, so that all its lines are
left for its last act.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from conformance.evidence.vocabulary import Step
from conformance.observe.scenarios.lifecycle import SUBJECT, delete
from conformance.observe.scenarios.logs.logs import await_written, have_sink, settle
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.envoy import driver as envoy
from conformance.sidecars.shippers.shipper import set_variable

MODE = "sidecar-rules"  # the mesh's: its redirection goes when it goes
FLUSH_SECONDS = "30"


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    return play(stage, mesh_first=True)


def play(stage: Stage, *, mesh_first: bool) -> str:
    """The pod with its two sidecars in this order, from its creation to its end."""
    stage.facts = replace(stage.facts, ports={**envoy.PORTS, "sink": envoy.PORTS["app"]})
    mesh, cell = envoy.Driver(), replace(stage.cell, sidecar="envoy", mode=MODE)
    mesh.prepare(cell, stage.namespace, stage.client)

    def meshed(role: str) -> Callable[[Manifest], None]:
        def alter(document: Manifest) -> None:
            pod = manifests.place_images(mesh.inject(document, cell, role), stage.images)
            document["spec"] = pod["spec"]

        return alter

    def both(document: Manifest) -> None:
        shipper = stage.sidecar_in(document)
        _send_at_the_end(shipper)
        meshed(SUBJECT)(document)
        if not mesh_first:
            document["spec"]["initContainers"].sort(key=lambda one: one["name"] == envoy.CONTAINER)

    have_sink(stage, meshed("peer"))
    stage.step(Step.SUBJECT_CREATE, mesh_first=mesh_first)
    stage.create("subject", role=SUBJECT, alter=both)
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)
    await_written(stage, SUBJECT)
    delete(stage)
    settle(stage)
    return SUBJECT


def _send_at_the_end(shipper: Manifest) -> None:
    """The kubelet's probe comes by the port that the mesh leaves alone for probes."""
    port = envoy.PORTS["probe"]
    set_variable(shipper, "SC_FLUSH_SECONDS", FLUSH_SECONDS)
    set_variable(shipper, "SC_HEALTH_PORT", str(port))
    shipper["startupProbe"]["httpGet"]["port"] = port

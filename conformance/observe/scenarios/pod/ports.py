"""The ports scenario: a sidecar's port has a name, by which a Service looks for it, and a place on
the node, which no second pod can have. All pods are on one node, as they are by themselves.

    subject  its sidecar's port has both
    peer     without a sidecar: asks through a Service that names the port, and through one that
             gives its number, before and after
    twin     wants the same place on the same node
"""

from __future__ import annotations

import zlib

from kubernetes import client as k8s

from conformance.evidence.vocabulary import PortService, Role, Step
from conformance.observe import workloads
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.stage import Stage
from conformance.observe.watch import Json
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture import driver as fixture

NAME = "health"  # of the port, in the sidecar and in the Service "named"
# A node's port for each cell, so that cells beside each other do not want the same: below those
# that connections and NodePorts take (from 30000 on).
_FIRST, _PORTS = 20000, 10000
_PATIENCE = 15  # seconds for an answer: endpoints are known to a node in far less than one
# Prints the status of an answer, or what there was in its place.
_ASK = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=3)
try:
    connection.request("GET", "/healthz/ready")
    print(connection.getresponse().status)
except (OSError, http.client.HTTPException) as error:
    print(type(error).__name__)
"""


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    stage.watch.also("Service", stage.core.list_namespaced_service)
    stage.watch.also(
        "EndpointSlice", k8s.DiscoveryV1Api(stage.client).list_namespaced_endpoint_slice
    )
    stage.create("services")

    def with_port(document: Manifest) -> None:
        port = {"name": NAME, "containerPort": fixture.HEALTH_PORT, "hostPort": host_port(stage)}
        stage.sidecar_in(document)["ports"] = [port]

    departing.create(stage, SUBJECT, with_port)
    stage.create(SUBJECT, alter=lambda one: one.update(workloads.as_role(one, Role.PEER)))
    for pod in (SUBJECT, Role.PEER):
        stage.await_ready(pod)
    stage.wait(
        "an EndpointSlice of each Service that lists the pod as ready",
        lambda: _listing(stage) == set(PortService),
        seconds=60,
        seen=lambda: str(_listing(stage)),
    )
    for service in (PortService.NUMBERED, PortService.NAMED, PortService.NUMBERED):
        _ask(stage, service)
    departing.create(stage, Role.TWIN, with_port)
    stage.wait(
        "the scheduler's word on the twin",
        lambda: _judged_by_scheduler(stage),
        seconds=60,
        seen=lambda: stage.describe(Role.TWIN),
    )
    stage.step(Step.SCHEDULED)
    return SUBJECT


def host_port(stage: Stage) -> int:
    """The port of the node that this cell's pods want."""
    return _FIRST + zlib.crc32(stage.namespace.encode()) % _PORTS


def _listing(stage: Stage) -> set[str]:
    """The Services of which an EndpointSlice lists a pod as ready."""
    return {
        one["metadata"]["labels"]["kubernetes.io/service-name"]
        for one in stage.watch.all("EndpointSlice")
        if any(its["conditions"].get("ready") for its in one.get("endpoints") or ())
    }


def _ask(stage: Stage, service: str) -> None:
    """Ask through a Service, again and again, until there is an answer or it can be given up."""
    command = ("exec", Role.PEER, "--", "python3", "-I", "-S", "-c", _ASK, service)

    def answered() -> bool:
        return stage.kubectl(*command).strip().isdecimal()

    with stage.going_on():
        what = f"an answer through the Service {service}"
        stage.wait(what, answered, seconds=_PATIENCE, seen=lambda: "none", every=1)


def _judged_by_scheduler(stage: Stage) -> Json | None:
    pod = stage.watch.newest("Pod", Role.TWIN)
    conditions = pod.get("status", {}).get("conditions") or () if pod else ()
    return pod if any(one["type"] == "PodScheduled" for one in conditions) else None

"""The endpoints scenario: one of the two pods behind a Service is deleted under new requests.

    subject  the pod that is deleted; its app goes on for a while after its SIGTERM
    standby  the other one
The news that a pod is no longer an endpoint takes its time in a large cluster. Here that time is
set: the endpoints of the Service "late" are the scenario's own, and the subject leaves them
LATE seconds after its app got SIGTERM; those of the Service "subject" are the cluster's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.model import NS
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

LATE = 4  # seconds; longer than the classic proxy's own drain (1.5)
DRAIN = 9  # seconds that the app goes on: long enough for the late news to arrive
STEADY = 30  # requests that must have been answered through each Service before the deletion
_SLICE = "late"


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    stage.create("services")

    def serves(document: Manifest) -> None:
        document["metadata"]["labels"]["service"] = SUBJECT
        manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", str(DRAIN))

    for role in (SUBJECT, Role.STANDBY):
        departing.create(stage, role, serves)
    stage.create("peer", role="peer", alter=_asks_often(stage))
    for role in (SUBJECT, Role.STANDBY, "peer"):
        stage.await_ready(role, seconds=120)
    _set_endpoints(stage, SUBJECT, Role.STANDBY)
    _await_answers(stage)
    departing.delete(stage, SUBJECT)
    _await_late(stage)
    stage.step(Step.ENDPOINT_REMOVED, service=_SLICE)
    _set_endpoints(stage, Role.STANDBY)
    departing.await_gone(stage, SUBJECT)
    return SUBJECT


def _asks_often(stage: Stage) -> Callable[[Manifest], None]:
    def alter(document: Manifest) -> None:
        manifests.set_variable(app_in(document), "SC_QUICK_SECONDS", "0.1")
        # A connection for each request: what is asked anew must find its way anew.
        manifests.set_variable(stage.sidecar_in(document), "SC_POOL", "off")

    return alter


def _set_endpoints(stage: Stage, *roles: str) -> None:
    """Make these pods the endpoints of the late Service."""
    pods = [stage.watch.newest("Pod", role) or {} for role in roles]
    made: dict[str, Any] = {
        "metadata": {
            "name": _SLICE,
            "labels": {
                "kubernetes.io/service-name": _SLICE,
                "endpointslice.kubernetes.io/managed-by": "sidecar-conformance",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "app", "port": stage.facts.ports["app"], "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True}} for pod in pods
        ],
    }
    discovery = k8s.DiscoveryV1Api(stage.client)
    if len(roles) > 1:
        discovery.create_namespaced_endpoint_slice(stage.namespace, made)
    else:
        discovery.replace_namespaced_endpoint_slice(_SLICE, stage.namespace, made)


def _await_answers(stage: Stage) -> None:
    def answered() -> dict[str, int]:
        found = stage.stamps(f"peer.{APP_CONTAINER}")
        return {
            kind: sum(
                one["event"] == Stamp.REQUEST_END and one["kind"] == kind and one["outcome"] == "ok"
                for one in found
            )
            for kind in ("quick", "late")
        }

    stage.wait(
        "answers through both Services",
        lambda: min(answered().values()) >= STEADY,
        seconds=60,
        seen=lambda: str(answered()),
    )


def _await_late(stage: Stage) -> None:
    """Until the draining app's own stamps are so old."""

    def drained() -> int:
        stamps = stage.stamps(f"{SUBJECT}.{APP_CONTAINER}")
        told = [one["ns"] for one in stamps if one["event"] == Stamp.APP_SIGTERM]
        return int(stamps[-1]["ns"] - told[0]) if told else 0

    stage.wait(
        f"{LATE} s of the app's drain",
        lambda: drained() >= LATE * NS,
        seconds=60,
        seen=lambda: f"{drained() / NS:.1f} s",
    )

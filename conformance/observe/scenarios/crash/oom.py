"""The OOM scenario: a sidecar takes more memory than its limit allows."""

from __future__ import annotations

from contextlib import suppress

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Stamp
from conformance.observe.scenarios.crash.crash import alone, crash
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import Stage, Stuck
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture.driver import CONTAINER, HEALTH_PORT, ask_command

LIMIT_MIB = 64  # an idle sidecar of this kind uses some 20
TAKEN_MIB = 256


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    alone(stage, _limited)

    def take(container: str) -> None:
        """Its answer comes only where no limit is enforced."""
        with suppress(k8s.ApiException):  # who asks is in the container, and goes with it
            stage.execute(SUBJECT, container, ask_command(HEALTH_PORT, f"/allocate/{TAKEN_MIB}"))
        if any(
            one["event"] == Stamp.SIDECAR_ALLOCATED for one in stage.stamps(f"subject.{CONTAINER}")
        ):
            raise Stuck(f"the sidecar holds {TAKEN_MIB} MiB under a limit of {LIMIT_MIB} MiB")

    crash(stage, "oom", take, how="allocate", mebibytes=TAKEN_MIB, limit_mebibytes=LIMIT_MIB)
    return SUBJECT


def _limited(sidecar: Manifest) -> None:
    sidecar["resources"]["limits"] = {"memory": f"{LIMIT_MIB}Mi"}

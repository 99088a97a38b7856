"""The readiness scenario: a pod is deleted whose containers withdraw their readiness at once, by a
file that an exec probe looks for, and end much later.

    subject  its app and its sidecar do so in their preStop hooks
    twin     does the same and is not deleted: how soon a probe is heard of on this machine
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Stamp
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in, hook, stamped
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

# Seconds that the app goes on after its SIGTERM, and the sidecar after its own: many times the
# probe's period, on a crowded machine too.
DRAIN = 20
SIDECAR_DRAIN = 5
GRACE = 40  # seconds: more than both
# A file system of the container's own, in memory, which every container has.
_WITHDRAWN = "/dev/shm/withdrawn"
_WITHDRAW = (stamped(Stamp.HOOK_BEGIN), f": >{_WITHDRAWN}", stamped(Stamp.HOOK_END))


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    departing.surround(stage)

    def withdraws(document: Manifest) -> None:
        document["spec"]["terminationGracePeriodSeconds"] = GRACE
        manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", str(DRAIN))
        manifests.set_variable(stage.sidecar_in(document), "SC_DRAIN", str(SIDECAR_DRAIN))
        for container in (app_in(document), stage.sidecar_in(document)):
            hook(container, *_WITHDRAW)
            container["readinessProbe"] = {
                "exec": {"command": ["sh", "-c", f"test ! -e {_WITHDRAWN}"]},
                "periodSeconds": 1,
                "failureThreshold": 1,
                # To run a command takes its time on a crowded machine.
                "timeoutSeconds": 10,
            }

    for role in (SUBJECT, Role.TWIN):
        departing.create(stage, role, withdraws)
    departing.await_ready(stage, SUBJECT, Role.TWIN)
    departing.delete(stage, SUBJECT)
    containers = (APP_CONTAINER, *stage.sidecars(SUBJECT))
    for container in containers:
        departing.await_stamp(stage, f"{SUBJECT}.{container}", Stamp.HOOK_END)
    for container in containers:
        stage.execute(Role.TWIN, container, ["sh", "-c", "\n".join(_WITHDRAW)])
    stage.wait(
        "the news that the twin is not ready",
        lambda: not any(stage.containers(Role.TWIN)[one].get("ready") for one in containers),
        seconds=60,
        seen=lambda: stage.describe(Role.TWIN),
    )
    departing.await_gone(stage, SUBJECT)
    departing.delete(stage, Role.TWIN, grace=0)
    return SUBJECT

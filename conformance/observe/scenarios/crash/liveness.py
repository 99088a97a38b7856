"""The liveness scenario: a sidecar begins to fail its livenessProbe while the app is well."""

from __future__ import annotations

from conformance.observe.scenarios.crash.crash import alone, crash
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import Stage
from conformance.sidecars.driver import Ails, Manifest


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    driver = stage.driver
    assert isinstance(driver, Ails)

    def probed(sidecar: Manifest) -> None:
        sidecar["livenessProbe"] = {
            "httpGet": {"path": driver.live_path, "port": stage.facts.ports["health"]},
            "periodSeconds": 1,
            # A 503 comes at once. What a crowded machine answers late must not count.
            "failureThreshold": 2,
            "timeoutSeconds": 10,
        }

    alone(stage, probed)
    ail = driver.ail_command()
    crash(stage, "liveness", lambda name: stage.execute(SUBJECT, name, ail), how="unlive")
    return SUBJECT
